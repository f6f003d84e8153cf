"""Tasks on irregularly sampled series: what a model sees, and what it shall say from it.

Interpolation, extrapolation and classification as in Rubanova, Chen & Duvenaud 2019, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .time_series import SeriesBatches, TimeSeries

__all__ = ["ForecastBatch", "ForecastData"]


@dataclass
class ForecastBatch:
    """Observations, and what a model should say from them.

    Both parts are packed: a hidden place comes after all observations of its sample and repeats
    the last time.

    Attributes:
        observed: What a model sees.
        target: What it shall say. Interpolation and classification: all points of the same series,
            also those that it sees. Extrapolation: the points after the observed part.
        label: The class of each series, shape `(batch,)`, or of each point of `target`, shape
            `(batch, time)`; long, -1 where there is none. None for data without labels.
    """

    observed: TimeSeries
    target: TimeSeries
    label: Tensor | None = None

    def __len__(self) -> int:
        return len(self.observed)

    @property
    def device(self) -> torch.device:
        """Where the samples are."""
        return self.observed.values.device

    def select(self, indices: Tensor) -> ForecastBatch:
        """The samples with these indices, in their order."""
        label = None if self.label is None else self.label[indices]
        return ForecastBatch(self.observed.select(indices), self.target.select(indices), label)

    def to(self, device: torch.device) -> ForecastBatch:
        """The same batch on another device."""
        label = None if self.label is None else self.label.to(device)
        return ForecastBatch(self.observed.to(device), self.target.to(device), label)


@dataclass
class ForecastData:
    """What an experiment on irregular series reads.

    Attributes:
        dim: Features of a point.
        classes: Kinds of label; None for data without labels.
        label_per: What a label belongs to: `series`, `time`, or None.
        span: First and last time of all series, observed and target, in the model's units.
        mean_gap: Mean time between two observations of a training series, in the same units.
        task: `interpolation`, `extrapolation` or `classification`.
    """

    train: SeriesBatches[ForecastBatch]
    validation: SeriesBatches[ForecastBatch] | None
    test: SeriesBatches[ForecastBatch]
    dim: int
    classes: int | None
    label_per: str | None
    span: tuple[float, float]
    mean_gap: float
    task: str
