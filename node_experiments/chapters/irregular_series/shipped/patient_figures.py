"""Figures of one patient: observations of six quantities, predictions and later measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, StrMethodFormatter
from torch import Tensor

from ....figures.style import COLORS, new_figure, style
from ....training.loop import Trainer
from ..figures import predictive_band
from . import VITAL_SIGNS

__all__ = ["laboratory_figures", "vital_sign_figures"]


@dataclass(frozen=True)
class Quantity:
    """A feature to draw.

    Attributes:
        name: Label with the unit.
        highest: Largest possible value.
        logarithm: Whether the model reads its natural logarithm.
    """

    name: str
    highest: float = torch.inf
    logarithm: bool = False

    def undone(self, values: Tensor) -> Tensor:
        """Values converted from those that the model reads to their unit."""
        return (values.exp() if self.logarithm else values).clamp(max=self.highest)


HIGHEST = {"spo2": 100.0}  # per cent
LABORATORY = {
    "log bili": Quantity("bilirubin (mg/dl)", logarithm=True),
    "albumin": Quantity("albumin (g/dl)"),
    "log alk.phos": Quantity("alkaline phosphatase (U/l)", logarithm=True),
    "log ast": Quantity("transaminase AST (U/ml)", logarithm=True),
    "log platelet": Quantity("platelets (1000 per µl)", logarithm=True),
    "log protime": Quantity("prothrombin time (s)", logarithm=True),
}


def vital_sign_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure of the test stay with most vital signs; none for a table without them."""
    quantities = {
        name: Quantity(label, HIGHEST.get(name, torch.inf)) for name, label in VITAL_SIGNS.items()
    }
    return patient_figures(trainer, "vital_signs", quantities, 1.0, "hours since admission")


def laboratory_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure of the test patient with most laboratory values; none for a table without them."""
    return patient_figures(trainer, "laboratory", LABORATORY, 365.25, "years since registration")


def patient_figures(
    trainer: Trainer, name: str, quantities: dict[str, Quantity], unit: float, label: str
) -> dict[str, Figure]:
    """Figure of the test series with the most values of these quantities to predict.

    Args:
        unit: Unit of the time axis, in units of the file's times.
        label: Label of the time axis.
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
        times = batch.target.times.expand(1, -1)
        band = [
            data.scaling.undo(part[0].double() + level_of(batch)).cpu()
            for part in predictive_band(model, data, batch.observed, times)
        ]
        span = float(data.source[0].time_scale) / unit
        return {name: patient_figure(data.scaling, batch, band, shown, span, label)}


def patient_figure(
    scaling: Any, batch: Any, band: list[Tensor], shown: dict[int, Quantity], span: float,
    label: str,
) -> Figure:  # fmt: skip
    """Figure with a panel for each quantity, in its unit.

    Args:
        band: Mean, lower and upper edge of the 90 % band, with the scaling undone, each of shape
            `(time, dim)`.
        shown: Quantities by the index of their feature.
        span: The model's time 1 in units of the axis.
    """
    figure = new_figure(9.6, 6.0)
    grid = figure.subplots(-(-len(shown) // 2), 2, sharex=True, squeeze=False)
    there = batch.target.mask[0].cpu()
    t = span * batch.target.times.expand(1, -1)[0, there].cpu()
    for axes, (d, quantity) in zip(grid.flat, shown.items(), strict=False):
        mean, low, high = (quantity.undone(part[there, d]) for part in band)
        axes.fill_between(t, low, high, color=COLORS["blue"], alpha=0.2, lw=0, label="90 % band")
        axes.plot(t, mean, color=COLORS["blue"], label="model")
        seen, times = known(batch.observed, level_of(batch), scaling, d)
        axes.plot(span * times, quantity.undone(seen), "o", ms=3, color=COLORS["black"],
                  label="seen")  # fmt: skip
        truth, times = known(batch.target, level_of(batch), scaling, d)
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


def level_of(batch: Any) -> torch.Tensor | float:
    """What was subtracted from the values of the first series, shape `(1, dim)`."""
    return 0.0 if batch.centre is None else batch.centre.level[0].double()


def known(
    series: Any, level: torch.Tensor | float, scaling: Any, d: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Observed values of feature `d` with the model's scaling undone, and their times."""
    there = series.observed_features[0, :, d]
    values = scaling.undo(series.values[0].double() + level)[there, d]
    return values.cpu(), series.times.expand(1, -1)[0, there].cpu()
