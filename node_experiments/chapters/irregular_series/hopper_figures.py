"""Stick figures of the Hopper: one test trajectory and a model's prediction of it."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import COLORS, WIDTH, legend_below, new_figure, style
from ...training.loop import Trainer
from .figures import mean_at_targets, time_label
from .hopper_body import sticks

__all__ = ["hopper_figures"]

INSTANTS = 8
APART = 1.4  # metres from one body to the next: a little more than its length
MARGIN = 0.25  # metres around the true bodies
BEYOND = 0.6  # metres further, if the model's bodies leave that area
BELOW = 0.25  # metres below the ground, for the marks
SCALE = 0.5  # metres: length of the scale bar for x, whose scale is that of the height


def hopper_figures(trainer: Trainer) -> dict[str, Figure]:
    """Stick figures of the first test trajectory, truth and model.

    For extrapolation, the observed part is shown too, for the truth alone.
    """
    model: Any = trainer.model
    data: Any = trainer.data
    batch = next(iter(data.test)).select(torch.tensor([0]))
    model.eval()
    with torch.no_grad(), style():
        mean = mean_at_targets(model, data, batch)
        there = batch.target.mask[0]
        seen_times, seen = points(batch.observed)
        times, truth = points(batch.target)
        before = seen_times < times[0]
        times, truth = torch.cat([seen_times[before], times]), torch.cat([seen[before], truth])
        unpredicted = torch.full_like(seen[before], torch.nan)
        states = torch.cat([unpredicted, mean[0, there]])
        instants = evenly(times, INSTANTS)
        true, predicted = (data.scaling.undo(x[instants]) for x in (truth, states))
        figure = hopper_figure(times[instants], true, predicted, seen_times)
        figure.axes[0].set_xlabel(time_label(data))
        return {"hopper": figure}


def points(series: Any) -> tuple[Tensor, Tensor]:
    """Times `(point,)` and states `(point, dim)` of the only series of a batch."""
    there = series.mask[0]
    return series.times[0, there], series.values[0, there]


def evenly(times: Tensor, count: int) -> Tensor:
    """Indices of the times closest to `count` equally spaced ones, ascending, without repeats."""
    wanted = torch.linspace(float(times[0]), float(times[-1]), count, device=times.device)
    return (times - wanted.unsqueeze(1)).abs().argmin(1).unique()


def hopper_figure(times: Tensor, truth: Tensor, predicted: Tensor, seen: Tensor) -> Figure:
    """Draw bodies from left to right in order of time.

    Each true torso is above its own time, so that only bodies of the same time can be compared
    along x.

    Args:
        times: Times of the bodies, shape `(time,)`.
        truth, predicted: True and predicted states in metres and radians, NaN where there is no
            prediction, shape `(time, 14)`.
        seen: Times of the observations, shape `(observation,)`.
    """
    first, last = float(times[0]), float(times[-1])
    metres = APART * (INSTANTS - 1) / max(last - first, 1e-9)  # per unit of time

    def along(moments: Tensor) -> Tensor:
        return metres * (moments - first)

    shift = along(times) - truth[:, 0]
    true, model = (
        sticks(states) + torch.stack([shift, torch.zeros_like(shift)], -1)[:, None, None]
        for states in (truth, predicted)
    )
    low, high = limits(true, model)
    width = WIDTH
    height = width * 0.92 * float((high - low)[1] / (high - low)[0]) + 0.9
    figure = new_figure(width, height)
    axis = figure.subplots()
    axis.set_aspect("equal")
    axis.set_xlim(float(low[0]), float(high[0]))
    axis.set_ylim(float(low[1]), float(high[1]))
    draw_ground(axis)
    draw_bodies(axis, true, label="truth", color="0.72", linewidths=6.5)
    draw_bodies(axis, model, label="model", color=COLORS["blue"], linewidths=2)
    # Shows which bodies belong together if a model is off by a body's length.
    waists = torch.stack([true[:, 0, 0], model[:, 0, 0]], 1).unsqueeze(1)
    draw_bodies(
        axis,
        waists,
        label="joins truth and model",
        color=COLORS["blue"],
        linewidths=0.8,
        linestyles=":",
    )
    inside = seen[(seen >= first) & (seen <= last)]
    axis.plot(
        along(inside).tolist(), [-BELOW / 3] * len(inside), linestyle="", marker="o",
        markersize=4.5, color="black", markeredgewidth=0, label="observations", zorder=4,
    )  # fmt: skip
    axis.set_xticks(along(times).tolist(), [f"{moment:.2f}" for moment in times.tolist()])
    axis.set_yticks([i / 2 for i in range(int(2 * float(high[1])) + 1)])
    axis.set_ylabel("height (m)")
    legend_below(figure, [axis])
    return figure


def limits(true: Tensor, model: Tensor) -> tuple[Tensor, Tensor]:
    """Lowest and highest (x, z) shown: all of the truth, the ground, and the model if nearby."""
    low, high = true.amin((0, 1, 2)), true.amax((0, 1, 2))
    low[1] = low[1].clamp(max=-BELOW)
    found = model.flatten(0, 2)
    found = found[found.isfinite().all(-1)]
    if len(found):
        low = torch.minimum(low, torch.maximum(found.amin(0), low - BEYOND))
        high = torch.maximum(high, torch.minimum(found.amax(0), high + BEYOND))
    return low - MARGIN, high + MARGIN


def draw_ground(axis: Axes) -> None:
    """Draw the ground, and a scale bar along x."""
    left, bottom = axis.get_xlim()[0] + MARGIN / 2, axis.get_ylim()[0]
    axis.axhspan(bottom, 0, color="0.93", lw=0, zorder=0)
    axis.axhline(0, color="0.3", lw=1.2, zorder=1)
    height = bottom + (MARGIN + BELOW) / 4
    axis.plot([left, left + SCALE], [height, height], color="0.3", lw=2, solid_capstyle="butt")
    axis.text(left + SCALE + 0.06, height, f"{SCALE:g} m", fontsize=8, va="center", color="0.3")


def draw_bodies(axis: Axes, ends: Tensor, **look: Any) -> None:
    """Draw the sticks of all bodies, ends `(time, stick, 2, 2)`, leaving out non-finite ones."""
    lines = ends.flatten(0, 1)
    lines = lines[lines.isfinite().all(-1).all(-1)]
    collection = LineCollection(lines.tolist(), zorder=3, **look)
    collection.set_capstyle("round")
    axis.add_collection(collection, autolim=False)
