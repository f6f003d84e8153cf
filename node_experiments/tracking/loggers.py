"""Loggers of a run behind one interface, chosen by `trainer.loggers=[tensorboard,wandb]`.

`Tracking` alone decides what is logged; a logger only writes it in its own form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..training.loop import Callback, Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LOGGERS", "Logger", "TrackedRun", "Tracking", "make_loggers", "missing_library"]

Setting = bool | int | float | str

# Name -> module and class here, the library that it writes with, and the extra that installs it.
LOGGERS: dict[str, tuple[str, str, str | None]] = {
    "tensorboard": ("tensorboard:TensorBoard", "tensorboard", None),
    "csv": ("csv_file:CsvFile", "csv", None),
    "wandb": ("wandb_run:WandbRun", "wandb", "wandb"),
    "mlflow": ("mlflow_run:MLflowRun", "mlflow", "mlflow"),
}


@dataclass(frozen=True)
class TrackedRun:
    """Description of a run for its loggers, known before training.

    Attributes:
        folder: The run folder.
        name: Name of the experiment.
        metric: Name of the task's metric, e.g. `accuracy`.
        hyperparameters: The settings by which runs are compared, by dotted name.
        texts: Text by name: the command, the commit, the configuration.
        valid_until: For a resumed run, the last step whose points an earlier process wrote and
            that are not written again; later points of that process are void. None for a new run.
        solves: Whether the model solves an ODE.
    """

    folder: Path
    name: str
    metric: str
    hyperparameters: Mapping[str, Setting] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    valid_until: int | None = None
    solves: bool = True


class Logger(Protocol):
    """One destination to which a run is logged; made from a `TrackedRun`."""

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers by tag, at a training step that never decreases."""
        ...

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Write a picture; pictures of the same name form a series over the steps."""
        ...

    def flush(self) -> None:
        """Flush what was written so far, so that it survives the end of the process."""
        ...

    def close(self, status: str) -> None:
        """Close with status `completed`, `diverged`, `interrupted` or `failed`; the last call."""
        ...


def missing_library(name: str) -> str | None:
    """The extra that must be installed for a logger of `LOGGERS`; None if nothing is missing."""
    _, library, extra = LOGGERS[name]
    return None if find_spec(library) is not None else extra


def make_loggers(names: Iterable[str], run: TrackedRun) -> list[Logger]:
    """Make the loggers of these names, whose libraries are imported only here."""
    made = []
    for name in names:
        module, _, attribute = LOGGERS[name][0].partition(":")
        logger: Logger = getattr(import_module(f".{module}", __package__), attribute)(run)
        made.append(logger)
    return made


class Tracking(Callback):
    """Passes numbers and figures to loggers.

    Training metrics are logged after each window of steps, evaluations at the end of each epoch;
    the horizontal axis is always the number of training steps.

    Args:
        valid_until: As in `TrackedRun`.
        constant: Tags that are always zero in this run, which no chart needs.
    """

    def __init__(
        self,
        loggers: Sequence[Logger],
        valid_until: int | None = None,
        constant: Iterable[str] = (),
    ) -> None:
        self._loggers, self._valid_until = loggers, valid_until
        self._constant = frozenset(constant)

    def fit_start(self, trainer: Trainer) -> None:
        # If an evaluation may have followed the checkpoint at the same step, the window at that
        # step is void too; it is logged again from the checkpoint.
        if (
            self._valid_until is not None
            and self._valid_until < trainer.step
            and trainer.windows
            and trainer.windows[-1]["step"] == trainer.step
        ):
            trainer.window.pop("step", None)
            self.log(trainer)

    def log(self, trainer: Trainer) -> None:
        epoch = trainer.epoch + trainer.index / trainer.steps_per_epoch
        self._write(trainer, {**trainer.window, "epoch": epoch})

    def epoch_end(self, trainer: Trainer) -> None:
        new = {tag: v for tag, v in trainer.metrics.items() if tag not in trainer.window}
        if "loss/test" in trainer.metrics:
            new |= reported_tags(trainer.reported, trainer.task.metric)
        self._write(trainer, new)
        self._flush()

    def before_save(self, trainer: Trainer) -> None:
        self._flush()  # what is not written is lost if the run is killed and resumed from there

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Log a figure under this name."""
        for logger in self._loggers:
            logger.figure(f"figures/{name}", figure, step)

    def close(self, status: str) -> None:
        """Close all loggers with the status of the run, as in `Logger`."""
        for logger in self._loggers:
            logger.close(status)

    def _flush(self) -> None:
        for logger in self._loggers:
            logger.flush()

    def _write(self, trainer: Trainer, values: Mapping[str, float]) -> None:
        values = {tag: value for tag, value in values.items() if tag not in self._constant}
        named = logged(values, trainer.task.metric)
        for logger in self._loggers:
            logger.scalars(named, trainer.step)


# Tags with their own groups; all others, except the task's metric, are diagnostics.
GROUPS = ("Result", "loss", "nfe", "solver", "memory", "time", "lr", "epoch")


def logged(values: Mapping[str, float], metric: str) -> dict[str, float]:
    """Numbers by the tag under which they are logged, with memory in MB.

    >>> logged({"memory/peak_bytes": 2e6, "kl/train": 0.1, "loss/test": 0.5}, "rmse")
    {'memory/peak_mb': 2.0, 'diagnostics/kl/train': 0.1, 'loss/test': 0.5}
    """
    found = {}
    for tag, value in values.items():
        if tag.partition("/")[0] not in (metric, *GROUPS):
            tag = f"diagnostics/{tag}"
        elif tag.startswith("memory/") and "_bytes" in tag:
            tag, value = tag.replace("_bytes", "_mb"), value / 1e6
        found[tag] = value
    return found


def reported_tags(reported: Mapping[str, float], metric: str) -> dict[str, float]:
    """The numbers that represent a run so far, under the tags that tables of runs show.

    They are those of the best validation epoch, else of the last, as everywhere else. The capital
    letter puts them first among the metrics of TensorBoard's HParams, which shows five.
    """
    tags = {
        f"Result/{metric}": f"{metric}/test",
        "Result/loss": "loss/test",
        "Result/epoch": "epoch",
        "Result/nfe_forward": "nfe/forward",
        "Result/step_seconds": "time/step_seconds",
    }
    return {new: reported[tag] for new, tag in tags.items() if tag in reported}
