"""Figures of models of spirals (Chen et al. 2018, Figures 8, 9 and 10)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ...data.time_series import SeriesBatch, TimeSeries
from ...figures.style import (
    COLORS,
    TRUTH,
    legend_below,
    mark_start,
    new_figure,
    set_equal_aspect,
    style,
)
from ...tracking.animation import Animation
from ...training.loop import Callback, Trainer
from .figure6 import data_flow_figure

__all__ = [
    "latent_ode_callbacks",
    "latent_ode_figures",
    "reconstruction_frame",
    "recurrent_figures",
]

SHOWN = 4  # test series in a figure
COUNTS = (10, 20, 30, 50, 100)  # numbers of observations in Figure 10
DIRECTIONS = ("counter-clockwise", "clockwise")
STEPS = {"mean_gap": "in steps of the mean gap", "target": "from target to target"}
# Diverging, but with a dark middle that is visible on white.
SHIFTS = LinearSegmentedColormap.from_list(
    "shifts", [COLORS["sky"], COLORS["blue"], "0.1", COLORS["red"], COLORS["orange"]]
)


def latent_ode_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figures 6, 8 (b and c), 9 and 10, from the test series."""
    model: Any = trainer.model
    batch = trainer.data.test.data
    shown = first_of_each_direction(batch, SHOWN // 2)
    model.eval()
    with torch.no_grad(), style():
        return {
            "figure6": data_flow_figure(model, shown.select(torch.tensor([0]))),
            "figure8": latent_ode_figure(model, shown, batch),
            "figure9": latent_coordinates_figure(model, batch),
            "figure10": observations_figure(model, shown),
        }


def latent_ode_callbacks(folder: Path) -> list[Callback]:
    """Callback that writes an animation of the training."""
    return [Animation(folder / "figures" / "training.gif", reconstruction_frame)]


def recurrent_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure 8 a: one-step predictions, then forecasts by both kinds of rollout."""
    model: Any = trainer.model
    batch = trainer.data.test.data
    shown = first_of_each_direction(batch, SHOWN // 2)
    model.eval()
    with torch.no_grad(), style():
        assert shown.future is not None
        series = shown.observed.packed()
        inside = torch.cat([series.values[:, :1], model.one_step(series)], 1)
        beyond = model.forecast(shown.observed, shown.future.times)
        other = next(way for way in model.ROLLOUTS if way != model.rollout)
        otherwise = model.forecast(shown.observed, shown.future.times, rollout=other)
        figure = new_figure(height=6.6)
        axes = figure.subplots(2, SHOWN // 2, squeeze=False).ravel()[: len(shown)]
        for i, axis in enumerate(axes):
            limit_to_curve(axis, shown, i)
            axis.plot(
                *otherwise[i].T.tolist(), color=COLORS["purple"], lw=1.2, ls=":",
                label=f"forecast in other steps ({STEPS[other]})",
            )  # fmt: skip
            names = ("one step ahead", f"forecast ({STEPS[model.rollout]})")
            draw_series(axis, shown, i, inside[i], beyond[i], names)
        label_plane(axes[2:], axes[::2])
        legend_below(figure, axes, columns=3)
        kind = "RNN with time gaps" if model.reads_gaps else "RNN"
        figure.suptitle(f"{kind}: spirals continued from {observations_of(shown)}")
        return {"figure8": figure}


def latent_ode_figure(model: Any, shown: SeriesBatch, batch: SeriesBatch) -> Figure:
    """Figure of reconstructions with extrapolation, and of latent trajectories by direction."""
    figure = new_figure(height=5.6)
    panels = figure.subplot_mosaic([[0, 1, "z"], [2, 3, "z"]], width_ratios=(1, 1, 0.95))
    axes = [panels[i] for i in range(len(shown))]
    for i in range(len(shown), SHOWN):
        panels[i].set_axis_off()
    inside, beyond = reconstruct(model, shown)
    for i, axis in enumerate(axes):
        limit_to_curve(axis, shown, i)
        draw_series(axis, shown, i, inside[i], beyond[i])
    label_plane(axes[2:], axes[::2])
    latent = panels["z"]
    some = batch.select(torch.arange(min(60, len(batch))))
    mean, _ = model.encode(some.observed)
    zs = model.trajectory(mean, some.window.times)[..., :2]
    for label, color in ((0, COLORS["green"]), (1, COLORS["purple"])):
        paths = zs[some.label == label].tolist()
        latent.add_collection(LineCollection(paths, colors=color, lw=0.8, alpha=0.8))
        latent.plot([], [], color=color, label=f"{DIRECTIONS[label]}, latent")
    starts = zs[:, 0].T.tolist()
    latent.plot(*starts, "o", ms=3, mfc="white", mec="0.3", mew=0.6)
    latent.autoscale()
    set_equal_aspect(latent)
    latent.set_title(f"latent trajectories of {len(some)} series")
    latent.set(xlabel="$z_1$", ylabel="$z_2$")
    legend_below(figure, [*axes, latent], columns=4)
    figure.suptitle(f"latent ODE: spirals continued from {observations_of(shown)}")
    return figure


def latent_coordinates_figure(model: Any, batch: SeriesBatch) -> Figure:
    """Figure of decoded trajectories as each coordinate of z0 varies around its mean."""
    mean, _ = model.encode(batch.observed)
    centre, spread = mean.mean(0), mean.std(0)
    latent = len(centre)
    columns = min(latent, 4)
    rows = -(-latent // columns)
    figure = new_figure(height=2.4 * rows + 0.7)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = list(grid.flat)[:latent]
    for axis in list(grid.flat)[latent:]:
        axis.set_axis_off()
    steps = torch.linspace(-2, 2, 9)
    norm = Normalize(-2, 2)
    lines: Any = None
    for k, axis in enumerate(axes):
        z0 = centre.repeat(len(steps), 1)
        z0[:, k] += steps.to(z0) * spread[k]
        paths = model.decode(z0, batch.window.times[:1]).cpu().numpy()
        lines = LineCollection(list(paths), cmap=SHIFTS, norm=norm, linewidths=1.4)
        lines.set_array(steps.numpy())
        axis.add_collection(lines)
        axis.autoscale()
        for path, step in zip(paths, steps.tolist(), strict=True):
            mark_start(axis, path[0], SHIFTS(norm(step)), size=4)
        set_equal_aspect(axis)
        axis.set_title(f"$z_{k + 1}(0)$ varies")
    label_plane(axes[-columns:], grid[:, 0])
    bar = figure.colorbar(lines, ax=axes, pad=0.01, ticks=[-2, -1, 0, 1, 2])
    bar.set_label("shift from the mean, in standard\ndeviations over the test series")
    figure.suptitle("what each coordinate of the latent state does; circles: start")
    return figure


def observations_figure(model: Any, shown: SeriesBatch) -> Figure:
    """Figure of reconstructions of the same series from increasing numbers of noisy points."""
    rows = first_of_each_direction(shown, 1)
    counts = [n for n in COUNTS if n <= rows.window.noisy.shape[1]]
    figure = new_figure(height=1.7 * len(rows) + 1.2)
    axes = figure.subplots(len(rows), len(counts), squeeze=False, sharex="row", sharey="row")
    for column, count in enumerate(counts):
        fewer = with_observations(rows, count)
        inside, beyond = reconstruct(model, fewer)
        for i, axis in enumerate(axes[:, column]):
            draw_series(axis, fewer, i, inside[i], beyond[i])
            axis.set_title(f"{count} observations" if i == 0 else "")
    for row, axis in enumerate(axes[:, 0]):
        limit_to_curve(axis, rows, row, shape=1.0)
    label_plane(axes[-1], axes[:, 0])
    legend_below(figure, [axes[0, 0]])
    figure.suptitle("latent ODE: the same two series from ever more observations")
    return figure


def reconstruction_frame(trainer: Trainer) -> Figure:
    """Animation frame: current reconstruction and forecast of one series of each direction."""
    model: Any = trainer.model
    shown = first_of_each_direction(trainer.data.test.data, 1)
    model.eval()
    with torch.no_grad(), style():
        inside, beyond = reconstruct(model, shown)
        figure = new_figure(height=4.2)
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for i, axis in enumerate(axes):
            limit_to_curve(axis, shown, i)
            draw_series(axis, shown, i, inside[i], beyond[i])
        label_plane(axes, axes)
        legend_below(figure, axes)
        figure.suptitle(f"latent ODE after {trainer.step:,} training steps")
    return figure


def first_of_each_direction(batch: SeriesBatch, count: int) -> SeriesBatch:
    """Select the first `count` series of each direction, alternating between directions."""
    found = [(batch.label == label).nonzero().flatten()[:count].tolist() for label in (0, 1)]
    pairs = [index for pair in zip_longest(*found) for index in pair if index is not None]
    return batch.select(torch.tensor(pairs))


def observations_of(shown: SeriesBatch) -> str:
    """Text with the number of points of a window that a model sees."""
    return f"{shown.observed.values.shape[1]} noisy points"


def reconstruct(model: Any, batch: SeriesBatch) -> tuple[Tensor, Tensor]:
    """Decoded windows and futures from the posterior mean, `(batch, time, dim)` each."""
    assert batch.future is not None
    times = torch.cat([batch.window.times, batch.future.times], 1)
    decoded = model.forecast(batch.observed, times)
    return decoded.split([batch.window.times.shape[1], batch.future.times.shape[1]], 1)


def with_observations(batch: SeriesBatch, count: int) -> SeriesBatch:
    """The same series, observed at `count` points of their windows."""
    window = batch.window
    generator = torch.Generator().manual_seed(count)
    order = torch.rand(window.noisy.shape[:2], generator=generator).argsort(1)
    chosen = order[:, :count].sort(1).values.to(window.noisy.device)
    values = window.noisy.gather(1, chosen.unsqueeze(-1).expand(-1, -1, window.noisy.shape[-1]))
    observed = TimeSeries.validated(window.times[0][chosen], values)
    return SeriesBatch(observed, window, batch.future, batch.label)


def draw_series(
    axis: Axes,
    batch: SeriesBatch,
    i: int,
    inside: Tensor,
    beyond: Tensor,
    names: tuple[str, str] = ("reconstruction", "extrapolation"),
) -> None:
    """Truth, observations, and a model's curve inside and beyond the observed range.

    Args:
        inside, beyond: Shape `(time, 2)`.
        names: Legend labels of these two.
    """
    assert batch.future is not None
    truth = torch.cat([batch.window.clean[i], batch.future.clean[i]])
    axis.plot(*truth.T.tolist(), color=TRUTH, lw=4, alpha=0.7, label="true curve")
    axis.plot(*inside.T.tolist(), color=COLORS["blue"], lw=1.5, label=names[0])
    # From the last point inside: one curve, in two colours.
    joined = torch.cat([inside[-1:], beyond])
    axis.plot(*joined.T.tolist(), color=COLORS["red"], lw=1.5, linestyle="--", label=names[1])
    seen = batch.observed.values[i][batch.observed.mask[i]]
    axis.plot(
        *seen.T.tolist(), linestyle="", marker="o", markersize=3, color="black",
        markeredgewidth=0, label="observations",
    )  # fmt: skip
    mark_start(axis, truth[0].tolist(), "0.3", label="start")
    axis.set_title(DIRECTIONS[int(batch.label[i])])


def limit_to_curve(axis: Axes, batch: SeriesBatch, i: int, shape: float = 1.2) -> None:
    """Set axis limits that show the curve and its observations, with equal scales.

    The limits do not depend on the forecast.

    Args:
        shape: Width of the panel over its height.
    """
    assert batch.future is not None
    seen = batch.observed.values[i][batch.observed.mask[i]]
    whole = torch.cat([batch.window.clean[i], batch.future.clean[i], seen])
    low, high = whole.min(0).values, whole.max(0).values
    middle = ((low + high) / 2).tolist()
    wide, tall = (0.56 * (high - low)).tolist()
    tall = max(tall, wide / shape)
    xlim, ylim = (
        (centre - half, centre + half)
        for centre, half in zip(middle, (shape * tall, tall), strict=True)
    )
    axis.set(xlim=xlim, ylim=ylim, aspect="equal")
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))


def label_plane(bottom: Iterable[Axes], left: Iterable[Axes]) -> None:
    """Label the axes: x1 below the panels `bottom`, x2 beside the panels `left`."""
    for axis in bottom:
        axis.set_xlabel("$x_1$ (data units)")
    for axis in left:
        axis.set_ylabel("$x_2$ (data units)")
