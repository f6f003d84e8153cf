"""Figure of populations by three models, with the bands of their ensembles."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure

from ...figures.style import COLORS, new_figure, style
from ...training.loop import Trainer
from .hare_lynx import FIRST_YEAR
from .populations import KINDS

__all__ = ["population_figures"]

TITLES = {
    "mechanism": "Lotka and Volterra",
    "network": "neural ODE",
    "sum": "sum of both",
}


def population_figures(trainer: Trainer) -> dict[str, Figure]:
    """A column for each model, hare above lynx; extrapolated years are grey."""
    model: Any = trainer.model
    (batch,) = trainer.data.test
    years = (FIRST_YEAR + batch.times.cpu()).tolist()
    split = years[batch.fitted - 1]
    fine = torch.linspace(0, float(batch.times[-1]), 201).to(batch.times)
    model.eval()
    with torch.no_grad():
        found = model(fine).exp().cpu()
    low, middle, high = (found.quantile(q, 2) for q in (0.05, 0.5, 0.95))
    when = (FIRST_YEAR + fine.cpu()).tolist()
    with style():
        figure = new_figure(width=9.0, height=4.4)
        axes = figure.subplots(2, len(KINDS), sharex=True, sharey="row")
        for k, kind in enumerate(KINDS):
            error = trainer.metrics.get(f"extrapolation_{kind}/test", float("nan"))
            axes[0, k].set_title(f"{TITLES[kind]}: error {error:.2f}", fontsize=11)
            for row, (name, color) in enumerate((("hare", "blue"), ("lynx", "red"))):
                axis = axes[row, k]
                axis.axvspan(split, years[-1] + 0.5, color="0.93", lw=0, zorder=0)
                axis.fill_between(when, low[:, k, row].tolist(), high[:, k, row].tolist(),
                                  color=COLORS[color], alpha=0.25, lw=0)  # fmt: skip
                axis.plot(when, middle[:, k, row].tolist(), color=COLORS[color])
                axis.plot(years, batch.logs[:, row].exp().tolist(), "o", ms=4,
                          color=COLORS["black"], mfc="white")  # fmt: skip
                top = 1.4 * float(batch.logs[:, row].exp().max())
                axis.set(ylim=(0, top), xlim=(years[0] - 0.5, years[-1] + 0.5))
                axis.set_xticks([1900, 1905, 1910, 1915, 1920])
                if k == 0:
                    axis.set_ylabel(f"{name} pelts (thousands)")
        figure.suptitle(
            "circles: record; lines: median of an ensemble fitted to the white part; bands: 90 % "
            "of it;\nerror: root mean square of logarithms in the grey part", fontsize=10,
        )  # fmt: skip
    return {"populations": figure}
