"""Plot of Figure 3 of Chen et al. 2018: cost and error of the solves of a trained ODE block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...figures.style import COLORS, new_figure, style

__all__ = ["block_solves_figure"]

# Method, or method and error norm of the backward solve -> label, colour and marker.
STYLES = {
    "dopri5": ("dopri5", COLORS["blue"], "o"),
    "dopri5, seminorm": ("dopri5, seminorm", COLORS["green"], "^"),
    "scipy_vode_adams": ("SciPy's Adams", COLORS["orange"], "s"),
}


def block_solves_figure(measured: Mapping[str, Any], title: str) -> Figure:
    """Draw panels a to d, as in the paper.

    Args:
        measured: The result of `figure3_measure.block_solves`, with `epochs` (epoch and forward
            evaluations of each), `clock` and `threads`.
    """
    with style():
        figure = new_figure(height=6.8)
        (error, time), (backward, epochs) = figure.subplots(2, 2)
        draw_error(error, measured)
        draw_time(time, measured)
        draw_backward(backward, measured)
        draw_epochs(epochs, measured["epochs"])
        low, high = measured["tolerances"][-1], measured["tolerances"][0]
        figure.suptitle(
            f"{title}: {measured['images']} images, tolerances {high:g} to {low:g}, "
            f"{measured['precision']}"
        )
    return figure


def draw_error(axis: Axes, measured: Mapping[str, Any]) -> None:
    """Numerical error against forward evaluations."""
    for method, found in measured["forward"].items():
        draw_curve(axis, method, found["evaluations"], found["error"])
    axis.set(xscale="log", yscale="log", xlabel="forward evaluations")
    axis.set_ylabel("error of the block's output\n(root mean square, relative)")
    axis.set_title("(a) numerical error")
    axis.legend()


def draw_time(axis: Axes, measured: Mapping[str, Any]) -> None:
    """Time of a forward solve against forward evaluations."""
    highest = 0.0
    for method, found in measured["forward"].items():
        draw_curve(axis, method, found["evaluations"], [1e3 * s for s in found["seconds"]])
        each = [s / n for s, n in zip(found["seconds"], found["evaluations"], strict=True)]
        highest = max(highest, *each)
    evaluations = [n for f in measured["forward"].values() for n in f["evaluations"]]
    ends = (min(evaluations), max(evaluations))
    longest = max(measured["forward"].values(), key=lambda found: found["evaluations"][-1])
    cost = 1e3 * longest["seconds"][-1] / longest["evaluations"][-1]
    axis.plot(ends, [cost * n for n in ends], color="0.5", lw=1, ls=":", label="proportional")
    axis.set(xscale="log", yscale="log", xlabel="forward evaluations")
    clock = "CPU" if measured["clock"] == "processor" else measured["clock"]
    axis.set_ylabel(f"{clock} time per solve (ms)")
    axis.set_title("(b) time of the forward solve")
    axis.legend()


def draw_backward(axis: Axes, measured: Mapping[str, Any]) -> None:
    """Backward against forward evaluations, with lines at ratios of 1 and 1/2."""
    for gradient, found in measured["backward"].items():
        draw_curve(axis, gradient, found["forward"], found["backward"])
    forward = [n for found in measured["backward"].values() for n in found["forward"]]
    ends = (min(forward), max(forward))
    axis.plot(ends, ends, color="0.5", lw=1, ls=":", label="equal")
    axis.plot(ends, [n / 2 for n in ends], color="0.2", lw=1, ls="--", label="half (paper)")
    axis.set(xscale="log", yscale="log", xlabel="forward evaluations")
    axis.set_ylabel("backward evaluations")
    axis.set_title("(c) backward solve of the adjoint")
    axis.legend()


def draw_epochs(axis: Axes, epochs: list[Mapping[str, float]]) -> None:
    """Forward evaluations against training epoch."""
    axis.set(xlabel="training epoch", ylabel="forward evaluations per solve")
    axis.set_title("(d) depth while training")
    if not epochs:
        axis.text(0.5, 0.5, "no metrics.jsonl", ha="center", transform=axis.transAxes)
        return
    numbers, evaluations = zip(*((row["epoch"], row["forward"]) for row in epochs), strict=True)
    axis.plot(numbers, evaluations, color=COLORS["blue"], marker="o", markersize=4)
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axis.set_ylim(0, 1.15 * max(evaluations))


def draw_curve(axis: Axes, name: str, x: list[float], y: list[float]) -> None:
    """Draw one curve in its style of `STYLES`."""
    label, color, marker = STYLES[name]
    # A wide line with hollow markers stays visible under a curve that coincides with it.
    ring = name == "dopri5, seminorm"
    axis.plot(
        x, y, label=label, color=color, marker=marker, markersize=10 if ring else 5,
        markerfacecolor="none" if ring else color, linewidth=4 if ring else 1.6,
        alpha=0.6 if ring else 1, zorder=1.9 if ring else 2,
    )  # fmt: skip
