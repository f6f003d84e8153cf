"""Warnings about a later table that is far from the training data; its values are kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from .measurements import Measurements

if TYPE_CHECKING:
    from .series_schema import SeriesSchema

__all__ = ["warn_of_far_series"]

log = logging.getLogger(__name__)

FAR = 10  # standard deviations of the training values, or their ranges
# Largest ratio of the median to the training mean, by how many standard deviations that mean is
# away from 0: values far from 0 change their order of magnitude only with their unit.
RATIOS = {4: 5, 2: 10}
LONG = 3  # times the longest training series
SHORT = 10  # times shorter, and more often observed, than training series
SEVERAL = 3  # fewest observations of a series whose duration is compared


def warn_of_far_series(
    source: str, schema: SeriesSchema, seen: Measurements, longest: float, gap: float
) -> None:
    """Warn about values and times that are far from those that a model was trained on.

    Args:
        source: Name of the table, for the message.
        longest, gap: Duration of the longest training series, and mean time between two
            observations in training, both in model time.
    """
    shifts, scales = (*schema.shift, *schema.static_shift), (*schema.scale, *schema.static_scale)
    names = [(name, "rows") for name in schema.columns.features]
    names += [
        (name, "series")
        for name in schema.form.static_columns
        for _ in schema.columns.categories.get(name, ("",))
    ]
    columns = [*seen.values.T, *seen.static.T]
    constants = schema.constants or (None,) * len(columns)
    of_each = zip(names, columns, shifts, scales, constants, strict=False)
    for (name, where), values, shift, scale, constant in of_each:
        if where == "series" and name in schema.columns.categories:
            continue
        far, known = far_value(values[np.isfinite(values)], shift, scale, constant)
        if far is not None:
            log.warning(
                "%s: %r is %g in some %s, far from what the model was trained on (%s); is its "
                "unit or coding the same, or does it mean that nothing was observed "
                "(dataset.missing)?",
                source, name, far, where, known,
            )  # fmt: skip
    warn_of_far_times(source, schema, seen, longest, gap)


def far_value(
    values: np.ndarray, shift: float, scale: float, constant: float | None = None
) -> tuple[float | None, str]:
    """A value far from the training values, if there is one, and a description of the latter.

    >>> far_value(np.array([16.4, 15.8]), shift=123.0, scale=11.0)[0]  # kPa for mmHg
    15.8
    >>> far_value(np.array([1.0, 2.0]), shift=0.5, scale=0.5)
    (2.0, '0 and 1')
    >>> far_value(np.array([5.0, 9.0]), shift=5.0, scale=1.0, constant=5.0)
    (9.0, 'always 5')

    Args:
        constant: The only value in training, if there was one.
    """
    if constant is not None:
        other = values[values != constant]
        return (float(other[0]) if len(other) else None), f"always {constant:g}"
    known = f"around {shift:.3g}, give or take {scale:.2g}"
    if (shift, scale) == (0.0, 1.0) or not len(values):  # not scaled, or no values
        return None, known
    if (pair := two_values(shift, scale)) is not None:
        other = values[~np.isin(values, pair)]
        return (float(other[0]) if len(other) else None), f"{pair[0]} and {pair[1]}"
    extreme = float(values[np.abs(values - shift).argmax()])
    limit = next((most for far, most in RATIOS.items() if abs(shift) > far * scale), None)
    times_as_large = abs(float(np.median(values)) / shift) if limit is not None else 1.0
    in_one_unit = limit is None or 1 / limit < times_as_large < limit
    return (None if abs(extreme - shift) <= FAR * scale and in_one_unit else extreme), known


def two_values(shift: float, scale: float) -> tuple[int, int] | None:
    """The values of a binary code, 0 and 1 or 1 and 2, if mean and standard deviation match it.

    >>> two_values(1.25, (0.25 * 0.75) ** 0.5)
    (1, 2)
    """
    for low in (0, 1):
        fraction = shift - low
        if 0 < fraction < 1 and abs(scale**2 - fraction * (1 - fraction)) < 1e-9:
            return low, low + 1
    return None


def warn_of_far_times(
    source: str, schema: SeriesSchema, seen: Measurements, longest: float, gap: float
) -> None:
    """Warn about series that are far longer or shorter than the training series."""
    if not len(seen.times):
        return
    if schema.time_origin == "file":
        warn_of_times_outside(source, schema, seen, longest)
    times = seen.times / schema.time_scale
    if times.max() > LONG * longest > 0:
        log.warning(
            "%s: series are up to %.3g times as long as any that the model was trained on; is the "
            "unit of %r the same?",
            source,
            times.max() / longest,
            schema.form.time_column,
        )
    counts = np.diff(seen.offsets)
    spans, steps = times[seen.offsets[1:] - 1][counts >= SEVERAL], counts[counts >= SEVERAL] - 1
    if len(spans) == 0 or not 0 < np.median(spans) < longest / SHORT:
        return
    if 0 < (mean := float(spans.sum() / steps.sum())) < gap / SHORT:
        log.warning(
            "%s: series are %.2g times as long as the longest that the model was trained on, and "
            "are observed %.3g times as often; is the unit of %r the same?",
            source,
            np.median(spans) / longest,
            gap / mean,
            schema.form.time_column,
        )


def warn_of_times_outside(
    source: str, schema: SeriesSchema, seen: Measurements, end: float
) -> None:
    """Warn about a table that lies before or after the whole training file.

    Args:
        end: Last model time of training; 0 is the first one.
    """
    times = schema.times.model_times(seen)
    if times.max() >= 0 and times.min() <= end:
        return
    ends = np.array([times.min(), times.max(), 0.0, end])
    shown = schema.times.to_user(ends, np.array(schema.first))
    if schema.times.in_seconds:
        texts = shown.dt.round("s").astype(str)
    else:
        texts = shown.map("{:.10g}".format)
    first, last, known_first, known_last = texts.to_list()
    log.warning(
        "%s: all times are from %s to %s, and the model, which was trained with "
        "dataset.time_origin=file, knows only those from %s to %s; forecasts of other times are a "
        "guess: train with time_origin=series if the same happens again at any date",
        source, first, last, known_first, known_last,
    )  # fmt: skip
