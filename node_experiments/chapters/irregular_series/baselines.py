"""Baseline that predicts the mean of each feature over the training series."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ...data.time_series import TimeSeries
from .metrics import mean_over_observed

__all__ = ["error_of_mean", "mean_of"]


def mean_of(parts: Iterable[TimeSeries], dim: int) -> Tensor:
    """Mean of each feature over all observations, shape `(dim,)`, float64; 0 if never observed."""
    total, count = torch.zeros(dim, dtype=torch.float64), torch.zeros(dim, dtype=torch.float64)
    for part in parts:
        features = part.observed_features
        total += part.values.masked_fill(~features, 0).double().sum((0, 1)).cpu()
        count += features.double().sum((0, 1)).cpu()
    return total / count.clamp(min=1)


def error_of_mean(training: Iterable[Any], batches: Iterable[Any], dim: int) -> float:
    """Mean squared error of predicting the mean training target, averaged as for a model.

    If values are relative to the levels of their series, that of the mean of the training series,
    since a forecast of the level would be one of the best.
    """
    mean = None
    errors = []
    for batch in batches:
        target = batch.target
        if batch.centre is not None:
            expected = batch.centre.usual - batch.centre.level
        else:
            if mean is None:
                mean = mean_of((each.target for each in training), dim)
            expected = mean.to(target.values)
        squares = (target.values - expected).square()
        errors.append(mean_over_observed(squares, target.observed_features))
    return float(torch.cat(errors).mean())
