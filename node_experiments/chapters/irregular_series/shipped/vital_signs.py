"""Six vital signs of one patient: what a model saw, what it predicts, and what was measured."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure

from ....figures.style import COLORS, new_figure, style
from ....nn.likelihoods import BAND
from ....training.loop import Trainer
from ..figures import what_a_model_says
from .mimic_demo import VITAL_SIGNS

__all__ = ["vital_sign_figures"]

LABELS = {
    "heart_rate": "heart rate (per min)",
    "sbp": "systolic pressure (mmHg)",
    "dbp": "diastolic pressure (mmHg)",
    "respiratory_rate": "respiratory rate (per min)",
    "spo2": "oxygen saturation (%)",
    "temp_c": "temperature (°C)",
}
HIGHEST = {"spo2": 100.0}


def vital_sign_figures(trainer: Trainer) -> dict[str, Figure]:
    """The test stay with the most readings of vital signs; none for a table without them."""
    model: Any = trainer.model
    data: Any = trainer.data
    shown = [data.features.index(name) for name in VITAL_SIGNS if name in data.features]
    if not shown:
        return {}
    every = data.test.data
    readings = [every.select(torch.tensor([i])) for i in range(len(every))]
    counts = [int(one.target.observed_features[..., shown].sum()) for one in readings]
    batch = readings[max(range(len(counts)), key=counts.__getitem__)]
    model.eval()
    with torch.no_grad(), style():
        mean, std = what_a_model_says(model, trainer.task, batch)
        return {"vital_signs": vital_signs_figure(data, batch, mean, std, shown)}


def vital_signs_figure(
    data: Any, batch: Any, mean: torch.Tensor, std: torch.Tensor, shown: list[int]
) -> Figure:
    """A panel for each vital sign, in its own unit."""
    scaling, hours = data.scaling, hours_of(data)
    centre = scaling.undo(mean[0].double()).cpu()
    width = BAND * std[0].double().cpu() * scaling.scale
    figure = new_figure(9.6, 6.0)
    grid = figure.subplots(-(-len(shown) // 2), 2, sharex=True, squeeze=False)
    there = batch.target.mask[0].cpu()
    t = hours * batch.target.times.expand(1, -1)[0, there].cpu()
    for axes, d in zip(grid.flat, shown, strict=False):
        name = data.features[d]
        low, high = centre[there, d] - width[there, d], centre[there, d] + width[there, d]
        high = high.clamp(max=HIGHEST.get(name, torch.inf))
        axes.fill_between(t, low, high, color=COLORS["blue"], alpha=0.2, lw=0, label="90 % band")
        axes.plot(t, centre[there, d], color=COLORS["blue"], label="model")
        seen, times = known(batch.observed, scaling, d)
        axes.plot(hours * times, seen, "o", ms=3, color=COLORS["black"], label="seen")
        truth, times = known(batch.target, scaling, d)
        axes.plot(hours * times, truth, ".", ms=5, color=COLORS["red"], label="measured, not seen",
                  zorder=1.5)  # fmt: skip
        axes.set_ylabel(LABELS[name], fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("hours since admission")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def hours_of(data: Any) -> float:
    """Hours of the model's time 1."""
    return float(data.source[0].time_scale)


def known(series: Any, scaling: Any, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of a feature in its own unit, and their times."""
    there = series.observed_features[0, :, d] & series.mask[0]
    values = scaling.undo(series.values[0].double())[there, d]
    return values.cpu(), series.times.expand(1, -1)[0, there].cpu()
