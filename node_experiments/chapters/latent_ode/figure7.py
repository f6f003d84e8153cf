"""Events and the rate that is inferred from them (Chen et al. 2018, Figure 7)."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure

from ...figures.style import (
    COLORS,
    new_figure,
    style,
)
from ...training.loop import Trainer

__all__ = ["poisson_figures"]

SHOWN = 3


def poisson_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure 7: events as dots, the inferred rate as a line, of the first test sequences."""
    model: Any = trainer.model
    batch = trainer.data.test.data
    batch = batch.select(torch.arange(min(SHOWN, len(batch))))
    model.eval()
    with torch.no_grad(), style():
        mean, log_variance = model.encode(batch.observed)
        draws = mean + (log_variance / 2).exp() * torch.randn(
            50, *mean.shape, generator=torch.Generator().manual_seed(0)
        ).to(mean)
        rate = model.rate(mean, batch.window.times)
        low, high = model.rate(draws, batch.window.times).quantile(
            torch.tensor([0.05, 0.95]).to(mean), 0
        )
        times = batch.window.times[0].tolist()
        figure = new_figure(width=9.5, height=3.4)
        axes = figure.subplots(1, len(rate), sharey=True, squeeze=False)[0]
        for i, axis in enumerate(axes):
            axis.plot(times, batch.window.clean[i, :, 0].tolist(), color="0.6", lw=3.5, alpha=0.6,
                      label="true rate")  # fmt: skip
            axis.fill_between(times, low[i].tolist(), high[i].tolist(), color=COLORS["blue"],
                              alpha=0.2, lw=0, label="90 % of q(z0 | events)")  # fmt: skip
            axis.plot(times, rate[i].tolist(), color=COLORS["blue"], label="inferred rate")
            events = batch.observed.times[i][batch.observed.mask[i]].tolist()
            axis.plot(events, [0.0] * len(events), "o", ms=3.5, color="black", alpha=0.6,
                      markeredgewidth=0, label="events", clip_on=False)  # fmt: skip
            axis.set_xlabel("time (units of the model)")
        axes[0].set_ylabel("rate (events per unit of time)")
        axes[0].set_ylim(bottom=0)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        return {"figure7": figure}
