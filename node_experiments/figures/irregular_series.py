"""What a model makes of irregularly sampled series: what it saw, what it says, how sure it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from .style import COLORS, new_figure, style

if TYPE_CHECKING:
    from ..training.loop import Trainer

__all__ = ["irregular_series_figures"]

SHOWN = 3  # test series in a figure
FEATURES = 3  # of each of them
DRAWS = 20  # samples of z0 behind a band
BAND = 1.6448536269514722  # standard deviations on both sides that hold 90 % of a Gaussian


def irregular_series_figures(trainer: Trainer) -> dict[str, Figure]:
    """Reconstructions with their uncertainty: some features of some test series over time."""
    model: Any = trainer.model
    batch = next(iter(trainer.data.test))
    shown = batch.select(torch.arange(min(SHOWN, len(batch))))
    model.eval()
    with torch.no_grad(), style():
        return {"reconstruction": reconstruction_figure(model, trainer.task, shown)}


def reconstruction_figure(model: Any, task: Any, batch: Any) -> Figure:
    """A row for each series, a column for each feature."""
    mean, std = what_a_model_says(model, task, batch)
    times = batch.target.times.expand(len(batch), -1)
    features = min(FEATURES, mean.shape[-1])
    figure = new_figure(width=3.1 * features + 0.4, height=1.7 * len(batch) + 0.9)
    axes = figure.subplots(len(batch), features, squeeze=False, sharex="row")
    for i, row in enumerate(axes):
        truth, seen = batch.target, batch.observed
        seen_times = seen.times.expand(len(batch), -1)
        t = times[i][truth.mask[i]]
        for d, axis in enumerate(row):
            line, spread = mean[i, truth.mask[i], d], BAND * std[i, truth.mask[i], d]
            known = truth.observed_features[i, :, d] & truth.mask[i]
            axis.plot(
                times[i][known].tolist(), truth.values[i, known, d].tolist(), color="0.6",
                lw=3, alpha=0.6, label="truth",
            )  # fmt: skip
            low, high = (line - spread).tolist(), (line + spread).tolist()
            axis.fill_between(
                t.tolist(), low, high, color=COLORS["blue"], alpha=0.2, lw=0, label="90 % band"
            )
            axis.plot(t.tolist(), line.tolist(), color=COLORS["blue"], lw=1.3, label="model")
            read = seen.observed_features[i, :, d] & seen.mask[i]
            axis.plot(
                seen_times[i][read].tolist(), seen.values[i, read, d].tolist(), linestyle="",
                marker="o", markersize=3.5, color="black", markeredgewidth=0,
                label="observations",
            )  # fmt: skip
            if i == 0:
                axis.set_title(f"feature {d + 1}", fontsize=10)
            if i == len(axes) - 1:
                axis.set_xlabel("time (data units)")
        row[0].set_ylabel(f"series {i + 1}\n(data units)", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def what_a_model_says(model: Any, task: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation at the target times, `(batch, time, dim)` each.

    The deviation holds the noise of an observation, and the spread of draws of z0 if there is one.
    """
    times, noise = batch.target.times, (2 * model.log_noise_std).exp()
    if not hasattr(model, "encode"):
        say = model.roll_out if task.kind == "extrapolation" else model.predict
        mean = say(model.read(batch.observed), times)
        return mean, noise.sqrt().expand_as(mean)
    centre, std = model.encode(batch.observed)
    generator = torch.Generator(centre.device).manual_seed(0)
    draws = torch.randn((DRAWS, *centre.shape), generator=generator, device=centre.device)
    means = model.means(model.states(centre + std * draws, times))
    return means.mean(0), (means.var(0) + noise).sqrt()
