"""How a run learned, and what its solves cost meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import (
    COLORS,
    new_figure,
    style,
)

__all__ = ["training_figure"]

Series = Sequence[Mapping[str, float]]
SPLITS = {"train": COLORS["sky"], "validation": COLORS["orange"], "test": COLORS["blue"]}


def training_figure(windows: Series, epochs: Series, metric: str, title: str) -> Figure:
    """Loss, error and function evaluations against training steps.

    Args:
        windows: Means over windows of training steps, by TensorBoard tag, with `step`.
        epochs: Metrics of each epoch, likewise.
        metric: The task's metric; a share such as accuracy is drawn as its complement in percent.
    """
    with style():
        has_solver = any("nfe/forward" in window for window in windows)
        figure = new_figure(width=10.0 if has_solver else 7.0)
        axes = figure.subplots(1, 3 if has_solver else 2)
        draw_splits(axes[0], windows, epochs, "loss", scale=lambda value: value)
        axes[0].set_ylabel("loss (nats)")
        if metric == "accuracy":
            draw_splits(axes[1], windows, epochs, metric, scale=lambda value: 100 * (1 - value))
            axes[1].set_ylabel("error (%)")
        else:
            draw_splits(axes[1], windows, epochs, metric, scale=lambda value: value)
            axes[1].set_ylabel(metric)
        axes[0].legend()
        if has_solver:
            draw_evaluations(axes[2], windows)
        for axis in axes:
            axis.set_xlabel("training step")
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        figure.suptitle(title)
    return figure


def draw_splits(
    axis: Axes, windows: Series, epochs: Series, name: str, scale: Callable[[float], float]
) -> None:
    """One metric on training windows and at the evaluations; log scale where all are positive."""
    lowest = math.inf
    for split, color in SPLITS.items():
        tag = f"{name}/{split}"
        series = windows if split == "train" else epochs
        points = [(row["step"], scale(row[tag])) for row in series if tag in row]
        if not points:
            continue
        steps, values = zip(*points, strict=True)
        lowest = min(lowest, *values)
        marker = None if split == "train" else "o"
        axis.plot(steps, values, label=split, color=color, marker=marker, markersize=4)
    axis.set_yscale("log" if lowest > 0 else "symlog")


def draw_evaluations(axis: Axes, windows: Series) -> None:
    """Evaluations of the vector field per solve."""
    for tag, label, color in (
        ("nfe/forward", "forward", COLORS["blue"]),
        ("nfe/backward", "backward", COLORS["red"]),
    ):
        points = [(row["step"], row[tag]) for row in windows if tag in row]
        steps, values = zip(*points, strict=True)
        axis.plot(steps, values, label=label, color=color)
    axis.set_ylabel("function evaluations per solve")
    axis.set_ylim(bottom=0)
    axis.legend()
