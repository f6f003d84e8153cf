"""Warnings of single values that are so far from all others that they set a feature's scale."""

from __future__ import annotations

import logging

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
    source: str, features: list[tuple[str, np.ndarray]], seen: Measurements
) -> None:
    """Warn of up to three values of a feature that determine its standard deviation.

    Features are scaled by it, so that all errors seem small. A lost decimal point does this.

    Args:
        source: Name of the table, for the message.
        features: Name and values of each feature; NaN where nothing was observed.
        seen: The measurements, whose places in the table are named.
    """
    for name, values in features:
        values = np.where(np.isin(values, codes_in(values)), np.nan, values)  # named by others
        rows = outliers_in(values)
        if len(rows) == 0:
            continue
        cells = ", ".join(
            f"{shortest_text(float(values[row]))} ({seen.where(int(row))})" for row in rows
        )
        others = np.delete(values, rows)
        spread = float(np.nanstd(others))
        log.warning(
            "%s: %r is far from its other values (%.4g +- %.2g) at %s, which raises its standard "
            "deviation by a factor of %.3g, so that errors seem small; correct the cell or leave "
            "it empty if it is wrong",
            source,
            name,
            float(np.nanmean(others)),
            spread,
            cells,
            float(np.nanstd(values)) / spread,
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
