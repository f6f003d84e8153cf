"""What knows nothing of a series: the mean of each feature, and the frequency of each class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .metrics import cross_entropy, mean_over_observed, squared_error

__all__ = ["error_of_frequencies", "error_of_mean", "training_mean"]


def training_mean(batches: Iterable[Any]) -> Tensor:
    """Mean of each feature over what is predicted of the training series, shape `(dim,)`."""
    total, count = torch.zeros(()), torch.zeros(())
    for batch in batches:
        target = batch.target
        features = target.observed_features & target.mask.unsqueeze(-1)
        total = total + target.values.masked_fill(~features, 0).double().sum((0, 1)).cpu()
        count = count + features.double().sum((0, 1)).cpu()
    return total / count.clamp(min=1)


def error_of_mean(training: Iterable[Any], batches: Iterable[Any]) -> float:
    """Mean squared error of `training_mean`, counted as that of a model."""
    mean = training_mean(training)
    errors = []
    for batch in batches:
        target = batch.target
        features = target.observed_features & target.mask.unsqueeze(-1)
        squares = squared_error(mean.to(target.values), target.values)
        errors.append(mean_over_observed(squares, features))
    return float(torch.cat(errors).mean())


def error_of_frequencies(training: Iterable[Any], batches: Iterable[Any], classes: int) -> float:
    """Cross-entropy of predicting each class as often as the training labels have it.

    A class without any label counts as one label.
    """
    known, labels = (
        torch.cat([batch.label.flatten().cpu() for batch in part]) for part in (training, batches)
    )
    counts = torch.bincount(known[known >= 0], minlength=classes).clamp(min=1)
    logits = counts.double().log().expand(len(labels), -1)
    return float(cross_entropy(logits, labels))
