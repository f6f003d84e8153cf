"""Wall-clock time of steps and epochs."""

from __future__ import annotations

import time

from .callbacks import Callback
from .loop import Trainer

__all__ = ["Timing"]


class Timing(Callback):
    """Measures wall-clock time.

    Writes:

    - `time/step_seconds`: mean seconds of a training step, batch and update included
    - `time/epoch_seconds`: seconds of the epoch, evaluation included
    """

    def __init__(self) -> None:
        self._epoch = self._window = time.perf_counter()
        self._epoch_step = self._window_step = 0

    def epoch_start(self, trainer: Trainer) -> None:
        self._epoch = self._window = time.perf_counter()
        self._epoch_step = self._window_step = trainer.step
        self._training = 0.0

    def log(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        seconds = now - self._window
        trainer.window["time/step_seconds"] = seconds / (trainer.step - self._window_step)
        self._training += seconds
        self._window, self._window_step = now, trainer.step

    def evaluate(self, trainer: Trainer) -> None:
        steps = trainer.step - self._epoch_step
        trainer.metrics["time/step_seconds"] = self._training / steps
        trainer.metrics["time/epoch_seconds"] = time.perf_counter() - self._epoch
