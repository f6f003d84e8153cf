"""Sequences of events, such as visits or births, with a second sequence of equal rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .time_series import SeriesBatch, SeriesBatches, TimeSeries

__all__ = ["EventBatch", "EventData"]


@dataclass
class EventBatch(SeriesBatch):
    """Events that a model sees; `window` holds a rate to compare with, per unit of time.

    Attributes:
        held_out: A second sequence of events of the same rates, which no model sees.
        held_out_log_likelihood: Log-likelihood of `held_out` under each rate that a model is
            compared with, in nats, shape `(batch,)`; `true` is the rate that the events were drawn
            from.
    """

    held_out: TimeSeries
    held_out_log_likelihood: dict[str, Tensor]

    def select(self, indices: Tensor) -> EventBatch:
        base = super().select(indices)
        rules = {name: each[indices] for name, each in self.held_out_log_likelihood.items()}
        held_out = self.held_out.select(indices)
        return EventBatch(base.observed, base.window, None, base.label, held_out, rules)

    def to(self, device: torch.device) -> EventBatch:
        base = super().to(device)
        rules = {name: each.to(device) for name, each in self.held_out_log_likelihood.items()}
        return EventBatch(
            base.observed, base.window, None, base.label, self.held_out.to(device), rules
        )


@dataclass
class EventData:
    """Data of an experiment with a Poisson process.

    Attributes:
        span: Length of the observed time, in the model's units.
        mean_count: Mean number of events of a training sequence.
        dim, time_unit: Dimension of the value of an event, which is always 1, and the mean time
            between two events, the unit in which networks read gaps.
        compared: Description of the rate in `window`.
        time_label, rate_label: Labels of the axes of a figure.
        names: Names of the first test sequences; if empty, they are numbered.
    """

    train: SeriesBatches
    validation: SeriesBatches | None
    test: SeriesBatches
    span: float
    mean_count: float
    dim: int
    time_unit: float
    compared: str = "true rate"
    time_label: str = "time (units of the model)"
    rate_label: str = "rate (events per unit of time)"
    names: tuple[str, ...] = ()
