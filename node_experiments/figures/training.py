"""Learning curves of a run, and the cost of its solves."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import COLORS, legend_below, log_scale, new_figure, style

__all__ = ["training_figure"]

Series = Sequence[Mapping[str, float]]
# Training is drawn thin and below the others: it is of batches, the others are of all samples.
SPLITS = {"train": "0.6", "validation": COLORS["orange"], "test": COLORS["blue"]}
# Names of metrics for readers, with their units.
NAMES = {
    "mse": "mean squared error",
    "rmse": "root mean squared error",
    "kl": "KL divergence (nats)",
    "log_likelihood": "log-likelihood (nats)",
    "held_out_nll": "negative log-likelihood of held-out events (nats)",
    "reduction": "distance taken away (fraction)",
    "upright": "height reached (1: upright)",
    "extrapolation": "RMS error of extrapolated logs",
    "rate_error": "largest relative error of a rate",
}


def training_figure(windows: Series, epochs: Series, metric: str, title: str) -> Figure:
    """Loss, metric and function evaluations against training steps; no panel is repeated or empty.

    Args:
        windows: Means over windows of training steps, by TensorBoard tag, with `step`.
        epochs: Metrics of each epoch, likewise.
        metric: The task's metric; accuracy is drawn as its complement, the error in percent.
    """
    with style():
        solved = any(window.get("nfe/forward") for window in windows)
        figure = new_figure(height=3.2)
        axes = list(figure.subplots(1, 1 + (metric != "loss") + solved, squeeze=False)[0])
        draw_splits(axes[0], windows, epochs, "loss", scale=lambda value: value)
        axes[0].set_title("loss")
        if metric == "accuracy":
            draw_splits(axes[1], windows, epochs, metric, scale=lambda value: 100 * (1 - value))
            axes[1].set_title("error (%)")
        elif metric != "loss":
            draw_splits(axes[1], windows, epochs, metric, scale=lambda value: value)
            axes[1].set_title(wrapped(NAMES.get(metric, metric.replace("_", " "))))
        if solved:
            draw_evaluations(axes[-1], windows)
        last = max([1.0, *(row["step"] for row in (*windows, *epochs))])
        for axis in axes:
            # One range for all panels, even if there is only one evaluation.
            axis.set(xlabel="training step", xlim=(-0.03 * last, 1.03 * last))
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        legend_below(figure, axes)
        figure.suptitle(title)
    return figure


def wrapped(name: str) -> str:
    """A title broken into lines that fit the width of a panel."""
    return "\n".join(textwrap.wrap(name, 34))


def draw_splits(
    axis: Axes, windows: Series, epochs: Series, name: str, scale: Callable[[float], float]
) -> None:
    """Draw one metric over training windows and evaluations; log scale if all are positive."""
    shown: list[float] = []
    settled: list[float] = []
    for split, color in SPLITS.items():
        tag = f"{name}/{split}"
        series = windows if split == "train" else epochs
        points = [(row["step"], scale(row[tag])) for row in series if tag in row]
        if not points:
            continue
        steps, values = zip(*points, strict=True)
        shown += values
        settled += values[len(values) // 10 :]
        train = split == "train"
        axis.plot(
            steps, values, label=split, color=color, marker=None if train else "o", markersize=3,
            lw=0.9 if train else 1.4,
        )  # fmt: skip
    finite = [value for value in shown if math.isfinite(value)]
    if finite and min(finite) > 0:
        log_scale(axis, "y", finite)
        return
    # On a linear axis, the first tenth of a training may be far above the rest: limits ignore it.
    settled = [value for value in settled if math.isfinite(value)]
    if settled and max(settled) > min(settled):
        margin = 0.05 * (max(settled) - min(settled))
        axis.set_ylim(min(settled) - margin, max(settled) + margin)


def draw_evaluations(axis: Axes, windows: Series) -> None:
    """Draw function evaluations per solve; backward ones only if there is a backward solve."""
    for tag, label, color in (
        ("nfe/forward", "forward solve", COLORS["green"]),
        ("nfe/backward", "backward solve", COLORS["red"]),
    ):
        points = [(row["step"], row[tag]) for row in windows if tag in row]
        if any(value for _, value in points):
            axis.plot(*zip(*points, strict=True), label=label, color=color, lw=1.4)
    axis.set_title("function evaluations per solve")
    axis.set_ylim(bottom=0)
