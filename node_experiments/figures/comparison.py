"""Comparisons of runs: learning curves, and accuracy against function evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .style import COLORS, log_scale, new_figure, style

__all__ = ["cost_figure", "curves_figure"]

Rows = Sequence[Mapping[str, float]]


def curves_figure(groups: Mapping[str, Sequence[Rows]], tag: str, title: str) -> Figure:
    """A metric against epochs: a line for the mean of each group, a band for its extremes.

    A group is drawn at the epochs for which all of its runs have the metric.

    Args:
        groups: The runs of each group, by label; a run is its epochs, by TensorBoard tag.
        tag: TensorBoard tag of the metric.
    """
    with style():
        figure = new_figure(height=3.8)
        axis = figure.subplots()
        for (label, runs), color in zip(groups.items(), colors(len(groups)), strict=True):
            epochs, values = at_equal_epochs(runs, tag)
            if not epochs:
                continue
            name = label if len(runs) == 1 else f"{label} ({len(runs)} runs)"
            axis.plot(epochs, values.mean(0), label=name, color=color, marker="o", markersize=3)
            if len(runs) > 1:
                axis.fill_between(epochs, values.min(0), values.max(0), color=color, alpha=0.2)
        axis.set_xlabel("epoch")
        axis.set_ylabel(name_of(tag))
        heights = [float(height) for line in axis.lines for height in np.asarray(line.get_ydata())]
        log_scale(axis, "y", heights)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if axis.lines:
            axis.legend()
        several = any(len(runs) > 1 for runs in groups.values())
        figure.suptitle(
            f"{title}\nlines: means over runs, bands: their range" if several else title
        )
    return figure


def at_equal_epochs(runs: Sequence[Rows], tag: str) -> tuple[list[float], NDArray[np.float64]]:
    """The epochs for which all runs have a number, and the numbers, shape `(run, epoch)`."""
    curves = [
        {row["epoch"]: row[tag] for row in run if {"epoch", tag} <= row.keys()} for run in runs
    ]
    epochs = sorted(set.intersection(*map(set, curves))) if curves else []
    return epochs, np.array([[curve[epoch] for epoch in epochs] for curve in curves])


def name_of(tag: str) -> str:
    """Label of a TensorBoard tag.

    >>> name_of("loss/train")
    'loss, train'
    """
    return tag.replace("/", ", ").replace("_", " ")


def cost_figure(groups: Mapping[str, Rows], x: str, y: str, title: str) -> Figure:
    """Metric against cost, one point per run.

    Args:
        groups: The final metrics of each group's runs, by label; metrics are by TensorBoard tag.
        x, y: Tags of the axes.
    """
    with style():
        figure = new_figure(height=3.8)
        axis = figure.subplots()
        for (label, runs), color in zip(groups.items(), colors(len(groups)), strict=True):
            points = [(run[x], run[y]) for run in runs if x in run and y in run]
            if points:
                axis.scatter(*zip(*points, strict=True), label=label, color=color)
        axis.set_xlabel(
            "function evaluations per forward solve" if x == "nfe/forward" else name_of(x)
        )
        axis.set_ylabel(name_of(y))
        if axis.collections:
            axis.legend()
        figure.suptitle(title)
    return figure


def colors(count: int) -> list[str]:
    """`count` colours of the palette, which is repeated if it is too small."""
    palette = list(COLORS.values())
    return [palette[index % len(palette)] for index in range(count)]
