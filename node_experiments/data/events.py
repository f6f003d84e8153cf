"""Sequences of events, such as visits or births, with a second sequence of the same rate."""

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
        twin: Other events of the same rates, which no model sees.
        twin_log_likelihood: Of the twin by each rule that a model is compared with, in nats,
            shape `(batch,)`; `true` is the rate that drew the events.
    """

    twin: TimeSeries
    twin_log_likelihood: dict[str, Tensor]

    def select(self, indices: Tensor) -> EventBatch:
        base = super().select(indices)
        rules = {name: each[indices] for name, each in self.twin_log_likelihood.items()}
        twin = self.twin.select(indices)
        return EventBatch(base.observed, base.window, None, base.label, twin, rules)

    def to(self, device: torch.device) -> EventBatch:
        base = super().to(device)
        rules = {name: each.to(device) for name, each in self.twin_log_likelihood.items()}
        return EventBatch(
            base.observed, base.window, None, base.label, self.twin.to(device), rules
        )


@dataclass
class EventData:
    """Data of an experiment with a Poisson process.

    Attributes:
        span: Length of the observed time, in the model's units.
        mean_count: Events of a training sequence, on average.
        dim, time_unit: Values of an event, which are 1, and the mean time between two, in which
            networks read gaps.
        compared: What the rate in `window` is.
        time_label, rate_label: Of a picture's axes.
        names: Of the first test sequences; their numbers where there are none.
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
