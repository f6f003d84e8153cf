"""What a model makes of spirals (Chen et al. 2018, Figures 8, 9 and 10)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from ...data.time_series import (
    SeriesBatch,
    TimeSeries,
)
from ...figures.style import (
    COLORS,
    new_figure,
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
COUNTS = (10, 20, 30, 50, 100)  # of Figure 10
DIRECTIONS = ("counter-clockwise", "clockwise")


def latent_ode_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figures 6, 8 (b and c), 9 and 10, from the test series."""
    model: Any = trainer.model
    batch = trainer.data.test.data
    shown = batch.select(torch.arange(min(SHOWN, len(batch))))
    model.eval()
    with torch.no_grad(), style():
        return {
            "figure6": data_flow_figure(model, shown.select(torch.tensor([0]))),
            "figure8": latent_ode_figure(model, shown, batch),
            "figure9": latent_coordinates_figure(model, batch),
            "figure10": observations_figure(model, shown),
        }


def latent_ode_callbacks(folder: Path) -> list[Callback]:
    """An animation of the training."""
    return [Animation(folder / "figures" / "training.gif", reconstruction_frame)]


def recurrent_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure 8 a: one-step predictions, then both ways to roll out."""
    model: Any = trainer.model
    batch = trainer.data.test.data
    shown = batch.select(torch.arange(min(SHOWN, len(batch))))
    model.eval()
    with torch.no_grad(), style():
        series = shown.observed.packed()
        inside = torch.cat([series.values[:, :1], model.one_step(series)], 1)
        beyond = model.forecast(shown.observed, shown.future.times)
        other = next(way for way in model.ROLLOUTS if way != model.rollout)
        otherwise = model.forecast(shown.observed, shown.future.times, rollout=other)
        figure = new_figure(width=2.6 * len(shown), height=3.1)
        axes = figure.subplots(1, len(shown), squeeze=False)[0]
        for i, axis in enumerate(axes):
            name = f"rolled out by {other.replace('_', ' ')}"
            axis.plot(*otherwise[i].T.tolist(), color=COLORS["purple"], lw=1.2, ls=":", label=name)
            draw_series(axis, shown, i, inside[i], beyond[i], "one step ahead")
            limit_to_curve(axis, shown, i)
        label_row(figure, axes)
        figure.suptitle(f"RNN, {shown.observed.values.shape[1]} observations")
        return {"figure8": figure}


def latent_ode_figure(model: Any, shown: SeriesBatch, batch: SeriesBatch) -> Figure:
    """Reconstructions with extrapolation, and the latent trajectories by direction."""
    figure = new_figure(width=2.6 * (len(shown) + 1) + 0.4, height=3.1)
    axes = figure.subplots(1, len(shown) + 1)
    inside, beyond = reconstruct(model, shown)
    for i, axis in enumerate(axes[:-1]):
        draw_series(axis, shown, i, inside[i], beyond[i], "reconstruction")
    label_row(figure, axes[:-1])
    some = batch.select(torch.arange(min(60, len(batch))))
    mean, _ = model.encode(some.observed)
    zs = model.trajectory(mean, some.window.times)
    for label, color in ((0, COLORS["blue"]), (1, COLORS["orange"])):
        for k, z in enumerate(zs[some.label == label]):
            name = DIRECTIONS[label] if k == 0 else None
            axes[-1].plot(*z[:, :2].T.tolist(), color=color, lw=0.8, alpha=0.8, label=name)
    axes[-1].set(title="latent trajectories", xlabel="$z_1$", ylabel="$z_2$")
    axes[-1].legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.28))
    figure.suptitle(f"latent ODE, {shown.observed.values.shape[1]} observations")
    return figure


def latent_coordinates_figure(model: Any, batch: SeriesBatch) -> Figure:
    """Decoded trajectories while one coordinate of z0 varies around the mean of two series."""
    mean, _ = model.encode(batch.observed)
    centre, spread = mean.mean(0), mean.std(0)
    latent = len(centre)
    figure = new_figure(width=2.6 * latent + 0.6, height=3.1)
    axes = figure.subplots(1, latent, squeeze=False)[0]
    steps = torch.linspace(-2, 2, 9)
    norm = matplotlib.colors.Normalize(-2, 2)
    lines: Any = None
    for k, axis in enumerate(axes):
        z0 = centre.repeat(len(steps), 1)
        z0[:, k] += steps.to(z0) * spread[k]
        paths = model.decode(z0, batch.window.times[:1]).cpu().numpy()
        lines = LineCollection(list(paths), cmap="viridis", norm=norm, linewidths=1.5)
        lines.set_array(steps.numpy())
        axis.add_collection(lines)
        axis.autoscale()
        axis.set_title(f"varying $z_{k + 1}(0)$")
    label_row(figure, axes, legend=False)
    bar = figure.colorbar(lines, ax=list(axes), pad=0.01)
    bar.set_label("shift of z(0)\n(standard deviations)")
    return figure


def observations_figure(model: Any, shown: SeriesBatch) -> Figure:
    """Reconstructions of the same series from ever more of their noisy points."""
    rows = shown.select(torch.arange(min(2, len(shown))))
    counts = [n for n in COUNTS if n <= rows.window.noisy.shape[1]]
    figure = new_figure(width=2.3 * len(counts), height=2.4 * len(rows) + 0.8)
    axes = figure.subplots(len(rows), len(counts), squeeze=False, sharex="row", sharey="row")
    for column, count in enumerate(counts):
        fewer = with_observations(rows, count)
        inside, beyond = reconstruct(model, fewer)
        for i, axis in enumerate(axes[:, column]):
            draw_series(axis, fewer, i, inside[i], beyond[i], "reconstruction")
            axis.set_title(f"{count} observations" if i == 0 else "")
    for axis in axes[-1]:
        axis.set_xlabel("$x_1$ (data units)")
    for axis in axes[:, 0]:
        axis.set_ylabel("$x_2$ (data units)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def reconstruction_frame(trainer: Trainer) -> Figure:
    """One series of each direction, as the model reconstructs and forecasts it now."""
    model: Any = trainer.model
    batch = trainer.data.test.data
    indices = [int((batch.label == label).nonzero()[0]) for label in (0, 1)]
    shown = batch.select(torch.tensor(indices))
    model.eval()
    with torch.no_grad(), style():
        inside, beyond = reconstruct(model, shown)
        figure = new_figure(width=7.0, height=3.6)
        axes = figure.subplots(1, 2)
        for i, axis in enumerate(axes):
            draw_series(axis, shown, i, inside[i], beyond[i], "reconstruction")
            limit_to_curve(axis, shown, i)
        label_row(figure, axes)
        figure.suptitle(f"after {trainer.step} training steps")
    return figure


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
    observed = TimeSeries.checked(window.times[0][chosen], values)
    return SeriesBatch(observed, window, batch.future, batch.label)


def draw_series(
    axis: Axes, batch: SeriesBatch, i: int, inside: Tensor, beyond: Tensor, name: str
) -> None:
    """Truth, observations, and what a model says inside and beyond the observed range.

    Args:
        inside, beyond: Shape `(time, 2)`.
    """
    assert batch.future is not None
    truth = torch.cat([batch.window.clean[i], batch.future.clean[i]])
    axis.plot(*truth.T.tolist(), color="0.6", lw=3.5, alpha=0.6, label="curve")
    axis.plot(*inside.T.tolist(), color=COLORS["blue"], lw=1.5, label=name)
    axis.plot(
        *beyond.T.tolist(), color=COLORS["red"], lw=1.5, linestyle="--", label="extrapolation"
    )
    seen = batch.observed.values[i][batch.observed.mask[i]]
    axis.plot(
        *seen.T.tolist(), linestyle="", marker="o", markersize=3, color="black",
        markeredgewidth=0, label="observations",
    )  # fmt: skip
    axis.set_title(DIRECTIONS[int(batch.label[i])], fontsize=10)


def limit_to_curve(axis: Axes, batch: SeriesBatch, i: int) -> None:
    """Show the whole curve with a margin, wherever a forecast goes."""
    assert batch.future is not None
    whole = torch.cat([batch.window.clean[i], batch.future.clean[i]])
    low, high = whole.min(0).values, whole.max(0).values
    pad = 0.25 * (high - low).clamp(min=0.2)
    axis.set_xlim(float(low[0] - pad[0]), float(high[0] + pad[0]))
    axis.set_ylim(float(low[1] - pad[1]), float(high[1] + pad[1]))


def label_row(figure: Figure, axes: Any, legend: bool = True) -> None:
    """Labels of a row of trajectories, and one legend for all."""
    for axis in axes:
        axis.set_xlabel("$x_1$ (data units)")
    axes[0].set_ylabel("$x_2$ (data units)")
    if legend:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5)
