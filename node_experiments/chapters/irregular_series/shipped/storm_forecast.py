"""Positions and winds of storms from the features that a model predicts."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ....data.scaling import Scaling
from .storm_geometry import AHEAD, BACK, PERSISTENCE, Place, displaced, displacement

__all__ = ["EAST", "NORTH", "StormForecast"]

EAST, NORTH, WIND, LATITUDE, LONGITUDE = 0, 1, 2, 4, 5


class StormForecast:
    """Forecast and true positions and winds of storms.

    Args:
        mean: Predicted features in the model's units, shape `(batch, time, feature)`.
        batch: The windows.

    Attributes:
        motion: Mean velocity over the last twelve hours, km/h east and north, `(batch, 1)` each.
        lead: Hours from now, shape `(batch, time)`; `there` is True where there is a fix.
        values: True features, shape `(batch, time, feature)`.
        forecast, persistence, truth: Positions, shape `(batch, time)`.
        wind, wind_now, wind_truth: Winds in knots, `wind_now` of shape `(batch, 1)`.
    """

    def __init__(self, mean: Tensor, batch: Any, scaling: Scaling) -> None:
        predicted, truth = (scaling.undo(x.double()) for x in (mean, batch.target.values))
        self.there = batch.target.mask
        self.lead = batch.target.times.expand(len(batch), -1).double() * (BACK + AHEAD) - BACK
        seen = scaling.undo(batch.observed.values.double())
        rows = torch.arange(len(batch), device=seen.device)
        now = seen[rows, batch.observed.mask.sum(1) - 1].unsqueeze(1)
        self.here = Place(now[..., LATITUDE], now[..., LONGITUDE])
        hours = batch.observed.times.expand(len(batch), -1).double() * (BACK + AHEAD) - BACK
        before = seen[rows, (hours + PERSISTENCE).abs().argmin(1)].unsqueeze(1)
        back = displacement(self.here, Place(before[..., LATITUDE], before[..., LONGITUDE]))
        self.motion = tuple(-side / PERSISTENCE for side in back)
        everyone = slice(None)
        east, north = predicted[..., EAST], predicted[..., NORTH]
        self.forecast = self.place_of(everyone, east, north, self.lead)
        none = torch.zeros_like(self.lead)
        self.persistence = self.place_of(everyone, none, none, self.lead)
        self.values = truth
        self.truth = Place(truth[..., LATITUDE], truth[..., LONGITUDE])
        self.wind, self.wind_truth = predicted[..., WIND], truth[..., WIND]
        self.wind_now = now[..., WIND]

    def place_of(self, storms: int | slice, east: Tensor, north: Tensor, lead: Tensor) -> Place:
        """Positions after `lead` hours with the given departure from persistence in km/h."""
        here = Place(self.here.latitude[storms], self.here.longitude[storms])
        motion = [side[storms] for side in self.motion]
        return displaced(here, (motion[0] + east) * lead, (motion[1] + north) * lead)

    def at(self, hours: float) -> Tensor:
        """Mask of the fixes with this lead time, shape `(batch, time)`."""
        return self.there & ((self.lead - hours).abs() < 0.01)
