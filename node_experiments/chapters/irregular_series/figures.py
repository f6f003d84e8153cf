"""Figures of irregularly sampled series: observations, truth, and a model's mean and band."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import COLORS, SMALLEST, TRUTH, WIDTH, legend_below, new_figure, style
from ...training.loop import Trainer
from ...training.random_state import seeded
from .bands import bands, forecast_step, predictive_mean

if TYPE_CHECKING:
    from .forecast_data import ForecastData

__all__ = ["irregular_series_figures", "mean_at_targets", "predictive_band", "time_label"]

SHOWN = 3  # test series in a figure
FEATURES = 3  # of each series
PANELS = 16  # features of the series that is shown in full
NAME = 12  # letters of a series' name beside its panel
FINE = 200  # times of a smooth curve
SAMPLES = 20  # of the predicted mean, for a band


def irregular_series_figures(trainer: Trainer) -> dict[str, Figure]:
    """Reconstructions with their uncertainty: some features of some test series over time."""
    model: Any = trainer.model
    data: Any = trainer.data
    batch = next(iter(data.test))
    shown = batch.select(torch.arange(min(SHOWN, len(batch))))
    model.eval()
    with torch.no_grad(), style():
        figures = {"reconstruction": reconstruction_figure(model, trainer.task, data, shown)}
        if batch.target.values.shape[-1] > FEATURES:
            one = batch.select(torch.tensor([0]))
            figures["features"] = features_figure(model, trainer.task, data, one)
        return figures


@dataclass
class Curve:
    """Mean and edges of the 90 % band `(batch, time, dim)`, at times `(batch, time)`."""

    times: Tensor
    mean: Tensor
    low: Tensor
    high: Tensor
    mask: Tensor


def curve_of(model: Any, data: ForecastData, batch: Any) -> Curve:
    """Predict at the target times; if the model is a continuous curve, on a fine grid instead."""
    target = batch.target
    times = target.times.expand(len(batch), -1)
    if not hasattr(model, "encode") or model.follows_times:
        return Curve(times, *predictive_band(model, data, batch.observed, times), target.mask)
    known = times[target.mask]
    fine = torch.linspace(float(known.min()), float(known.max()), FINE).to(times)
    fine = fine.expand(len(batch), -1)
    last = times.masked_fill(~target.mask, -torch.inf).amax(1, keepdim=True)
    return Curve(fine, *predictive_band(model, data, batch.observed, fine), fine <= last)


def predictive_band(
    model: Any, data: ForecastData, observed: Any, times: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, 5 % and 95 % quantile at times `(batch, time)`, computed as in `mode=predict`.

    An extrapolated mean of an autoregressive model can thus differ from the one that is scored,
    which is rolled out at the target times. Training draws the same numbers as without figures.
    """
    with seeded(0, model.log_noise_std.device):
        return bands(model, observed, times, SAMPLES, forecast_step(model, data))


def mean_at_targets(model: Any, data: ForecastData, batch: Any) -> Tensor:
    """Predicted mean at the target times, as in `predictive_band`."""
    times = batch.target.times.expand(len(batch), -1)
    return predictive_mean(model, batch.observed, times, forecast_step(model, data))


def reconstruction_figure(model: Any, task: Any, data: ForecastData, batch: Any) -> Figure:
    """Panels with a row for each series and a column for each feature."""
    curve = curve_of(model, data, batch)
    features = min(FEATURES, curve.mean.shape[-1])
    figure = new_figure(height=1.75 * len(batch) + 1.2)
    axes = figure.subplots(len(batch), features, squeeze=False, sharex=True)
    for i, row in enumerate(axes):
        for d, axis in enumerate(row):
            draw_feature(axis, data, batch, curve, i, d)
            if i == 0 and features > 1:
                name_panel(axis, data, d, WIDTH / features)
            axis.xaxis.set_tick_params(labelbottom=True)
            if i == len(axes) - 1:
                axis.set_xlabel(time_label(data))
        name = data.test_names[i] if data.test_names else str(i + 1)
        short = name if len(name) <= NAME else f"{name[: NAME - 1]}…"
        row[0].set_ylabel(f"series {short}\n(data units)", parse_math=False)
    label(figure, axes.flat)
    figure.suptitle(f"{task.kind} of {len(batch)} test series")
    return figure


def features_figure(model: Any, task: Any, data: ForecastData, batch: Any) -> Figure:
    """All features of one series over time."""
    curve = curve_of(model, data, batch)
    features = min(PANELS, curve.mean.shape[-1])
    columns = 4
    rows = -(-features // columns)
    figure = new_figure(height=1.5 * rows + 1.1)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for d, axis in enumerate(axes.flat):
        if d >= features:
            axis.set_axis_off()
            continue
        draw_feature(axis, data, batch, curve, 0, d)
        name_panel(axis, data, d, WIDTH / columns)
        if d + columns >= features:
            axis.set_xlabel(time_label(data))
            axis.xaxis.set_tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel("value (data units)")
    label(figure, axes.flat)
    what = "all" if features == curve.mean.shape[-1] else f"{features} of {curve.mean.shape[-1]}"
    figure.suptitle(f"{task.kind} of one test series, {what} features")
    return figure


def name_panel(axis: Axes, data: ForecastData, d: int, width: float) -> None:
    """Write the name of a feature above its panel of `width` inches, on at most two lines."""
    name = data.features[d] if data.features else f"feature {d + 1}"
    letters = int(72 * width / (0.75 * SMALLEST))
    lines = textwrap.wrap(name, letters, max_lines=2, placeholder="…")
    # A dollar sign in a user's column name does not start a formula.
    axis.set_title(
        "\n".join(lines), fontsize=SMALLEST if len(name) > 0.7 * letters else None,
        parse_math=False,
    )  # fmt: skip


def time_label(data: ForecastData) -> str:
    """Label of the time axis, with its unit."""
    return f"time ({data.time_unit.name or 'data units'})"


def draw_feature(axis: Axes, data: ForecastData, batch: Any, curve: Curve, i: int, d: int) -> None:
    """Draw truth, observations and prediction of one feature of one series, in its unit."""
    shift, scale = 0.0, 1.0
    if data.scaling is not None:
        shift, scale = float(data.scaling.shift[d]), float(data.scaling.scale[d])

    level = 0.0 if batch.centre is None else float(batch.centre.level[i, 0, d])

    def in_its_unit(values: Tensor) -> list[float]:
        return ((values.double() + level) * scale + shift).tolist()

    def in_user_time(times: Tensor) -> list[float]:
        return (times.double() * data.time_unit.scale).tolist()

    truth, seen = batch.target, batch.observed
    times = truth.times.expand(len(batch), -1)[i]
    seen_times = seen.times.expand(len(batch), -1)[i]
    known, read = (part.observed_features[i, :, d] for part in (truth, seen))
    axis.plot(
        in_user_time(times[known]), in_its_unit(truth.values[i, known, d]), color=TRUTH, lw=4,
        alpha=0.7, marker="o", markersize=3, label="truth",
    )  # fmt: skip
    there = curve.mask[i]
    line, low, high = (
        in_its_unit(part[i, there, d]) for part in (curve.mean, curve.low, curve.high)
    )
    t = in_user_time(curve.times[i, there])
    axis.fill_between(
        t, low, high, color=COLORS["blue"], alpha=0.25, lw=0, label="90 % band of the model"
    )
    if len(t) == 1:  # neither a line nor a band would be visible
        ends = [[abs(line[0] - low[0])], [abs(high[0] - line[0])]]
        axis.errorbar(t, line, ends, color=COLORS["blue"], capsize=3)
    marker = "o" if len(t) == 1 else None
    axis.plot(
        t, line, color=COLORS["blue"], lw=1.3, label="model", marker=marker,
        markersize=3.5,
    )  # fmt: skip
    axis.plot(
        in_user_time(seen_times[read]), in_its_unit(seen.values[i, read, d]), linestyle="",
        marker="o", markersize=3.5, color="black", markeredgewidth=0, label="observations",
    )  # fmt: skip


def label(figure: Figure, axes: Iterable[Axes]) -> None:
    """Draw one legend for all panels, inside an empty panel if there is one."""
    axes = list(axes)
    empty = [axis for axis in axes if not axis.axison]
    if not empty:
        legend_below(figure, axes)
        return
    handles, labels = axes[0].get_legend_handles_labels()
    empty[0].legend(handles, labels, loc="center left")
