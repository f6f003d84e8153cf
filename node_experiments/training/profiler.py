"""Profile of training steps."""

from __future__ import annotations

from pathlib import Path

from torch.profiler import ProfilerActivity, profile, supported_activities

from .loop import Callback, Trainer

__all__ = ["Profiler"]

FIRST_STEP, STEPS = 2, 3


class Profiler(Callback):
    """Profiles training steps 3 to 5 of this process.

    Writes `trace.json`, for chrome://tracing or Perfetto, and `operations.txt`, a table.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._step = 0
        self._profile: profile | None = None

    def step_start(self, trainer: Trainer) -> None:
        if self._step == FIRST_STEP:
            wanted = {ProfilerActivity.CPU, ProfilerActivity.CUDA}
            self._profile = profile(activities=list(wanted & set(supported_activities())))
            self._profile.__enter__()

    def step_end(self, trainer: Trainer) -> None:
        self._step += 1
        if self._step == FIRST_STEP + STEPS:
            self._write()

    def fit_end(self, trainer: Trainer) -> None:
        self._write()

    def _write(self) -> None:
        if self._profile is None:
            return
        finished, self._profile = self._profile, None
        finished.__exit__(None, None, None)
        self._folder.mkdir(parents=True, exist_ok=True)
        finished.export_chrome_trace(str(self._folder / "trace.json"))
        table = finished.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
        (self._folder / "operations.txt").write_text(table)
