"""Figures over many runs, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from pandas import DataFrame

from ..figures.comparison import cost_figure, curves_figure
from ..figures.training import training_figure
from ..files import write_atomically
from ..reports.records import Record, by_settings, one_per_seed, records
from ..runs.frame import read_epochs

__all__ = ["cost", "curves", "labelled", "loss_curves", "save", "training"]


def curves(runs: DataFrame, title: str, tag: str | None = None) -> Figure:
    """The metric on test data against epochs; the seeds of a setting are drawn as one group.

    Args:
        tag: TensorBoard tag of another number to draw.
    """
    groups = {
        label: [read_epochs(run["directory"]) for run in group]
        for label, group in labelled(runs).items()
    }
    return curves_figure(groups, tag or f"{metric_of(runs)}/test", titled(title, runs))


def loss_curves(runs: DataFrame, title: str) -> Figure:
    """The training loss against epochs."""
    return curves(runs, title, "loss/train")


def cost(runs: DataFrame, title: str) -> Figure:
    """The metric on test data against function evaluations of a forward solve."""
    tag = f"{metric_of(runs)}/test"
    return cost_figure(labelled(runs), "nfe/forward", tag, titled(title, runs))


def labelled(runs: DataFrame) -> dict[str, Sequence[Record]]:
    """Completed runs with epochs, grouped and labelled by the settings that vary between them.

    Of a seed that was run repeatedly, the last completed run counts, as in tables.

    Raises:
        ValueError: No run is completed.
    """
    completed = [run for run in records(runs) if run["status"] == "completed"]
    if not completed:
        raise ValueError(
            f"none of its runs ({len(runs)}) is completed; figure training shows one that is not"
        )
    shown = [run for run in completed if read_epochs(run["directory"])]
    names, groups = by_settings(shown)
    return {
        ", ".join(f"{short(name, names)} {value}" for name, value in zip(names, key, strict=True))
        or str(members[0]["name"]): one_per_seed(members)
        for key, members in groups.items()
    }


def titled(title: str, runs: DataFrame) -> str:
    """The title of a figure of completed runs, with a line on those that it leaves out."""
    left_out = int((runs["status"] != "completed").sum())
    line = f"\n{left_out} of {len(runs)} runs are not completed and not shown" if left_out else ""
    return title + line


def short(name: str, names: Sequence[str]) -> str:
    """The last part of a setting's name, or the whole name if another one ends in the same part.

    >>> short("model.hidden", ["model.hidden", "solver.rtol"])
    'hidden'
    """
    last = name.rpartition(".")[2]
    return name if sum(each.rpartition(".")[2] == last for each in names) > 1 else last


def training(runs: DataFrame, title: str) -> Figure:
    """Loss, metric and function evaluations of one run, as drawn during its training.

    Raises:
        ValueError: Not exactly one of the runs has recorded epochs.
    """
    found = [(run, epochs) for run in records(runs) if (epochs := read_epochs(run["directory"]))]
    if len(found) != 1:
        raise ValueError(f"figure training shows one run; {len(found)} of these have epochs")
    run, epochs = found[0]
    return training_figure(epochs, epochs, run.get("metric", "loss"), run["name"])


def metric_of(runs: DataFrame) -> str:
    """The metric of the first run that names one."""
    return next(iter(runs["metric"].dropna()), "loss")


def save(figure: Figure, target: Path) -> None:
    """Write a figure in the format of the file's suffix.

    Raises:
        ValueError: There is no such format.
    """
    known = figure.canvas.get_supported_filetypes()
    suffix = target.suffix.removeprefix(".").lower()
    if suffix not in known:
        raise ValueError(
            f"{f'.{suffix}' if suffix else 'a name without suffix'} is not a figure format; "
            f"allowed: {', '.join(f'.{each}' for each in sorted(known))}"
        )
    write_atomically(target, lambda file: figure.savefig(file, format=suffix))
