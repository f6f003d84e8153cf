"""One patient: what a model saw of six quantities, what it predicts, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter
from torch import Tensor

from ....figures.style import COLORS, new_figure, style
from ....nn.likelihoods import BAND
from ....training.loop import Trainer
from ..figures import what_a_model_says

__all__ = ["laboratory_figures", "vital_sign_figures"]


@dataclass(frozen=True)
class Quantity:
    """A feature that is drawn.

    Attributes:
        name: Its label, with the unit.
        highest: That it can have.
        logarithm: The model reads its natural logarithm.
    """

    name: str
    highest: float = torch.inf
    logarithm: bool = False

    def undone(self, values: Tensor) -> Tensor:
        """In its own unit."""
        return (values.exp() if self.logarithm else values).clamp(max=self.highest)


VITAL_SIGNS = {
    "heart_rate": Quantity("heart rate (per min)"),
    "sbp": Quantity("systolic pressure (mmHg)"),
    "dbp": Quantity("diastolic pressure (mmHg)"),
    "respiratory_rate": Quantity("respiratory rate (per min)"),
    "spo2": Quantity("oxygen saturation (%)", highest=100.0),
    "temp_c": Quantity("temperature (°C)"),
}
LABORATORY = {
    "log bili": Quantity("bilirubin (mg/dl)", logarithm=True),
    "albumin": Quantity("albumin (g/dl)"),
    "log alk.phos": Quantity("alkaline phosphatase (U/l)", logarithm=True),
    "log ast": Quantity("transaminase AST (U/ml)", logarithm=True),
    "log platelet": Quantity("platelets (1000 per µl)", logarithm=True),
    "log protime": Quantity("prothrombin time (s)", logarithm=True),
}


def vital_sign_figures(trainer: Trainer) -> dict[str, Figure]:
    """The test stay with the most readings of vital signs; none for a table without them."""
    return patient_figures(trainer, "vital_signs", VITAL_SIGNS, 1.0, "hours since admission")


def laboratory_figures(trainer: Trainer) -> dict[str, Figure]:
    """The test patient with the most laboratory values; none for a table without them."""
    return patient_figures(trainer, "laboratory", LABORATORY, 365.25, "years since registration")


def patient_figures(
    trainer: Trainer, name: str, quantities: dict[str, Quantity], unit: float, label: str
) -> dict[str, Figure]:
    """Of the test series with the most values that a model did not see.

    Args:
        unit: Of the axis, in units of the file's times.
        label: Of the axis.
    """
    model: Any = trainer.model
    data: Any = trainer.data
    shown = {data.features.index(key): quantity for key, quantity in quantities.items()
             if key in data.features}  # fmt: skip
    if not shown:
        return {}
    every = data.test.data
    series = [every.select(torch.tensor([i])) for i in range(len(every))]
    counts = [int(one.target.observed_features[..., [*shown]].sum()) for one in series]
    batch = series[max(range(len(counts)), key=counts.__getitem__)]
    model.eval()
    with torch.no_grad(), style():
        mean, std = what_a_model_says(model, trainer.task, batch)
        span = float(data.source[0].time_scale) / unit
        return {name: patient_figure(data.scaling, batch, mean, std, shown, span, label)}


def patient_figure(
    scaling: Any, batch: Any, mean: Tensor, std: Tensor, shown: dict[int, Quantity], span: float,
    label: str,
) -> Figure:  # fmt: skip
    """A panel for each quantity, in its own unit.

    Args:
        shown: By feature.
        span: Time 1 of the model, in units of the axis.
    """
    centre = scaling.undo(mean[0].double()).cpu()
    width = BAND * std[0].double().cpu() * scaling.scale
    figure = new_figure(9.6, 6.0)
    grid = figure.subplots(-(-len(shown) // 2), 2, sharex=True, squeeze=False)
    there = batch.target.mask[0].cpu()
    t = span * batch.target.times.expand(1, -1)[0, there].cpu()
    for axes, (d, quantity) in zip(grid.flat, shown.items(), strict=False):
        bounds = centre[there, d] - width[there, d], centre[there, d] + width[there, d]
        axes.fill_between(t, *map(quantity.undone, bounds), color=COLORS["blue"], alpha=0.2, lw=0,
                          label="90 % band")  # fmt: skip
        axes.plot(t, quantity.undone(centre[there, d]), color=COLORS["blue"], label="model")
        seen, times = known(batch.observed, scaling, d)
        axes.plot(span * times, quantity.undone(seen), "o", ms=3, color=COLORS["black"],
                  label="seen")  # fmt: skip
        truth, times = known(batch.target, scaling, d)
        axes.plot(span * times, quantity.undone(truth), ".", ms=5, color=COLORS["red"],
                  label="measured, not seen", zorder=1.5)  # fmt: skip
        axes.set_ylabel(quantity.name, fontsize=9)
        if quantity.logarithm:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(MaxNLocator(6))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
    for axes in grid[-1]:
        axes.set_xlabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def known(series: Any, scaling: Any, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of a feature in its own unit, and their times."""
    there = series.observed_features[0, :, d]
    values = scaling.undo(series.values[0].double())[there, d]
    return values.cpu(), series.times.expand(1, -1)[0, there].cpu()
