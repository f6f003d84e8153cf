"""Warnings of series whose times may be wrong or in another unit."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from .measurements import Measurements
from .series_schema import SeriesSchema

__all__ = ["warn_of_long_series", "warn_of_two_paces"]

log = logging.getLogger(__name__)

MAX_LENGTH_RATIO = 20  # a series of this many times the median length is suspiciously long
MIN_OBSERVATIONS = 3  # of series whose mean gap between observations is compared
MIN_PACES = 3  # series of each pace, at least,
OFTEN = 0.15  # and at least this fraction of them
PACE_RATIO = 10  # gaps that differ by this factor, with none in between, may differ in unit


def warn_of_long_series(
    source: str, schema: SeriesSchema, seen: Measurements, training: Sequence[int]
) -> None:
    """Warn of a training series that is far longer than the others, since its length is time 1.

    Args:
        source: Name of the table for the message.
        training: Indices of the training series.
    """
    series = np.repeat(np.arange(len(seen)), np.diff(seen.offsets))
    times = schema.times.model_times(seen)  # the longest training series is 1
    spans = pd.Series(times).groupby(series).agg(np.ptp).to_numpy()[list(training)]
    several = spans[spans > 0]
    if len(several) < 3 or several.max() < MAX_LENGTH_RATIO * np.median(several):
        return
    longest = training[int(spans.argmax())]
    rows = np.flatnonzero(series == longest)
    gap = rows[1:][np.diff(seen.times[rows]).argmax()]
    log.warning(
        "%s: series %r is %.3g times as long as half of the training series, and its length is "
        "time 1 for the model; if the time at %s or at %s is wrong, correct it; else set "
        "dataset.time_scale=%.4g, the median length%s",
        source,
        seen.names[longest],
        several.max() / np.median(several),
        seen.where(int(gap) - 1),
        seen.where(int(gap)),
        np.median(several) * schema.time_scale / schema.columns.duration_unit,
        " in hours" if schema.times.in_seconds else "",
    )


def warn_of_two_paces(source: str, schema: SeriesSchema, seen: Measurements) -> None:
    """Warn if some series are observed many times as often as others, and none in between.

    Their times may be in another unit, such as days among hours.

    Args:
        source: Name of the table for the message.
    """
    if schema.times.in_seconds:
        return
    counts = np.diff(seen.offsets)
    several = counts >= MIN_OBSERVATIONS
    last, first = seen.times[seen.offsets[1:] - 1], seen.times[seen.offsets[:-1]]
    gaps = ((last - first) / np.maximum(counts - 1, 1))[several]
    order = np.argsort(gaps)
    low, high = int(len(gaps) * OFTEN), len(gaps) - int(len(gaps) * OFTEN)
    if low < MIN_PACES or gaps[order[0]] <= 0:
        return
    ratios = gaps[order[1:]] / gaps[order[:-1]]
    place = low - 1 + int(ratios[low - 1 : high].argmax())
    if ratios[place] < PACE_RATIO:
        return
    names = np.array(seen.names, dtype=object)[several][order]
    log.warning(
        "%s: %d series are observed every %.3g on average or more often, such as %r, and %d every "
        "%.3g or more rarely, such as %r; is the unit of %r the same in all of them?",
        source,
        place + 1,
        gaps[order[place]],
        names[place],
        len(gaps) - place - 1,
        gaps[order[place + 1]],
        names[place + 1],
        schema.form.time_column,
    )
