"""What a model makes of irregularly sampled series: what it saw, what it says, how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...figures.style import (
    COLORS,
    new_figure,
    style,
)
from ...nn.likelihoods import BAND
from ...training.loop import Trainer
from .bands import History

if TYPE_CHECKING:
    from .batches import ForecastData

__all__ = ["irregular_series_figures", "what_a_model_says"]

SHOWN = 3  # test series in a figure
FEATURES = 3  # of each of them
PANELS = 16  # features of the series that is shown in full
LONGEST = 32  # letters of a title
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


def reconstruction_figure(model: Any, task: Any, data: ForecastData, batch: Any) -> Figure:
    """A row for each series, a column for each feature."""
    mean, std = what_a_model_says(model, task, batch)
    features = min(FEATURES, mean.shape[-1])
    width = max(3.1 * features + 0.4, 7.0)
    figure = new_figure(width=width, height=1.7 * len(batch) + 0.9)
    axes = figure.subplots(len(batch), features, squeeze=False, sharex="row")
    for i, row in enumerate(axes):
        for d, axis in enumerate(row):
            draw_feature(axis, batch, mean, std, i, d)
            if i == 0:
                name_panel(axis, data, d, 10, width / features)
            if i == len(axes) - 1:
                axis.set_xlabel(time_label(data))
        row[0].set_ylabel(f"series {i + 1}\n({value_unit(data)})", fontsize=9)
    label(figure, axes[0, 0])
    return figure


def features_figure(model: Any, task: Any, data: ForecastData, batch: Any) -> Figure:
    """All features of one series over time."""
    mean, std = what_a_model_says(model, task, batch)
    features = min(PANELS, mean.shape[-1])
    columns = 4
    rows = -(-features // columns)
    width = max(1.9 * columns, 8.5)
    figure = new_figure(width=width, height=1.5 * rows + 0.9)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    for d, axis in enumerate(axes.flat):
        if d >= features:
            axis.set_visible(False)
            continue
        draw_feature(axis, batch, mean, std, 0, d)
        name_panel(axis, data, d, 9, width / columns)
        axis.tick_params(labelsize=8)
        if d + columns >= features:
            axis.set_xlabel(time_label(data), fontsize=8)
            axis.tick_params(labelbottom=True)
    for axis in axes[:, 0]:
        axis.set_ylabel(f"value ({value_unit(data)})", fontsize=8)
    label(figure, axes[0, 0])
    return figure


def name_panel(axis: Axes, data: ForecastData, d: int, size: float, width: float) -> None:
    """The name of a feature over its panel of `width` inches; a long one in smaller letters."""
    name = data.features[d] if data.features else f"feature {d + 1}"
    name = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    room = 72 * width / (0.75 * max(len(name), 1))
    # A dollar in the name of somebody's column begins no formula.
    axis.set_title(name, fontsize=max(5, min(size, room)), parse_math=False)


def time_label(data: ForecastData) -> str:
    """Of the axis of time, with its unit."""
    return f"time ({data.time_unit or 'data units'})"


def value_unit(data: ForecastData) -> str:
    """Of all values: that of the data, unless they are scaled."""
    return "data units" if data.scaling is None or data.scaling.is_identity else "scaled"


def draw_feature(axis: Axes, batch: Any, mean: Tensor, std: Tensor, i: int, d: int) -> None:
    """Truth, observations, and what a model says of one feature of one series."""
    truth, seen = batch.target, batch.observed
    times = truth.times.expand(len(batch), -1)[i]
    seen_times = seen.times.expand(len(batch), -1)[i]
    there = truth.mask[i]
    known, read = (part.observed_features[i, :, d] & part.mask[i] for part in (truth, seen))
    line, spread = mean[i, there, d], BAND * std[i, there, d]
    axis.plot(
        times[known].tolist(), truth.values[i, known, d].tolist(), color="0.6", lw=3, alpha=0.6,
        label="truth",
    )  # fmt: skip
    t = times[there].tolist()
    axis.fill_between(
        t, (line - spread).tolist(), (line + spread).tolist(), color=COLORS["blue"], alpha=0.2,
        lw=0, label="90 % band",
    )  # fmt: skip
    axis.plot(t, line.tolist(), color=COLORS["blue"], lw=1.3, label="model")
    axis.plot(
        seen_times[read].tolist(), seen.values[i, read, d].tolist(), linestyle="", marker="o",
        markersize=3.5, color="black", markeredgewidth=0, label="observations",
    )  # fmt: skip


def label(figure: Figure, axis: Axes) -> None:
    """One legend for all panels."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)


def what_a_model_says(model: Any, task: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation at the target times, `(batch, time, dim)` each.

    The deviation holds the noise of an observation, and the spread of draws of z0 if there is one.
    """
    times = batch.target.times
    history = History.of(model, batch.observed, times.expand(len(batch), -1))
    noise = model.predictive_noise(model.log_noise_std, history).square()
    if not hasattr(model, "encode"):
        say = model.roll_out if task.kind == "extrapolation" else model.predict
        mean = say(model.read(batch.observed), times)
        return mean, noise.sqrt()
    centre, std = model.encode(batch.observed)
    generator = torch.Generator(centre.device).manual_seed(0)
    draws = torch.randn((DRAWS, *centre.shape), generator=generator, device=centre.device)
    means = model.means(model.states(centre + std * draws, times))
    return means.mean(0), (means.var(0) + noise).sqrt()
