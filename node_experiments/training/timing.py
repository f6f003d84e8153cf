"""Wall-clock time of steps and epochs."""

from __future__ import annotations

import time
from typing import Any

from .loop import Callback, Trainer

__all__ = ["Timing"]


class Timing(Callback):
    """Measures wall-clock time.

    Writes:

    - `time/step_seconds`: mean seconds of a training step, batch and update included
    - `time/data_seconds`: mean seconds of these that it waited for its batch
    - `time/epoch_seconds`: seconds of the epoch, evaluation included
    - `time/first_step_seconds`: seconds of the first step of this process, which includes much
      initialisation and, with `trainer.compile=true`, compilation

    Attributes:
        earlier_seconds: Seconds that this run took before it was resumed.
    """

    def __init__(self) -> None:
        self._created = self._epoch = self._window = self._ready = time.perf_counter()
        self._started = self._created
        self._epoch_step = self._window_step = 0
        self._training = self._waiting = 0.0
        self._first_step: float | None = None
        self.earlier_seconds = 0.0

    def epoch_start(self, trainer: Trainer) -> None:
        self._epoch = self._window = self._ready = time.perf_counter()
        self._epoch_step = self._window_step = trainer.step
        self._training = self._waiting = 0.0

    def step_start(self, trainer: Trainer) -> None:
        self._started = time.perf_counter()
        self._waiting += self._started - self._ready

    def step_end(self, trainer: Trainer) -> None:
        if self._first_step is None:
            self._first_step = time.perf_counter() - self._started

    def between_steps(self, trainer: Trainer) -> None:
        self._ready = time.perf_counter()

    def log(self, trainer: Trainer) -> None:
        now = time.perf_counter()
        seconds = now - self._window
        trainer.window["time/step_seconds"] = seconds / (trainer.step - self._window_step)
        self._training += seconds
        self._window, self._window_step = now, trainer.step

    def state_dict(self) -> dict[str, Any]:
        now = time.perf_counter()
        return {
            "earlier": self.earlier_seconds + now - self._created,
            "elapsed": [now - self._epoch, now - self._window, self._training],
            "waiting": self._waiting,
            "steps": [self._epoch_step, self._window_step],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        now = time.perf_counter()
        self.earlier_seconds = state["earlier"]
        epoch, window, self._training = state["elapsed"]
        self._epoch, self._window, self._ready = now - epoch, now - window, now
        self._waiting = state.get("waiting", 0.0)  # not in the checkpoints of old versions
        self._epoch_step, self._window_step = state["steps"]

    def evaluate(self, trainer: Trainer) -> None:
        steps = trainer.step - self._epoch_step
        trainer.metrics["time/step_seconds"] = self._training / steps
        trainer.metrics["time/data_seconds"] = self._waiting / steps
        trainer.metrics["time/epoch_seconds"] = time.perf_counter() - self._epoch
        if self._first_step is not None:
            trainer.metrics["time/first_step_seconds"] = self._first_step
