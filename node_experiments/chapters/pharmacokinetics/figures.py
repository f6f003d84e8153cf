"""Figure of held-out patients: infusion, measured concentrations and predictions."""

from __future__ import annotations

import math
from typing import Any

import torch
from matplotlib.figure import Figure

from ...figures.style import COLORS, new_figure, style
from ...nn.likelihoods import BAND
from ...training.loop import Trainer

__all__ = ["patient_figures"]

SHOWN = 3


def patient_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure of the first test patients."""
    batch = next(iter(trainer.data.test))
    model: Any = trainer.model
    shown = batch.select(torch.arange(min(SHOWN, len(batch))))
    model.eval()
    with torch.no_grad(), style():
        log_mean, noise = model(shown).cpu(), float(model.log_noise_std.exp())
        return {"patients": patients_figure(shown.to(torch.device("cpu")), log_mean, noise)}


def patients_figure(batch: Any, log_mean: torch.Tensor, noise: float) -> Figure:
    """Figure with a column per patient: infusion above, log-scale concentrations below."""
    figure = new_figure(3.2 * len(batch) + 0.6, 4.8)
    grid = figure.subplots(
        2, len(batch), sharex="col", squeeze=False, gridspec_kw={"height_ratios": [1, 2.6]}
    )
    width = math.exp(BAND * noise)
    for i, (above, below) in enumerate(grid.T):
        times = batch.times[i]
        above.fill_between(
            times, batch.rates[i], step="post", color=COLORS["orange"], alpha=0.6, lw=0
        )
        above.set_ylim(bottom=0)
        above.set_title(patient(batch, i), fontsize=9)
        known, mean = batch.mask[i], log_mean[i].exp()
        moving = times > 0
        below.fill_between(
            times[moving], mean[moving] / width, mean[moving] * width, color=COLORS["blue"],
            alpha=0.2, lw=0, label="90 % band",
        )  # fmt: skip
        below.plot(times[moving], mean[moving], color=COLORS["blue"], label="predicted")
        below.plot(times[known], batch.values[i, known].exp(), "o", ms=3, color=COLORS["black"],
                   label="measured")  # fmt: skip
        below.set_yscale("log")
        below.set_xlabel("minutes")
    grid[0, 0].set_ylabel("infusion (µg/min)")
    grid[1, 0].set_ylabel("concentration (ng/ml)")
    handles, labels = grid[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def patient(batch: Any, i: int) -> str:
    """Title with the number, sex, age and weight of a patient."""
    age, weight, sex = batch.covariates[i].tolist()
    word = "male" if sex > 0 else "female"
    years, kilograms = 40 + 10 * age, 70 * math.exp(weight)
    return f"patient {batch.names[i]}: {word}, {years:.0f} years, {kilograms:.0f} kg"
