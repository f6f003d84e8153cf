"""Figures of a run: PNG files in its folder, and images in TensorBoard."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..figures.training import training_figure
from ..training.loop import Callback, Trainer
from .tensorboard import TensorBoard

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Figures"]

PAUSE = 20.0  # seconds between two drawings: short epochs must not wait for pictures


class Figures(Callback):
    """Draws the course of training now and then, and what the task shows at the end.

    Args:
        folder: Where PNG files are written.
        title: Name of the run.
        draw: The task's figures by name, from the trainer.
    """

    def __init__(
        self,
        folder: Path,
        tensorboard: TensorBoard,
        title: str,
        draw: Callable[[Trainer], dict[str, Figure]],
    ) -> None:
        self._folder, self._tensorboard = folder, tensorboard
        self._title, self._draw = title, draw
        self._last = -math.inf

    def fit_start(self, trainer: Trainer) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def epoch_end(self, trainer: Trainer) -> None:
        is_last = trainer.epoch == trainer.epochs
        if not is_last and time.monotonic() - self._last < PAUSE:
            return
        metric = trainer.task.metric
        figures = {
            "training": training_figure(trainer.windows, trainer.history, metric, self._title)
        }
        if is_last:
            figures |= self._draw(trainer)
        for name, figure in figures.items():
            path = self._folder / f"{name}.png"
            figure.savefig(path)
            # The file's pixels: drawing takes longer than the rest of a short run.
            self._tensorboard.add_image(name, path, trainer.step)
        self._last = time.monotonic()
