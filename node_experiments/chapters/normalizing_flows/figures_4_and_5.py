"""Figures 4 and 5 of Chen et al. 2018 from the files of runs: both kinds of flow side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from ...figures.style import COLORS, SMALLEST, WIDTH, log_scale, new_figure, style
from .draw_panels import draw_density, draw_points, draw_target

__all__ = ["density_matching_figure", "loss_curves_figure", "maximum_likelihood_figure"]

LINES = (":", "--", "-")  # by size, smallest first
Panels = Mapping[str, NDArray]
Curve = Sequence[tuple[float, float]]
KINDS = {
    "planar_nf": ("NF", "K", COLORS["red"], "o", "--"),
    "planar_cnf": ("CNF", "M", COLORS["blue"], "s", "-"),
}


def density_matching_figure(
    targets: Mapping[str, Mapping[tuple[str, int], Mapping[str, Any]]], units: Sequence[int]
) -> Figure:
    """Figure 4: for each target a row with the target, both kinds of flow, and final losses.

    Args:
        targets: Target -> (model, units) -> `panels`, `kl` and `kl_se` in nats.
    """
    columns = 2 + 2 * len(units)
    with style():
        figure = new_figure(height=WIDTH / (columns + 0.9) * len(targets) + 1.0)
        axes = figure.subplots(
            len(targets), columns, squeeze=False, width_ratios=[*[1] * (columns - 1), 1.3]
        )
        for row, (target, runs) in zip(axes, targets.items(), strict=True):
            any_panels = next(run["panels"] for run in runs.values())
            draw_target(row[0], any_panels)
            row[0].set_ylabel(f"{target.upper()}\n$z_2$")
            cells = [(kind, count) for kind in KINDS for count in units]
            for axis, (kind, count) in zip(row[1:-1], cells, strict=True):
                run = runs.get((kind, count))
                axis.tick_params(labelleft=False)
                if run is None:
                    axis.set_axis_off()
                    continue
                panels = run["panels"]
                draw_density(axis, panels["densities"][-1], float(panels["half_width"]))
            draw_losses(row[-1], runs, units)
        share_losses(axes[:, -1])
        axes[0, 0].set_title("target")
        for column, (kind, count) in enumerate(
            [(kind, count) for kind in KINDS for count in units], start=1
        ):
            name, letter, *_ = KINDS[kind]
            axes[0, column].set_title(f"{name}\n{letter} = {count}")
        label_below(axes[:, :-1])
        axes[0, -1].set_title("final KL(q || p)\n(nats)")
        handles, labels = axes[0, -1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower right", ncols=2)
        figure.suptitle("density matching: what NF and CNF of three sizes make of four targets")
        axes[-1, -1].set_xlabel("K or M")
    return figure


def label_below(axes: Any) -> None:
    """Show tick labels and axis label of the first coordinate in the last row only."""
    for axis in axes[:-1].flat:
        axis.tick_params(labelbottom=False)
    for axis in axes[-1]:
        axis.set_xlabel("$z_1$")


def draw_losses(axis: Any, runs: Mapping[tuple[str, int], Any], units: Sequence[int]) -> None:
    """Draw the divergence against the number of units, with two standard errors."""
    for kind, (name, _, color, marker, line) in KINDS.items():
        shown = [(n, runs[kind, n]["kl"], runs[kind, n]["kl_se"]) for n in units
                 if (kind, n) in runs]  # fmt: skip
        if shown:
            x, y, errors = np.array(shown, dtype=float).T
            axis.errorbar(
                x, y, 2 * errors, label=name, color=color, marker=marker, linestyle=line,
                markersize=4,
            )  # fmt: skip
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(units, [str(n) for n in units])
    axis.yaxis.tick_right()
    for each in (axis.xaxis, axis.yaxis):
        each.set_minor_locator(NullLocator())
    axis.tick_params(which="both", labelsize=SMALLEST)


def share_losses(axes: Any) -> None:
    """Set the same limits and powers of ten on all panels of final losses."""
    limits = [axis.get_ylim() for axis in axes]
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    for axis in axes:
        axis.set(ylim=(low, high))
        axis.set_yticks([10.0**power for power in powers], [f"{10.0**n:g}" for n in powers])


def loss_curves_figure(
    targets: Mapping[str, Mapping[tuple[str, int], Mapping[str, Any]]], units: Sequence[int]
) -> Figure:
    """The divergence at evaluations against training steps, a panel for each target, two per row.

    Args:
        targets: Target -> (model, units) -> `curve`, pairs of step and divergence in nats.
    """
    with style():
        columns = min(2, len(targets))
        rows = math.ceil(len(targets) / columns)
        figure = new_figure(height=2.5 * rows + 0.9)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        axes = list(grid.flat)
        for axis in axes[len(targets) :]:
            axis.set_axis_off()
        lengths: dict[str, int] = {}
        for axis, (target, runs) in zip(axes, targets.items(), strict=False):
            values: list[float] = []
            for (kind, count), run in runs.items():
                name, letter, color, marker, _ = KINDS[kind]
                steps, divergences = np.array(run["curve"], dtype=float).T
                lengths[name] = int(steps[-1])
                values += divergences.tolist()
                size = units.index(count) if count in units else 0
                axis.plot(
                    100 * steps / steps[-1], divergences, label=f"{name}, {letter} = {count}",
                    color=color, marker=marker, markersize=3, linestyle=LINES[size % 3],
                    lw=1.6, alpha=(0.45, 0.75, 1.0)[size % 3],
                )  # fmt: skip
            log_scale(axis, "y", values)
            axis.set(xlabel="fraction of the training steps (%)", title=target.upper())
            axis.xaxis.set_tick_params(labelbottom=True)
        for axis in grid[:, 0]:
            axis.set_ylabel("KL(q || p) (nats)")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, handlelength=3.5)
        trained = ", ".join(f"{name}: {count:,} steps" for name, count in lengths.items())
        figure.suptitle(f"divergence while training ({trained})")
    return figure


def maximum_likelihood_figure(
    datasets: Mapping[str, Mapping[str, tuple[Panels, str]]],
) -> Figure:
    """Figure 5: for each dataset, density and samples over time (CNF) or over layers (NF).

    Args:
        datasets: Dataset -> model -> its panels, and a text on the final likelihood.
    """
    any_panels = next(panels for runs in datasets.values() for panels, _ in runs.values())
    fractions = any_panels["untils"]
    rows = [
        (dataset, model, what)
        for dataset, runs in datasets.items()
        for model, what in (
            ("planar_cnf", "density"),
            ("planar_cnf", "samples"),
            ("planar_nf", "density"),
            ("planar_nf", "samples"),
        )
        if model in runs
    ]
    with style():
        figure = new_figure(height=WIDTH / (len(fractions) + 1.9) * len(rows) + 1.0)
        axes = figure.subplots(len(rows), len(fractions) + 1, squeeze=False)
        for row, (dataset, model, what) in zip(axes, rows, strict=True):
            panels, likelihood = datasets[dataset][model]
            half_width = float(panels["half_width"])
            for k in range(len(fractions)):
                if what == "density":
                    draw_density(row[k], panels["densities"][k], half_width)
                else:
                    draw_points(row[k], panels["samples"][k], half_width)
            first_of_data = (dataset, model, what) == next(r for r in rows if r[0] == dataset)
            if first_of_data:
                draw_target(row[-1], panels)
            else:
                row[-1].set_axis_off()
            if what == "samples":
                row[-1].text(
                    0.5, 0.5, f"{KINDS[model][0]}:\n{likelihood}", ha="center", va="center",
                    fontsize=SMALLEST, transform=row[-1].transAxes,
                )  # fmt: skip
            name = dataset.replace("_", " ")
            row[0].set_ylabel(f"{name}\n{KINDS[model][0]}, {what}")
            for axis in row[1:]:
                axis.tick_params(labelleft=False)
        for axis in axes[:-1].flat:
            axis.tick_params(labelbottom=False)
        for k, fraction in enumerate(fractions):
            axes[0, k].set_title(f"{100 * fraction:.0f} %")
        axes[0, -1].set_title("data")
        figure.suptitle("from noise to data: fraction of the time (CNF) or of the layers (NF)")
    return figure
