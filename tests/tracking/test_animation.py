"""Frames of few colours look like the figures they were made of."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from node_experiments.figures.style import (
    new_figure,
    style,
)
from node_experiments.tracking.animation import Animation, frame_image


@pytest.mark.parametrize("colors", [32, 64])
def test_colours_stay_close(colors):
    """Of a density, whose few bright pixels lie among many dark and white ones, and of lines."""
    x = np.linspace(-3, 3, 200)
    with style():
        figure = new_figure(width=5, height=2.5)
        density, lines = figure.subplots(1, 2)
        density.imshow(np.exp(-3 * (x**2 + x[:, None] ** 2)), cmap="viridis")
        for k in range(4):
            lines.plot(x, np.sin(x + k))
    frame = np.asarray(frame_image(figure, 80, colors).convert("RGB")).astype(int)
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) <= colors
    assert np.abs(frame - drawn).max() < 60


def numbered(trainer):
    with style():
        figure = new_figure(width=1, height=1)
        figure.text(0.2, 0.3, str(trainer.epoch), fontsize=40)
    return figure


def train(path, epochs, start=0, index=0):
    """The events of a training from one epoch to another."""
    animation = Animation(path, numbered)
    trainer = SimpleNamespace(epoch=start, index=index)
    animation.fit_start(trainer)
    trainer.index = 0
    for trainer.epoch in range(start + 1, epochs + 1):
        animation.epoch_end(trainer)
    animation.fit_end(trainer)


@pytest.mark.parametrize("index", [0, 3])
@pytest.mark.parametrize("killed", [2, 3])
def test_a_resumed_animation_is_the_undisturbed_one(tmp_path, killed, index):
    """Resumed from epoch 2, between its steps or not, after a process that came to 2 or 3."""
    whole, resumed = tmp_path / "whole" / "a.gif", tmp_path / "resumed" / "a.gif"
    train(whole, 4)
    train(resumed, killed)
    train(resumed, 4, start=2, index=index)
    assert resumed.read_bytes() == whole.read_bytes()
    with Image.open(resumed) as image:
        assert image.n_frames == 5
