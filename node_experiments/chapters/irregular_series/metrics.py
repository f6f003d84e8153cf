"""Errors and classification metrics of irregular series, averaged as in Rubanova et al. 2019."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "average_precision",
    "classification_metrics",
    "cross_entropy",
    "mean_over_observed",
    "roc_auc",
]


def mean_over_observed(terms: Tensor, features: Tensor) -> Tensor:
    """Mean over the observed times of each feature, then over the features that were observed.

    Args:
        terms: Shape `(..., batch, time, dim)`; ignored where nothing was observed.
        features: Shape `(batch, time, dim)`.

    Returns:
        Shape `(..., batch)`.
    """
    counts = features.sum(-2)
    means = terms.where(features, terms.new_zeros(())).sum(-2) / counts.clamp(min=1)
    return means.sum(-1) / (counts > 0).sum(-1).clamp(min=1)


def cross_entropy(logits: Tensor, label: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy in nats over the known labels (-1: unknown); 0 without any.

    Args:
        logits: Shape `(..., *label.shape, class)`.
        weights: Weight of each class in the mean, shape `(class,)`.
    """
    lead = logits.shape[: logits.dim() - 1 - label.dim()]
    labels = label.expand(*lead, *label.shape).reshape(-1)
    flat, known = logits.reshape(-1, logits.shape[-1]).float(), labels >= 0
    weights = None if weights is None else weights.float()
    total = F.cross_entropy(flat, labels, weights, ignore_index=-1, reduction="sum")
    if weights is None:
        return total / known.sum().clamp(min=1)
    return total / weights[labels[known]].sum().clamp(min=torch.finfo(torch.float32).tiny)


def roc_auc(scores: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve: the fraction of (positive, negative) pairs in the right order.

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


def average_precision(scores: Tensor, positive: Tensor) -> float:
    """Mean over the positives of the precision at the score of each of them.

    This is the area under the precision-recall curve as a step function, without interpolation;
    samples with equal scores are retrieved together. NaN without a positive.

    Args:
        scores: Shape `(sample,)`; `positive` likewise, boolean.
    """
    if not bool(positive.any()):
        return math.nan
    _, place, counts = torch.unique(scores, return_inverse=True, return_counts=True)
    found = torch.zeros(len(counts)).double().cpu()
    found.index_add_(0, place[positive].cpu(), torch.ones(int(positive.sum())).double())
    hits, taken = found.flip(0).cumsum(0), counts.cpu().flip(0).cumsum(0)
    return float((found.flip(0) * hits / taken).sum() / hits[-1])


def classification_metrics(logits: Tensor, label: Tensor) -> dict[str, float]:
    """Accuracy, area under the ROC curve and average precision.

    With two classes the latter two are those of the second class; with more, they are means over
    the classes, one versus rest, without classes that no sample or every sample belongs to.

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
    for name, measure in (("auc", roc_auc), ("average_precision", average_precision)):
        values = [measure(probabilities[:, c], label == c) for c in classes]
        defined = [value for value in values if not math.isnan(value)]
        if defined:
            found[name] = sum(defined) / len(defined)
    return found
