"""The times at which a user wants forecasts: a grid, the same for all series, or row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from ...config.checks import first_names
from ...data.table_file import TableFile
from ...errors import DataError
from .user_tables.measurements import Measurements
from .user_tables.series_schema import SeriesSchema
from .user_tables.table_cells import names_of_series
from .user_tables.table_columns import require_column
from .user_tables.table_times import times_of

__all__ = ["RequestedTimes", "prediction_starts", "requested_rows", "requested_times"]

POINTS = 50  # of a forecast over the time span of training, if no times are requested


@dataclass(frozen=True)
class RequestedTimes:
    """Times to predict at, with the same number for each series.

    Attributes:
        series: Indices of the series to predict, shape `(series,)`.
        at: Model times, shape `(series, time)`, in rising order.
        labels: The times of some series as the table writes them, by their places in `series`.
        rows: Places in the flattened `at` of the rows to return; all if None.
    """

    series: np.ndarray
    at: np.ndarray
    labels: Callable[[Tensor], pd.Series]
    rows: np.ndarray | None = None


def requested_times(
    schema: SeriesSchema,
    seen: Measurements,
    span: tuple[float, float],
    starts: np.ndarray,
    times: Sequence[Any] | None,
    after_last: bool = False,
) -> RequestedTimes:
    """The same times for every series, or a grid.

    Args:
        span: First and last model time of training.
        starts: Model time at which the predictions of each series start, shape `(series,)`.
        times: In the table's units; a grid from the start of each series when None.
        after_last: Whether times count from the last observation of each series, for dates in
            hours.

    Raises:
        DataError: The times are of another kind than the table's.
    """
    units, every = schema.times, np.arange(len(seen))
    origins = units.origins(seen)[:, None]
    if times is None:
        grid = np.linspace(starts, grid_ends(schema, seen, span, starts), POINTS, axis=-1)
        if not units.in_seconds:
            return RequestedTimes(
                every, grid, lambda chosen: units.to_user(grid[chosen], origins[chosen])
            )
        raw = units.round_up(grid, origins)
    elif after_last:
        raw = units.after_last(seen, np.unique(np.asarray(times, np.float64)))
    else:
        same = np.sort(units.parse(pd.Series(list(dict.fromkeys(times)))))
        raw = np.broadcast_to(same, (len(seen), len(same)))
    return RequestedTimes(
        every, units.to_model(raw, origins), lambda chosen: units.unparse(raw[chosen])
    )


def grid_ends(
    schema: SeriesSchema, seen: Measurements, span: tuple[float, float], starts: np.ndarray
) -> np.ndarray:
    """Model time at which the grid of each series ends, shape `(series,)`.

    It is the end of the training span. If times count from that of a training file, series of a
    later one may lie beyond it: their grids then end at their last observation or, if they have
    only one, after a span.
    """
    if schema.time_origin == "series":
        return np.full(len(seen), span[1])
    lasts = schema.times.model_times(seen)[seen.offsets[1:] - 1]
    ends = np.maximum(lasts, span[1])
    return np.where(ends > starts, ends, starts + (span[1] - span[0]))


def prediction_starts(schema: SeriesSchema, seen: Measurements) -> np.ndarray:
    """Model time of the first observation of each series of a table, shape `(series,)`."""
    return schema.times.model_times(seen)[seen.offsets[:-1]]


def requested_rows(schema: SeriesSchema, seen: Measurements, table: TableFile) -> RequestedTimes:
    """The series and the time of each row of a table, whose other columns are not read.

    Raises:
        DataError: A column is missing, a row has no series or time, a time is of another kind
            than those in training, or there is nothing to predict a series from.
    """
    for name in (schema.form.series_column, schema.form.time_column):
        require_column(table, name)
    known = {name: place for place, name in enumerate(seen.names)}
    place = names_of_series(table, schema.form).map(known)
    if place.isna().any():
        row = int(place.isna().to_numpy().argmax())
        name = names_of_series(table, schema.form).iloc[row]
        raise DataError(
            f"{table.at(row)}: there are no observations of series {name!r} to predict from; "
            f"series are {first_names(seen.names)}"
        )
    raw = times_of(table, schema.form, schema.columns.time_kind).to_numpy()
    series, rank = np.unique(place.to_numpy(int), return_inverse=True)
    counts = np.bincount(rank)
    order = np.lexsort((raw, rank))
    nth = np.arange(len(raw)) - np.repeat(counts.cumsum() - counts, counts)
    # Series with fewer rows repeat their last time.
    last = raw[order[counts.cumsum() - 1]]
    grid = np.repeat(last[:, None], counts.max(), axis=1)
    grid[rank[order], nth] = raw[order]
    rows = np.empty(len(raw), int)
    rows[order] = rank[order] * counts.max() + nth
    origins = schema.times.origins(seen)[series, None]
    return RequestedTimes(
        series,
        schema.times.to_model(grid, origins),
        lambda chosen: schema.times.unparse(grid[chosen]),
        rows,
    )
