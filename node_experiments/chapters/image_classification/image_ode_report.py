"""Plain and augmented ODEs on the pixels of digits, over seeds: a table and training curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pandas import DataFrame

from ...reports.grouped import measured
from ...reports.records import group_runs, not_finite, trainings
from ...reports.table import Cell, ReportTable
from ...runs.frame import read_epochs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["image_ode_table", "training_curves"]

Runs = Sequence[Mapping[str, Any]]
COLUMNS = {
    "accuracy/test": ("test accuracy", 1.0, ".4f"),
    "loss/test": ("test loss", 1.0, ".3f"),
    "loss/train": ("training loss", 1.0, ".3f"),
    "nfe/forward": ("evaluations per solve", 1.0, ".0f"),
}


def group_by_augment(runs: DataFrame) -> dict[int, list[Mapping[str, Any]]]:
    """Runs of an ODE on pixels by their number of augmented channels, sorted by it.

    Among runs that differ in nothing else, the last uninterrupted one of each seed.
    """
    uninterrupted = [
        run
        for run in trainings(runs)
        if run.get("config.model.name") == "image_ode" and run["status"] != "interrupted"
    ]
    return group_runs(uninterrupted, lambda run: int(run["config.model.augment"]))


def describe_kind(augment: int) -> str:
    """Describe the kind of a neural ODE."""
    return f"augmented by {augment}" if augment else "plain"


def image_ode_table(runs: DataFrame) -> ReportTable:
    """Table of accuracy, losses and evaluations over seeds, with the number of failed runs."""
    rows, counted = [], []
    for augment, members in group_by_augment(runs).items():
        done = [run for run in members if run["status"] == "completed"]
        counted += done
        parameters = Cell.number(int(done[0]["parameters"]), ",") if done else None
        rows.append(
            [
                describe_kind(augment),
                parameters,
                len(members),
                *measured(done, COLUMNS),
                len(members) - len(done),
            ]
        )
    return ReportTable.of(
        "ODEs on the pixels of digits",
        [
            "neural ODE",
            "parameters",
            "seeds",
            *(name for name, *_ in COLUMNS.values()),
            "failures",
        ],
        rows,
        caption="Of the last epoch, mean ± sample standard deviation over seeds; evaluations are "
        "those of a training solve.",
        notes=[
            "A failure is a run that did not end, as when the solver gave up.",
            *not_finite(counted, COLUMNS),
        ],
        missing="-",
    )


def training_curves(runs: DataFrame, title: str) -> Figure:
    """node-report figure anode_mnist: losses and evaluations against epochs, a line for each run.

    Raises:
        ValueError: There is none.
    """
    from ...figures.style import COLORS, new_figure, style  # imported only to draw

    kinds = group_by_augment(runs)
    if not kinds:
        raise ValueError(
            "there is no run of anode_mnist; make some with node-run sweep=anode_mnist"
        )
    panels = {
        "loss/train": "training loss",
        "accuracy/test": "test accuracy",
        "nfe/forward": "function evaluations per solve",
    }
    with style():
        figure = new_figure(width=9.0, height=3.2)
        axes = figure.subplots(1, len(panels))
        for (augment, members), color in zip(
            kinds.items(), ("red", "blue", "green"), strict=False
        ):
            for number, run in enumerate(members):
                lines = read_epochs(run["directory"])
                for axis, tag in zip(axes, panels, strict=True):
                    found = [(line["epoch"], line[tag]) for line in lines if tag in line]
                    axis.plot([x for x, _ in found], [y for _, y in found], "o-", ms=3,
                              color=COLORS[color],
                              label=None if number else describe_kind(augment))  # fmt: skip
        for axis, label in zip(axes, panels.values(), strict=True):
            axis.set_title(label, fontsize=11)
            axis.set_xlabel("epoch")
        axes[0].legend()
        figure.suptitle("an ODE on the pixels of digits; a line for each seed")
    return figure
