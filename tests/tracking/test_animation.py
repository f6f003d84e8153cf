"""Frames of few colours look like the figures they were made of, and share their colours."""

from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from node_experiments.figures.style import new_figure, style
from node_experiments.tracking.animation import (
    Animation,
    common_palette,
    frame_png,
    opened,
    write_gif,
)


def frame(*colors, density=False):
    """Lines in these colours, and a density with few bright pixels among many dark ones."""
    x = np.linspace(-3, 3, 100)
    with style():
        figure = new_figure(width=4, height=2)
        left, right = figure.subplots(1, 2)
        if density:
            left.imshow(np.exp(-3 * (x**2 + x[:, None] ** 2)), cmap="viridis")
        for k, color in enumerate(colors):
            right.plot(x, np.sin(x + k), color=color, lw=4)
    return frame_png(figure, 80)


@pytest.mark.parametrize("colors", [32, 64])
def test_colours_stay_close(colors):
    drawn = frame("#0072B2", "#E69F00", density=True)
    palette = common_palette([drawn], colors)
    few = opened(drawn).quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
    few, whole = (np.asarray(image).astype(int) for image in (few, opened(drawn)))
    assert len(np.unique(few.reshape(-1, 3), axis=0)) <= colors
    assert np.abs(few - whole).max() < 75


def test_a_colour_is_the_same_in_every_frame(tmp_path):
    """Also of a frame that has few colours, and of one that has many."""
    frames = [frame("#0072B2"), frame("#0072B2", "#E69F00", "#009E73", "#D55E00", density=True)]
    write_gif(tmp_path / "two.gif", frames, 1.0)
    blues = []
    with Image.open(BytesIO((tmp_path / "two.gif").read_bytes())) as gif:
        for number in range(gif.n_frames):
            gif.seek(number)
            pixels = np.asarray(gif.convert("RGB")).reshape(-1, 3).astype(int)
            distance = np.abs(pixels - np.array([0x00, 0x72, 0xB2])).sum(1)
            blues.append(tuple(pixels[distance.argmin()]))
    assert len(blues) == 2
    assert blues[0] == blues[1]
    assert np.abs(np.array(blues[0]) - [0x00, 0x72, 0xB2]).max() < 20


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
