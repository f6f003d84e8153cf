"""The error of a model that knows nothing of a series but the mean of each feature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .metrics import mean_over_observed, squared_error

__all__ = ["error_of_mean", "training_mean"]


def training_mean(batches: Iterable[Any]) -> Tensor:
    """Mean of each feature over what is predicted of the training series, shape `(dim,)`."""
    total, count = torch.zeros(()), torch.zeros(())
    for batch in batches:
        target = batch.target
        features = target.observed_features
        total = total + target.values.masked_fill(~features, 0).double().sum((0, 1)).cpu()
        count = count + features.double().sum((0, 1)).cpu()
    return total / count.clamp(min=1)


def error_of_mean(training: Iterable[Any], batches: Iterable[Any]) -> float:
    """Mean squared error of `training_mean`, counted as that of a model."""
    mean = training_mean(training)
    errors = []
    for batch in batches:
        target = batch.target
        features = target.observed_features
        squares = squared_error(mean.to(target.values), target.values)
        errors.append(mean_over_observed(squares, features))
    return float(torch.cat(errors).mean())
