"""Frames of few colours look like the figures they were made of."""

import numpy as np
import pytest

from node_experiments.figures.style import (
    new_figure,
    style,
)
from node_experiments.tracking.animation import frame_image


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
