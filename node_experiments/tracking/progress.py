"""Progress of training: a bar on a terminal, otherwise lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from ..training.loop import Callback, Trainer
from ..training.solver_statistics import solve_statistics

__all__ = ["EpochLines", "ProgressBar", "ProgressLines"]

log = logging.getLogger(__name__)

SECONDS = 30.0  # between two lines
IMPORTANCE = ("epoch", "validation", "test", "train", "seconds", "nfe", "speed")


class EpochLines(Callback):
    """Logs one plain line per epoch, in the log file and on the terminal."""

    def epoch_end(self, trainer: Trainer) -> None:
        metrics = trainer.metrics
        name = trainer.task.metric
        parts = {"epoch": f"epoch {trainer.epoch}/{trainer.epochs}"}
        for split in ("train", "validation", "test"):
            if f"loss/{split}" in metrics:
                numbers = {key: metrics.get(f"{key}/{split}") for key in ("loss", name)}
                parts[split] = " ".join([split, *texts(numbers)])
        if "nfe/forward" in metrics:
            parts["nfe"] = f"NFE {metrics['nfe/forward']:.1f} + {metrics['nfe/backward']:.1f}"
        parts["speed"] = f"{1 / metrics['time/step_seconds']:.2f} steps/s"
        parts["seconds"] = f"{metrics['time/epoch_seconds']:.1f} s"
        log.info(" | ".join(parts.values()), extra={"in_one_line": partial(in_one_line, parts)})


def in_one_line(parts: Mapping[str, str], width: int) -> str:
    """The most important parts that fit in one line of a terminal, in their order.

    >>> in_one_line({"epoch": "epoch 1/9", "train": "train loss 1", "test": "test loss 2"}, 26)
    'epoch 1/9 | test loss 2'
    """
    shown: set[str] = set()
    for name in IMPORTANCE:
        more = [text for key, text in parts.items() if key in {*shown, name}]
        if name in parts and len(" | ".join(more)) < width:
            shown.add(name)
    return " | ".join(text for key, text in parts.items() if key in shown)


class ProgressLines(Callback):
    """Logs a line every half minute, so that a log also grows within an epoch.

    Args:
        shown: Show the lines on the terminal too, as it has no bar; else only in the log file.
    """

    def __init__(self, shown: bool) -> None:
        self._level = logging.INFO if shown else logging.DEBUG
        self._clock = Clock()
        self._last_logged = time.monotonic()

    def fit_start(self, trainer: Trainer) -> None:
        self._clock = Clock(trainer.step)
        self._last_logged = time.monotonic()

    def step_end(self, trainer: Trainer) -> None:
        now = time.monotonic()
        if now - self._last_logged < SECONDS:
            return
        self._last_logged = now
        total = total_steps(trainer)
        parts = [epoch_of(trainer), f"step {trainer.step}/{total}", *numbers_of(trainer)]
        left = self._clock.left(trainer.step, total)
        log.log(self._level, " | ".join([*parts, f"left {duration(left)}"]))

    def epoch_end(self, trainer: Trainer) -> None:
        self._last_logged = time.monotonic()  # the line of the epoch says more


class Clock:
    """Estimate of the time left, from the steps of this process.

    Args:
        step: Number of steps that were done before.
    """

    def __init__(self, step: int = 0) -> None:
        self._first, self._start = step, time.monotonic()

    def left(self, step: int, total: int) -> float | None:
        """Seconds until step `total`, or None before the first step."""
        done = step - self._first
        return (time.monotonic() - self._start) / done * (total - step) if done > 0 else None

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start


class ProgressBar(Callback):
    """Live line with epoch, count and time left, and more numbers as the width allows.

    Args:
        console: The terminal.
        first: Text that is shown until the first window of steps.
    """

    def __init__(self, console: Console, first: str = "starting") -> None:
        self._line = Line(console, first)
        self._progress = Progress(self._line, console=console)
        self._bar = self._progress.add_task("train", total=None)

    def fit_start(self, trainer: Trainer) -> None:
        self._line.clock = Clock(trainer.step)
        self._line.epoch = epoch_of(trainer)
        total = total_steps(trainer)
        self._progress.update(self._bar, total=total, completed=trainer.step)
        self._progress.start()

    def epoch_start(self, trainer: Trainer) -> None:
        self._line.epoch = epoch_of(trainer)

    def step_end(self, trainer: Trainer) -> None:
        self._progress.update(self._bar, completed=trainer.step)

    def log(self, trainer: Trainer) -> None:
        self._line.numbers = numbers_of(trainer)

    def fit_end(self, trainer: Trainer) -> None:
        self._progress.stop()


class Line(ProgressColumn):
    """The whole line of the bar, as wide as the console currently is.

    Attributes:
        epoch: The current epoch, such as `epoch 3/10`.
        numbers: Numbers as texts, the most important first.
    """

    max_refresh = 0.1

    def __init__(self, console: Console, first: str) -> None:
        super().__init__()
        self._console = console
        self.epoch, self.numbers = "", [first]
        self.clock = Clock()

    def render(self, task: Task) -> Text:
        """The current line."""
        total = int(task.total or 0)
        left = self.clock.left(int(task.completed), total)
        return progress_line(
            self._console.width,
            self.epoch,
            int(task.completed),
            total,
            duration(left),
            self.numbers,
            duration(self.clock.elapsed),
        )


def progress_line(
    width: int,
    epoch: str,
    step: int,
    total: int,
    left: str,
    numbers: Sequence[str],
    elapsed: str,
) -> Text:
    """Epoch, count and time left, and whatever else fits in one line of a terminal.

    >>> progress_line(60, "epoch 3/10", 245, 2790, "0:10:00", ["loss 0.5500"], "0:01:00").plain
    'epoch 3/10 ━━━━━━ 245/2790 loss 0.5500 left 0:10:00'
    """
    count, end = f"{step}/{total}", f"left {left}"
    bar_width = 24 if width >= 110 else 12 if width >= 76 else 6
    free = width - 1 - sum(len(part) + 1 for part in (epoch, count, end))
    parts: list[Text] = [Text(epoch)]
    shown = []
    if free > bar_width:
        free -= bar_width + 1
        parts.append(bar(bar_width, step / total if total else 0.0))
    parts.append(Text(count))
    for number in [*numbers, f"elapsed {elapsed}"]:
        if len(number) + 1 > free:
            break
        free -= len(number) + 1
        shown.append(Text(number))
    return Text(" ").join([*parts, *shown, Text(end)])


def bar(width: int, fraction: float) -> Text:
    """A bar of `width` characters, filled to `fraction`."""
    filled = round(width * min(max(fraction, 0.0), 1.0))
    return Text("━" * filled, "bar.complete") + Text("━" * (width - filled), "bar.back")


def epoch_of(trainer: Trainer) -> str:
    """The current epoch, such as `epoch 3/10`."""
    return f"epoch {min(trainer.epoch + 1, trainer.epochs)}/{trainer.epochs}"


def total_steps(trainer: Trainer) -> int:
    """Number of steps of the whole training."""
    return trainer.epochs * trainer.steps_per_epoch


def numbers_of(trainer: Trainer) -> list[str]:
    """Means over the last window of steps, the most important first; empty before the first."""
    window, name = trainer.window, trainer.task.metric
    if "loss/train" not in window:
        return []
    numbers = texts({key: window.get(f"{key}/train") for key in ("loss", name)})
    numbers.append(f"{1 / window['time/step_seconds']:.2f} steps/s")
    if solve_statistics(trainer.model):
        numbers.append(f"NFE {window['nfe/forward']:.0f}+{window['nfe/backward']:.0f}")
    return numbers


def texts(numbers: Mapping[str, float | None]) -> list[str]:
    """Numbers behind their names, as far as they are there.

    >>> texts({"loss": 0.51234, "accuracy": None})
    ['loss 0.5123']
    """
    return [f"{name} {value:.4f}" for name, value in numbers.items() if value is not None]


def duration(seconds: float | None) -> str:
    """Seconds as hours, minutes and seconds; dashes when unknown."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))
