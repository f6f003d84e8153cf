"""Errors of a model and of three simple forecasts, on values that were not observed.

The simple forecasts are the last value carried forward, the mean of what was observed of the
series, and the mean of the training series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .centring import series_means

__all__ = ["last_values", "simple_errors"]


def simple_errors(
    mean: Tensor, batch: Any, groups: Mapping[str, Sequence[int]], training_mean: Tensor
) -> dict[str, Tensor]:
    """Squared errors of individual values, in squared scaled units, for groups of features.

    - `mse_<group>`: of the model
    - `carried_mse_<group>`: of the last value before, or if there is none, of the mean of the
      training series
    - `series_mean_mse_<group>`: of the mean of the series' observed values, or likewise
    - `mean_mse_<group>`: of the mean of the training series

    Args:
        mean: Predicted means, shape `(batch, time, feature)`.
        batch: The observations and the prediction targets.
        groups: Indices of the features of each group, by name.
        training_mean: Mean of each feature over the training series, shape `(feature,)`.
    """
    if batch.centre is not None:
        training_mean = training_mean - batch.centre.level
    target = batch.target
    hidden = target.observed_features & ~seen_at(batch)
    errors = {
        "mse": (mean - target.values).square(),
        "carried_mse": (last_values(batch, training_mean) - target.values).square(),
        "series_mean_mse": (series_means(batch.observed, training_mean) - target.values).square(),
        "mean_mse": (training_mean - target.values).square(),
    }
    return {
        f"{name}_{group}": error[..., list(features)][hidden[..., list(features)]]
        for name, error in errors.items()
        for group, features in groups.items()
    }


def last_values(batch: Any, training_mean: Tensor) -> Tensor:
    """The last observed value of each feature before each target, `(batch, time, feature)`.

    Before the first, it is the mean of the training series, `(feature,)` or, relative to the level
    of each series, `(batch, 1, feature)`.
    """
    observed, size = batch.observed, len(batch)
    there = observed.observed_features
    times = observed.times.expand(size, -1).contiguous()
    place = torch.arange(times.shape[1], device=times.device).view(1, -1, 1)
    # For each observation time the index of the last value up to it; -1 before the first.
    last = torch.where(there, place, -1).cummax(1).values
    wanted = batch.target.times.expand(size, -1).contiguous()
    shown = times.masked_fill(~observed.mask, torch.inf)
    before = torch.searchsorted(shown, wanted) - 1
    index = before.clamp(min=0).unsqueeze(-1).expand(-1, -1, last.shape[-1])
    found = last.gather(1, index).masked_fill((before < 0).unsqueeze(-1), -1)
    values = observed.values.gather(1, found.clamp(min=0))
    return values.where(found >= 0, training_mean)


def seen_at(batch: Any) -> Tensor:
    """Mask of the targets that are also observed, shape `(batch, time, feature)`."""
    observed, target, size = batch.observed, batch.target, len(batch)
    there = observed.observed_features
    shown = observed.times.expand(size, -1).masked_fill(~observed.mask, torch.inf).contiguous()
    wanted = target.times.expand(size, -1).contiguous()
    place = torch.searchsorted(shown, wanted).clamp(max=shown.shape[1] - 1)
    same = (shown.gather(1, place) == wanted).unsqueeze(-1)
    return same & there.gather(1, place.unsqueeze(-1).expand(-1, -1, there.shape[-1]))
