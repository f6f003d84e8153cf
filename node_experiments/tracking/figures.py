"""Figures of a run: PNG files in its folder, and a series of images for the loggers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..figures.training import training_figure
from ..runs.files import write_atomically
from ..training.loop import Callback, Trainer
from ..training.random_state import random_state, set_random_state

if TYPE_CHECKING:
    from matplotlib.figure import Figure


__all__ = ["Figures"]

# Epochs can be shorter than their pictures take to draw, which then may take this fraction of all
# time once they have taken so many seconds.
SHARE, SECONDS = 0.1, 5.0


class Figures(Callback):
    """Draws the course of training, and what the task shows, at every evaluation.

    A figure that cannot be drawn ends no training.

    Args:
        folder: Where PNG files are written, each evaluation's in place of the one before.
        show: Is given each figure with its name and the number of training steps.
        title: Name of the run.
        draw: The task's figures by name, from the trainer.
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
        self._begun, self._spent = time.monotonic(), 0.0

    def fit_start(self, trainer: Trainer) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)

    def epoch_end(self, trainer: Trainer) -> None:
        now = time.monotonic()
        too_long = self._spent > max(SECONDS, SHARE * (now - self._begun))
        if not trainer.is_last and (too_long or not trainer.is_evaluated(trainer.epoch)):
            return
        before = random_state()  # what is drawn at random for a picture changes no training
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
            figure.set_layout_engine("none")  # the loggers draw it as it was laid out
            self._show(name, figure, trainer.step)
