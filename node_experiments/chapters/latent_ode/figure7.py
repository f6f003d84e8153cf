"""Figure of events and the rate inferred from them (Chen et al. 2018, Figure 7)."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure

from ...data.events import EventData
from ...figures.style import COLORS, TRUTH, legend_below, new_figure, style
from ...training.loop import Trainer

__all__ = ["poisson_figures"]

SHOWN = 3


def poisson_figures(trainer: Trainer) -> dict[str, Figure]:
    """Figure 7 for the first test sequences: events as ticks, the inferred rate with a band."""
    model: Any = trainer.model
    data = trainer.data
    assert isinstance(data, EventData)
    batch = data.test.data
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
        figure = new_figure(height=3.4)
        axes = figure.subplots(1, len(rate), sharey=True, squeeze=False)[0]
        highest = float(torch.maximum(high, batch.window.clean[..., 0]).max())
        for i, axis in enumerate(axes):
            axis.plot(times, batch.window.clean[i, :, 0].tolist(), color=TRUTH, lw=4, alpha=0.7,
                      label=data.compared)  # fmt: skip
            axis.fill_between(times, low[i].tolist(), high[i].tolist(), color=COLORS["blue"],
                              alpha=0.2, lw=0, label="90 % of q(z0 | events)")  # fmt: skip
            axis.plot(times, rate[i].tolist(), color=COLORS["blue"], label="inferred rate")
            events = batch.observed.times[i][batch.observed.mask[i]].tolist()
            axis.plot(events, [-0.05 * highest] * len(events), "|", ms=9, color="black",
                      markeredgewidth=0.8, label="events")  # fmt: skip
            name = data.names[i] if data.names else f"test sequence {i + 1}"
            axis.set_title(f"{name}: {len(events)} events")
            axis.set_xlabel(data.time_label)
        axes[0].set_ylabel(data.rate_label)
        axes[0].set_ylim(-0.1 * highest, 1.05 * highest)
        axes[0].set_yticks([tick for tick in axes[0].get_yticks() if 0 <= tick <= highest])
        legend_below(figure, axes)
        figure.suptitle("the rate of events, inferred from the events alone")
        return {"figure7": figure}
