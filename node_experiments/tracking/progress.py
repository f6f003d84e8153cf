"""What a person sees while a run trains."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ..training.loop import Callback, Trainer
from ..training.solver_statistics import solve_statistics

__all__ = ["EpochLines", "ProgressBar"]

log = logging.getLogger(__name__)


class EpochLines(Callback):
    """One plain line an epoch, in the log file and on the terminal."""

    def epoch_end(self, trainer: Trainer) -> None:
        metrics = trainer.metrics
        name = trainer.task.metric
        parts = [f"epoch {trainer.epoch}/{trainer.epochs}"]
        for split in ("train", "validation", "test"):
            if f"loss/{split}" in metrics:
                loss, value = metrics[f"loss/{split}"], metrics.get(f"{name}/{split}")
                text = f"{split} loss {loss:.4f}"
                parts.append(text if value is None else f"{text} {name} {value:.4f}")
        if "nfe/forward" in metrics:
            parts.append(
                f"evaluations {metrics['nfe/forward']:.1f} forward "
                f"{metrics['nfe/backward']:.1f} backward"
            )
        parts.append(f"{1 / metrics['time/step_seconds']:.2f} steps/s")
        parts.append(f"{metrics['time/epoch_seconds']:.1f} s")
        log.info(" | ".join(parts))


class ProgressBar(Callback):
    """A live bar: loss, metric and evaluations of the last window, steps a second, time left.

    Args:
        first: What is said until the first window.
    """

    def __init__(self, console: Console, first: str = "starting") -> None:
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
        )
        self._bar = self._progress.add_task("train", total=None, epoch="", numbers=first)

    def fit_start(self, trainer: Trainer) -> None:
        total = trainer.epochs * len(trainer.data.train)
        epoch = f"{trainer.epoch + 1}/{trainer.epochs}"
        self._progress.update(self._bar, total=total, completed=trainer.step, epoch=epoch)
        self._progress.start()

    def epoch_start(self, trainer: Trainer) -> None:
        self._progress.update(self._bar, epoch=f"{trainer.epoch + 1}/{trainer.epochs}")

    def step_end(self, trainer: Trainer) -> None:
        self._progress.update(self._bar, completed=trainer.step)

    def log(self, trainer: Trainer) -> None:
        window, name = trainer.window, trainer.task.metric
        numbers = [f"loss {window['loss/train']:.4f}"]
        if f"{name}/train" in window:
            numbers.append(f"{name} {window[f'{name}/train']:.4f}")
        if solve_statistics(trainer.model):
            numbers.append(f"nfe {window['nfe/forward']:.0f}+{window['nfe/backward']:.0f}")
        numbers.append(f"{1 / window['time/step_seconds']:.2f} steps/s")
        self._progress.update(self._bar, numbers=" ".join(numbers))

    def fit_end(self, trainer: Trainer) -> None:
        self._progress.stop()
