"""Warnings of single values that are so far from all others that they set a feature's scale."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from .measurements import Measurements
from .missing_codes import codes_in
from .table_cells import shortest_text

__all__ = ["outliers_in", "warn_of_outliers"]

log = logging.getLogger(__name__)

MOST = 3  # outliers of a feature, at most: more are values
FEWEST_OTHERS = 20  # values that show how far values usually are apart
INFLATION = 3  # factor by which outliers raise the standard deviation
LARGEST = 1e150  # values whose squares are numbers
DISTANCE = 10  # of outliers from the median, in standard deviations of the others


def warn_of_outliers(
    source: str, features: Sequence[str], seen: Measurements, training: np.ndarray
) -> None:
    """Warn of up to three values of a feature that are far from all others.

    A lost decimal point makes such a value. In a training series it determines the standard
    deviation, by which the feature is scaled, so that all errors seem small; in another series it
    makes its own error large.

    Args:
        source: Name of the table, for the message.
        seen: The measurements of all series, whose places in the table are named.
        training: Values of the training series, shape `(row, feature)`.
    """
    for name, values, learned in zip(features, seen.values.T, training.T, strict=True):
        values = np.where(np.isin(values, codes_in(values)), np.nan, values)  # named by others
        rows = outliers_in(values)
        if len(rows) == 0:
            continue
        cells = ", ".join(
            f"{shortest_text(float(values[row]))} ({seen.where(int(row))})" for row in rows
        )
        others = np.delete(values, rows)
        log.warning(
            "%s: %r is far from its other values (%.4g +- %.2g) at %s, which %s; correct the cell "
            "or leave it empty if it is wrong",
            source,
            name,
            float(np.nanmean(others)),
            float(np.nanstd(others)),
            cells,
            effect_of(values[rows], learned),
        )


def effect_of(outliers: np.ndarray, learned: np.ndarray) -> str:
    """What outliers change, depending on how many of them a model learns from.

    Args:
        learned: Values of the training series.
    """
    others = learned[~np.isin(learned, outliers)]
    spread = float(np.nanstd(others)) if np.isfinite(others).any() else 0.0
    if spread == 0 or not np.isin(outliers, learned).any():
        return "is in no training series, and raises the errors of this feature"
    return (
        f"raises its standard deviation by a factor of {float(np.nanstd(learned)) / spread:.3g}, "
        "so that errors seem small"
    )


def outliers_in(values: np.ndarray) -> np.ndarray:
    """Places of the few values that determine the standard deviation, farthest first.

    >>> pulse = np.array([*range(60, 100), 8050.0])
    >>> outliers_in(pulse)
    array([40])
    >>> outliers_in(np.exp(2 * np.random.default_rng(0).standard_normal(1000)))  # a long tail
    array([], dtype=int64)
    """
    known = np.flatnonzero(np.isfinite(values) & (np.abs(values) < LARGEST))
    if len(known) <= FEWEST_OTHERS:
        return np.zeros(0, dtype=int)
    distance = np.abs(values[known] - np.median(values[known]))
    order = np.argsort(-distance, kind="stable")
    for count in range(1, min(MOST, len(known) - FEWEST_OTHERS) + 1):
        spread = float(np.std(values[known[order[count:]]]))
        inflated = INFLATION * spread < float(np.std(values[known]))
        if spread > 0 and inflated and distance[order[count - 1]] > DISTANCE * spread:
            return known[order[:count]]
    return np.zeros(0, dtype=int)
