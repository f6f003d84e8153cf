"""Binning: single readings within one time bin are averaged into one point of a series."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["binned"]


def binned(
    series: np.ndarray,
    bins: np.ndarray,
    features: np.ndarray,
    values: np.ndarray,
    dim: int,
    empty: np.ndarray | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Average readings into points, one for each bin of a series that contains any.

    Args:
        series, bins, features: Indices (whole numbers) of each reading, shape `(reading,)`.
        values: Shape `(reading,)` or `(reading, width)`; a reading fills `width` features from
            `width * feature` on.
        dim: Features of a point.
        empty: Pairs `(series, bin)` that become points even without a reading, shape `(n, 2)`.

    Returns:
        The series and the bin of each point, sorted, shape `(point,)`; the means and whether
        there was a reading, shape `(point, dim)`, float64 and bool.
    """
    pairs = np.stack([series, bins], 1).astype(np.int64)
    if empty is not None:
        pairs = np.concatenate([pairs, empty.astype(np.int64)])
    points, place = np.unique(pairs, axis=0, return_inverse=True)
    place = place.reshape(-1)[: len(series)]
    values = values.reshape(len(series), -1)
    width = values.shape[1]
    cells = place * (dim // width) + features
    size = len(points) * (dim // width)
    counts = np.bincount(cells, minlength=size)
    sums = np.stack([np.bincount(cells, values[:, i], size) for i in range(width)], 1)
    means = (sums / np.maximum(counts, 1)[:, None]).reshape(len(points), dim)
    seen = np.repeat(counts > 0, width).reshape(len(points), dim)
    number, bin_ = torch.from_numpy(points).unbind(1)
    return number, bin_, torch.from_numpy(means), torch.from_numpy(seen)
