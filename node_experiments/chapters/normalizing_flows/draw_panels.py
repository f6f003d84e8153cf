"""Panels of the figures of flows, from the arrays that a run keeps; does not import torch."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from numpy.typing import NDArray

from ...figures.style import COLORS

__all__ = ["draw_density", "draw_points", "draw_target"]


def draw_density(axis: Axes, density: NDArray, half_width: float) -> None:
    """Draw a density on a square grid, with colours from 0 to its 99.8th percentile."""
    limits = (-half_width, half_width)
    values = density.astype("f8")
    highest = max(sorted(values.ravel())[int(0.998 * values.size)], 1e-12)
    axis.imshow(
        values,
        origin="lower",
        extent=(*limits, *limits),
        cmap="viridis",
        vmin=0,
        vmax=highest,
        interpolation="bilinear",
    )
    square(axis, half_width)


def draw_points(axis: Axes, points: NDArray, half_width: float) -> None:
    """Draw points `(sample, 2)`."""
    x, y = points.astype("f8").T
    axis.plot(x, y, linestyle="", marker=".", markersize=1.2, color=COLORS["blue"], alpha=0.6)
    square(axis, half_width)


def draw_target(axis: Axes, panels: Mapping[str, NDArray]) -> None:
    """Draw the target of a flow: a density, or points."""
    if "target" in panels:
        draw_density(axis, panels["target"], float(panels["half_width"]))
    else:
        draw_points(axis, panels["test"], float(panels["half_width"]))


def square(axis: Axes, half_width: float) -> None:
    """Set the same square limits and ticks for all panels."""
    axis.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width), aspect="equal")
    tick = float(f"{0.7 * half_width:.1g}")
    axis.set_xticks([-tick, 0, tick])
    axis.set_yticks([-tick, 0, tick])
    axis.tick_params(labelsize=8)
    axis.grid(False)
