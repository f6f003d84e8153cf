"""What a model makes of irregularly sampled series: what it saw, what it says, how sure it is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import (
    COLORS,
    SMALLEST,
    TRUTH,
    WIDTH,
    legend_below,
    new_figure,
    style,
)
from ...nn.likelihoods import BAND
from ...training.loop import Trainer
from .bands import History

if TYPE_CHECKING:
    from .forecast_data import ForecastData

__all__ = ["irregular_series_figures", "what_a_model_says"]

SHOWN = 3  # test series in a figure
FEATURES = 3  # of each of them
PANELS = 16  # features of the series that is shown in full
NAME = 12  # letters of a series' name beside its panel
FINE = 200  # times of a curve
DRAWS = 20  # samples of z0 behind a band


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
    """A model's mean and standard deviation at times, `(batch, time)` and `(batch, time, dim)`."""

    times: Tensor
    mean: Tensor
    std: Tensor
    mask: Tensor


def curve_of(model: Any, task: Any, batch: Any) -> Curve:
    """At the target times; of a model that is a curve, at many more."""
    target = batch.target
    times = target.times.expand(len(batch), -1)
    if not hasattr(model, "encode") or model.follows_times:
        return Curve(times, *what_a_model_says(model, task, batch), target.mask)
    known = times[target.mask]
    fine = torch.linspace(float(known.min()), float(known.max()), FINE).to(times).unsqueeze(0)
    means = what_a_model_says(model, task, batch, fine)
    fine = fine.expand(len(batch), -1)
    last = times.masked_fill(~target.mask, -torch.inf).amax(1, keepdim=True)
    return Curve(fine, *means, fine <= last)


def reconstruction_figure(model: Any, task: Any, data: ForecastData, batch: Any) -> Figure:
    """A row for each series, a column for each feature."""
    curve = curve_of(model, task, batch)
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
    curve = curve_of(model, task, batch)
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
    """The name of a feature over its panel of `width` inches, on at most two lines."""
    name = data.features[d] if data.features else f"feature {d + 1}"
    letters = int(72 * width / (0.75 * SMALLEST))
    lines = textwrap.wrap(name, letters, max_lines=2, placeholder="…")
    # A dollar in the name of somebody's column begins no formula.
    axis.set_title(
        "\n".join(lines), fontsize=SMALLEST if len(name) > 0.7 * letters else None,
        parse_math=False,
    )  # fmt: skip


def time_label(data: ForecastData) -> str:
    """Of the axis of time, with its unit."""
    return f"time ({data.time_unit.name or 'data units'})"


def draw_feature(axis: Axes, data: ForecastData, batch: Any, curve: Curve, i: int, d: int) -> None:
    """Truth, observations, and a model's curve of one feature of one series, in its unit."""
    shift, scale = 0.0, 1.0
    if data.scaling is not None:
        shift, scale = float(data.scaling.shift[d]), float(data.scaling.scale[d])

    def in_its_unit(values: Tensor) -> list[float]:
        return (values.double() * scale + shift).tolist()

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
    line, spread = curve.mean[i, there, d], BAND * curve.std[i, there, d]
    t = in_user_time(curve.times[i, there])
    axis.fill_between(
        t, in_its_unit(line - spread), in_its_unit(line + spread), color=COLORS["blue"],
        alpha=0.25, lw=0, label="90 % band of the model",
    )  # fmt: skip
    if len(t) == 1:  # of which neither a line nor a band is seen
        axis.errorbar(t, in_its_unit(line), float(spread) * scale, color=COLORS["blue"], capsize=3)
    marker = "o" if len(t) == 1 else None
    axis.plot(
        t, in_its_unit(line), color=COLORS["blue"], lw=1.3, label="model", marker=marker,
        markersize=3.5,
    )  # fmt: skip
    axis.plot(
        in_user_time(seen_times[read]), in_its_unit(seen.values[i, read, d]), linestyle="",
        marker="o", markersize=3.5, color="black", markeredgewidth=0, label="observations",
    )  # fmt: skip


def label(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend for all panels, in the place of one that is empty where there is some."""
    axes = list(axes)
    empty = [axis for axis in axes if not axis.axison]
    if not empty:
        legend_below(figure, axes)
        return
    handles, labels = axes[0].get_legend_handles_labels()
    empty[0].legend(handles, labels, loc="center left")


def what_a_model_says(
    model: Any, task: Any, batch: Any, times: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation at the target times or others, `(batch, time, dim)` each.

    The deviation holds the noise of an observation, and the spread of draws of z0 if there is one.
    """
    at = batch.target.times if times is None else times
    history = History.of(model, batch.observed, at.expand(len(batch), -1))
    noise = model.predictive_noise(model.log_noise_std, history).square()
    if not hasattr(model, "encode"):
        say = model.roll_out if task.kind == "extrapolation" else model.predict
        mean = say(model.read(batch.observed), at)
        return mean, noise.sqrt()
    centre, std = model.encode(batch.observed)
    generator = torch.Generator(centre.device).manual_seed(0)
    draws = torch.randn((DRAWS, *centre.shape), generator=generator, device=centre.device)
    z0 = centre + std * draws
    states = task.states_of_target(model, z0, batch) if times is None else model.states(z0, at)
    means = model.means(states)
    return means.mean(0), (means.var(0) + noise).sqrt()
