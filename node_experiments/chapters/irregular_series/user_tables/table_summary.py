"""A summary of a table as it was read, by which its owner can see a misreading."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .measurements import Measurements
from .table_format import Columns

__all__ = ["summary"]

SHOWN = 8  # features whose range is shown


def summary(columns: Columns, seen: Measurements) -> str:
    """How many series were read, over what times, and the range of each feature.

    Times are written in full (07:13 as 07:13:00), so that minutes and seconds that were read as
    hours and minutes, or days as months, can be seen.

    >>> seen = Measurements(
    ...     ["a"], np.array([0, 2]), np.array([0.0, 3600.0]), np.array([60 * 10**9]),
    ...     np.array([[1.0], [2.5]]), np.empty((1, 0)), [""], str,
    ... )
    >>> summary(Columns(("hr",), time_kind="clock"), seen)
    '1 series, from 00:01:00 to 01:01:00; 2 times over 1 h in each (medians); hr from 1 to 2.5'
    """
    last_rows = seen.offsets[1:] - 1
    lengths, spans = np.diff(seen.offsets), seen.times[last_rows] / columns.duration_unit
    unit = "" if columns.time_kind == "number" else " h"
    first, last = shown_times(columns.time_kind, seen.origins, seen.times[last_rows])
    parts = [
        f"{len(seen)} series, from {first} to {last}",
        f"{np.median(lengths):g} times over {np.median(spans):.4g}{unit} in each (medians)",
    ]
    ranges = [
        f"{name} from {np.nanmin(values):.6g} to {np.nanmax(values):.6g}"
        for name, values in zip(columns.features[:SHOWN], seen.values.T, strict=False)
        if not np.isnan(values).all()
    ]
    if (more := len(columns.features) - SHOWN) > 0:
        ranges.append(f"and {more} more")
    return "; ".join([*parts, ", ".join(ranges)])


def shown_times(kind: str, origins: np.ndarray, spans: np.ndarray) -> tuple[str, str]:
    """The first and the last time of a table as text.

    Args:
        origins: First time of each series, shape `(series,)`.
        spans: Time from the first to the last observation of each series, shape `(series,)`.
    """
    if kind == "number":
        return f"{origins.min():.10g}", f"{(origins + spans).max():.10g}"
    ends = origins.min(), (origins + (spans * 1e9).round().astype(np.int64)).max()
    if kind == "clock":
        return text_of_duration(int(ends[0])), text_of_duration(int(ends[1]))
    zone = " UTC" if kind == "zoned" else ""
    first, last = (f"{pd.Timestamp(int(end)).floor('s')}{zone}" for end in ends)
    return first, last


def text_of_duration(nanoseconds: int) -> str:
    """A duration in hours, minutes and seconds.

    >>> text_of_duration(-90 * 10**9), text_of_duration(26 * 3600 * 10**9)
    ('-00:01:30', '26:00:00')
    """
    seconds = abs(nanoseconds) // 10**9
    sign = "-" if nanoseconds < 0 else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
