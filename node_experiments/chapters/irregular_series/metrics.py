"""Likelihood, errors and classes of irregular series, as Rubanova et al. 2019 count them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "auc",
    "classification_metrics",
    "cross_entropy",
    "mean_over_observed",
    "squared_error",
]


def mean_over_observed(terms: Tensor, features: Tensor) -> Tensor:
    """Mean over the observed times of each feature, then over the features that were observed.

    Args:
        terms: Shape `(..., batch, time, dim)`; anything where nothing was observed.
        features: Shape `(batch, time, dim)`.

    Returns:
        Shape `(..., batch)`.
    """
    counts = features.sum(-2)
    means = terms.where(features, terms.new_zeros(())).sum(-2) / counts.clamp(min=1)
    return means.sum(-1) / (counts > 0).sum(-1).clamp(min=1)


def squared_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Of each number, in squared units of the data; broadcasts."""
    return (target - predicted).square()


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Mean in nats over the labels that are there (-1: none); 0 without any.

    Args:
        logits: Shape `(..., *label.shape, class)`.
    """
    lead = logits.shape[: logits.dim() - 1 - label.dim()]
    labels = label.expand(*lead, *label.shape).reshape(-1)
    total = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]).float(), labels, ignore_index=-1, reduction="sum"
    )
    return total / (labels >= 0).sum().clamp(min=1)


def auc(scores: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order.

    Ties count half. NaN without a positive or without a negative.

    Args:
        scores: Shape `(sample,)`; `positive` likewise, boolean.
    """
    _, place, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0) - (counts - 1) / 2  # mean rank, from 1, of each value
    n = int(positive.sum())
    m = len(positive) - n
    if n == 0 or m == 0:
        return math.nan
    total = float(ranks[place][positive].double().sum())
    return (total - n * (n + 1) / 2) / (n * m)


def classification_metrics(logits: Tensor, label: Tensor) -> dict[str, float]:
    """Accuracy, and the area under the ROC curve; the mean over classes when there are more.

    Args:
        logits: Shape `(sample, class)`; `label` is `(sample,)`, -1 where there is none.
    """
    known = label >= 0
    if not bool(known.any()):
        return {}
    logits, label = logits[known].float(), label[known]
    found = {"accuracy": float((logits.argmax(-1) == label).double().mean())}
    probabilities = logits.softmax(-1)
    classes = [1] if logits.shape[-1] == 2 else range(logits.shape[-1])
    areas = [auc(probabilities[:, c], label == c) for c in classes]
    areas = [area for area in areas if not math.isnan(area)]
    return found | ({"auc": sum(areas) / len(areas)} if areas else {})
