"""Series relative to their own level: the mean of the values that a model sees of each of them.

Series of one kind often differ more in level than they change in time. A model of the difference
starts from the level as its forecast and need not learn to carry it over. It reads the level as
static features, since the difference may depend on it. Subtracting the mean of each series is half
of reversible instance normalisation (Kim et al. 2022, ICLR).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...data.time_series import TimeSeries

__all__ = ["Centre", "series_means"]


@dataclass
class Centre:
    """What is subtracted from the values of each series.

    Attributes:
        level: Mean of the observed values, `usual` without any, shape `(batch, 1, feature)`.
        usual: Mean over the training series, shape `(feature,)`.
    """

    level: Tensor
    usual: Tensor

    @classmethod
    def of(cls, observed: TimeSeries, usual: Tensor) -> Centre:
        """The centre of each series, from its observed points."""
        return cls(series_means(observed, usual), usual)

    def subtract(self, series: TimeSeries) -> TimeSeries:
        """The series relative to their levels."""
        return shifted(series, -self.level)

    def model_input(self, observed: TimeSeries) -> TimeSeries:
        """The input of a model: relative to the levels, which are the last static features."""
        level = self.level.squeeze(1)
        static = level if observed.static is None else torch.cat([observed.static, level], 1)
        return replace(self.subtract(observed), static=static)

    def recentred(self, observed: TimeSeries, target: TimeSeries) -> tuple[TimeSeries, TimeSeries]:
        """Both relative to the means of these observed points, instead of to the levels."""
        static = observed.static
        assert static is not None
        of_data = static[:, : static.shape[1] - self.level.shape[2]]
        whole = replace(shifted(observed, self.level), static=of_data if of_data.numel() else None)
        centre = Centre.of(whole, self.usual)
        return (
            centre.model_input(whole),
            centre.subtract(shifted(target, self.level)),
        )

    def select(self, indices: Tensor) -> Centre:
        """The centres of the series with these indices, in this order."""
        return Centre(self.level[indices], self.usual)

    def to(self, device: torch.device) -> Centre:
        """The same on another device."""
        return Centre(self.level.to(device), self.usual.to(device))


def shifted(series: TimeSeries, by: Tensor) -> TimeSeries:
    """The series with something added to its observed values."""
    there = series.observed_features
    return replace(series, values=(series.values + by).masked_fill(~there, 0))


def series_means(observed: TimeSeries, otherwise: Tensor) -> Tensor:
    """Mean of each feature over the observations of a series, shape `(batch, 1, feature)`.

    Args:
        otherwise: The value of features without an observation, shape `(feature,)` or
            `(batch, 1, feature)`.
    """
    there = observed.observed_features
    count = there.sum(1, keepdim=True)
    total = observed.values.masked_fill(~there, 0).sum(1, keepdim=True)
    return (total / count.clamp(min=1)).where(count > 0, otherwise.to(total))
