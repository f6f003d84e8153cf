"""Figures over many runs, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..chapters.image_classification import figure3_report as figure3
from ..chapters.normalizing_flows import (
    figure4,
    figure5,
)
from ..reports.tables import (
    show,
    what_varies,
)
from ..runs.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "labelled"]


def curves(runs: Sequence[Run], title: str, tag: str | None = None) -> Figure:
    """The metric on test data against epochs; seeds of a setting are drawn together.

    Args:
        tag: TensorBoard tag of another number.
    """
    from ..figures.comparison import curves_figure

    groups = {label: [run.epochs for run in group] for label, group in labelled(runs).items()}
    return curves_figure(groups, tag or f"{metric_of(runs)}/test", title)


def cost(runs: Sequence[Run], title: str) -> Figure:
    """The metric on test data against evaluations of a forward solve."""
    from ..figures.comparison import cost_figure

    groups = {label: [run.metrics for run in group] for label, group in labelled(runs).items()}
    return cost_figure(groups, "nfe/forward", f"{metric_of(runs)}/test", title)


# A name -> the figure, from runs and a title.
FIGURES: dict[str, Callable[[Sequence[Run], str], Figure]] = {
    "curves": curves,
    "loss_curves": partial(curves, tag="loss/train"),
    "cost": cost,
    "figure3": figure3.panels,
    "figure4": figure4.panels,
    "figure4_curves": figure4.curves,
    "figure5": figure5.panels,
}


def labelled(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs that have something to show, by what varies between them."""
    shown = [run for run in runs if run.epochs]
    varying = what_varies(shown)
    groups: dict[str, list[Run]] = {}
    for run in shown:
        label = ", ".join(show(run.settings.get(name)) for name in varying) or run.name
        groups.setdefault(label, []).append(run)
    return groups


def metric_of(runs: Sequence[Run]) -> str:
    """The metric of the first run that names one."""
    return next((run.metric for run in runs if run.metric), "loss")
