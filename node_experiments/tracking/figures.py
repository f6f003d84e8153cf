"""Figures of a run: PNG files in its folder, and a series of images for the loggers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..figures.training import training_figure
from ..files import write_atomically
from ..training.loop import Callback, Trainer
from ..training.random_state import random_state, set_random_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Figures"]

# Drawing can take longer than an epoch: once it has taken SECONDS, it may take at most this
# fraction of the total time.
MAX_FRACTION, SECONDS = 0.1, 5.0


class Figures(Callback):
    """Draws the course of training, and the task's figures, at every evaluation.

    An error in drawing does not end the training.

    Args:
        folder: Where PNG files are written; those of an evaluation replace the previous ones.
        show: Called with the name of each figure, the figure and the number of training steps.
        title: Name of the run.
        draw: Returns the task's figures by name from the trainer.
    """

    def __init__(
        self,
        folder: Path,
        show: Callable[[str, Figure, int], None],
        title: str,
        draw: Callable[[Trainer], dict[str, Figure]],
    ) -> None:
        self._folder, self._show = folder, show
        self._title, self._draw = title, draw
        self._started, self._spent = time.monotonic(), 0.0

    def fit_start(self, trainer: Trainer) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def epoch_end(self, trainer: Trainer) -> None:
        now = time.monotonic()
        too_long = self._spent > max(SECONDS, MAX_FRACTION * (now - self._started))
        if not trainer.is_last and (too_long or not trainer.is_evaluated(trainer.epoch)):
            return
        before = random_state()  # random numbers for a picture must not change the training
        try:
            self._draw_all(trainer)
        except OSError:
            raise
        except Exception as error:
            warnings.warn(f"no figures: {type(error).__name__}: {error}", stacklevel=1)
        finally:
            set_random_state(before)
        self._spent += time.monotonic() - now

    def _draw_all(self, trainer: Trainer) -> None:
        metric = trainer.task.metric
        course = training_figure(trainer.windows, trainer.history, metric, self._title)
        for name, figure in {"training": course, **self._draw(trainer)}.items():
            write_atomically(self._folder / f"{name}.png", figure.savefig)
            figure.set_layout_engine("none")  # the loggers keep the layout
            self._show(name, figure, trainer.step)
