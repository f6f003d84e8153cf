"""Pictures of the results, readable at 900 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axis import Axis
from matplotlib.ticker import LogLocator, NullLocator

__all__ = ["draw_accuracy", "draw_rows", "draw_scaling"]

# Okabe & Ito's palette, which most colour-blind readers can tell apart.
COLOURS = {
    "ours": "#0072B2",
    "torchdiffeq": "#E69F00",
    "torchode": "#009E73",
    "diffrax": "#CC79A7",
}
RUN_LOOKS = {
    "bosh3": ("#0072B2", "o"),
    "dopri5": ("#56B4E9", "^"),
    "torchdiffeq backprop": ("#E69F00", "s"),
    "torchdiffeq adjoint": ("#D55E00", "D"),
}
HATCHES = {"ours": "", "torchdiffeq": "//", "torchode": "..", "diffrax": "xx"}


def draw_rows(report: dict[str, Any], path: Path) -> None:
    """The time of every contender, a panel for each row."""
    rows = list(report["rows"].values())
    heights = [len(row["results"]) + 1.6 for row in rows]
    figure, axes = plt.subplots(
        len(rows),
        figsize=(9, 0.27 * sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for ax, row in zip(axes[:, 0], rows, strict=True):
        results = row["results"][::-1]
        times = [1e3 * result["seconds"] for result in results]
        packages = [result["package"] for result in results]
        bars = ax.barh(
            [result["name"] for result in results],
            times,
            color=[COLOURS[package] for package in packages],
            hatch=[HATCHES[package] for package in packages],
            edgecolor="white",
            linewidth=0,
        )
        ax.bar_label(
            bars,
            [f" {time:,.0f} ms" if time >= 100 else f" {time:.3g} ms" for time in times],
            fontsize=9,
        )
        ax.set_xscale("log")
        # A bar on a logarithmic axis has no natural start.
        ax.set_xlim(min(times) / 2, max(times) * 1.8)
        plain_numbers(ax.xaxis)
        ax.tick_params(labelsize=9)
        ax.set_title(row["title"], fontsize=10, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel("ms, median, logarithmic", fontsize=9)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def plain_numbers(axis: Axis) -> None:
    """1, 2, 5, 10 instead of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def draw_scaling(report: dict[str, Any], path: Path) -> None:
    """Time against each size, with the fitted slope."""
    axes_found = list(report["scaling"].values())
    figure, axes = plt.subplots(2, 3, figsize=(9, 5.6), sharey=True, layout="constrained")
    styles = zip(("#0072B2", "#E69F00"), ("o", "s"), strict=True)
    looks = dict(zip(axes_found[0]["seconds"], styles, strict=True))
    for ax, found in zip(axes.flat, axes_found, strict=False):
        for way, (colour, marker) in looks.items():
            times = [1e3 * value for value in found["seconds"][way]]
            label = f"{way}: slope {found['slopes'][way]:.2f}"
            ax.loglog(found["sizes"], times, color=colour, marker=marker, ms=4, label=label)
        ax.set_xlabel(found["label"], fontsize=9)
        plain_numbers(ax.yaxis)
        ax.tick_params(labelsize=8)
        ax.legend(fontsize=7, loc="upper left")
        ax.grid(True, alpha=0.3)
    for ax in axes[:, 0]:
        ax.set_ylabel("ms of the processor", fontsize=9)
    for ax in axes.flat[len(axes_found) :]:
        ax.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_accuracy(report: dict[str, Any], path: Path) -> None:
    """Error on the test images against seconds of training."""
    figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, run in report["runs"].items():
        colour, marker = RUN_LOOKS[name]
        seconds = [point["seconds"] for point in run["history"]]
        errors = [100 * point["error"] for point in run["history"]]
        ax.loglog(seconds, errors, color=colour, marker=marker, ms=4, label=name)
    ax.axhline(1, color="0.4", lw=0.8, ls="--")
    plain_numbers(ax.xaxis)
    plain_numbers(ax.yaxis)
    ax.set_xlabel("seconds of training steps", fontsize=9)
    ax.set_ylabel("error on the test images, %", fontsize=9)
    ax.tick_params(labelsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=9)
    figure.savefig(path, dpi=100)
    plt.close(figure)
