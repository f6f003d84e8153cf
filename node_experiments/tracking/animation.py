"""A GIF of what a model says, one frame an epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..training.callbacks import Callback

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..training.loop import Trainer

__all__ = ["Animation"]


class Animation(Callback):
    """Draws a frame before training and after every epoch; writes the GIF when training ends.

    Args:
        path: Where the GIF is written.
        draw: A frame from the trainer; all frames have one size.
        seconds: Length of the animation, without the rest on its last frame.
        dpi: Pixels an inch.
    """

    def __init__(
        self, path: Path, draw: Callable[[Trainer], Figure], seconds: float = 6.0, dpi: int = 80
    ) -> None:
        self._path, self._draw, self._seconds, self._dpi = path, draw, seconds, dpi
        self._frames: list[Image.Image] = []

    def fit_start(self, trainer: Trainer) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._add(trainer)

    def epoch_end(self, trainer: Trainer) -> None:
        self._add(trainer)

    def fit_end(self, trainer: Trainer) -> None:
        if not self._frames:
            return
        first, *others = self._frames
        pause = max(20, round(1000 * self._seconds / len(self._frames)))
        durations = [pause] * len(others) + [2000]
        first.save(
            self._path, save_all=True, append_images=others, duration=durations, loop=0,
            optimize=True,
        )  # fmt: skip

    def _add(self, trainer: Trainer) -> None:
        figure = self._draw(trainer)
        figure.set_dpi(self._dpi)
        canvas: Any = figure.canvas
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        self._frames.append(image.quantize(32, dither=Image.Dither.NONE))
