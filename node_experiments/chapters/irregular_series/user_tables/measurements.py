"""Conversion of the rows of a user's table to the measurements of each series.

A table has a row for every observation (wide: a column for each feature) or for every value
(long: a column that names the feature and one with its value). What the columns hold is decided
once, on the training file; every later file is read by the same column names.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ....config.checks import first_names
from ....data.table_file import TableFile
from ....errors import DataError, Faults
from .duplicate_rows import reject_duplicate
from .long_table import feature_key, pivot
from .misread_dates import warn_of_misread_dates
from .table_cells import (
    NUMBER,
    names_of_series,
    nonempty_column,
    numbers_of,
    reject_line_of_units,
    shortest_text,
)
from .table_columns import check_names, long_columns, require_column
from .table_format import MISSING, Columns, TableFormat
from .table_properties import labels_of, labels_of_rows, labels_of_series, static_of_series
from .table_times import times_of, warn_of_clock_change, warn_of_midnight

__all__ = ["Measurements", "read_measurements"]

log = logging.getLogger(__name__)


@dataclass
class Measurements:
    """Series in the units of their table, sorted by name and, within a series, by time.

    Attributes:
        names: Names of the series.
        offsets: Rows of series i are `offsets[i]` to `offsets[i + 1]`, shape `(series + 1,)`.
        times: Time since the series' first observation, for dates in seconds. Shape `(row,)`.
        origins: The time of each series' first observation: a number, or nanoseconds of a date.
        values: NaN where not observed, shape `(row, feature)`.
        static: Static features: a number, or an indicator of each category; NaN where unknown.
            Shape `(series, static)`.
        labels: Label of each series, or of each row with `label_per=time`; empty where unknown.
        where: Function that returns the place of a row in the file, for messages.
    """

    names: list[str]
    offsets: np.ndarray
    times: np.ndarray
    origins: np.ndarray
    values: np.ndarray
    static: np.ndarray
    labels: list[str]
    where: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.names)

    def values_of(self, series: Iterable[int]) -> np.ndarray:
        """Values of the series with these indices, shape `(row, feature)`."""
        chosen = np.isin(np.arange(len(self)), np.fromiter(series, int))
        return self.values[np.repeat(chosen, np.diff(self.offsets))]


def read_measurements(table: TableFile, form: TableFormat, columns: Columns) -> Measurements:
    """Read the series of a table whose columns are known.

    Rows need not be sorted, and those of a series need not be together. A row without any value
    is left out, unless `form.every_row`; so is a series without any.

    Raises:
        DataError: A column that is missing or was not there in training, a cell that cannot be
            read, two rows at the same time with `duplicates=error`, labels that differ within a
            series, or no measurement at all; the message names file and line.
    """
    names = [str(name) for name in table.rows.columns]
    variable, value = long_columns(names, form)
    frame = pd.DataFrame({"row": np.arange(len(table.rows))})
    remedy = []
    if table.times_in_index and form.time_column not in names:
        how = f".rename_axis({form.time_column!r})"
        remedy = [f"the index of times has no name: {how} makes it a column"]
    for name in (form.series_column, form.time_column):
        require_column(table, name, *remedy)
    reject_line_of_units(table, form)
    frame["series"] = names_of_series(table, form)
    nonempty_column(table, form.time_column, "time", MISSING)
    frame["time"] = times_of(table, form, columns.time_kind)
    if columns.time_kind != "number":
        warn_of_misread_dates(table, form, frame["time"])
    variables = None if variable not in names else table.text(str(variable))
    if columns.time_kind == "clock":
        warn_of_midnight(table, frame["series"], frame["time"], variables)
    elif columns.time_kind == "date":
        warn_of_clock_change(table, frame["series"], frame["time"], variables)
    frame["label"] = None if form.label_column is None else labels_of_rows(table, form)
    by_series = {} if form.label_per == "time" else labels_of_series(table, frame)
    if variable is None:
        check_names(table, form, columns, names)
        faults = Faults()
        for feature in columns.features:
            with faults:
                frame[feature_key(feature)] = numbers_of(table, feature, form)
        faults.raise_them()
    else:
        assert value is not None
        frame = pivot(table, form, columns, frame, variable, value)
    keys = [feature_key(feature) for feature in columns.features]
    statics = static_of_series(table, form, columns)
    frame = without_duplicates(table, form, frame, keys)
    has_value = frame[keys].notna().any(axis=1)
    if form.every_row:  # a series without any value has nothing to tell the classes from
        has_value = has_value.groupby(frame["series"]).transform("any")
    frame = frame[has_value]
    if frame.empty:
        raise DataError(f"{table.source}: no row has a value of {', '.join(columns.features)}")
    order = order_of(frame["series"])
    warn_of_names(table, "series", list(order))
    if variable is not None:
        warn_of_names(table, "variables", columns.features)
    for static, words in columns.categories.items():
        warn_of_names(table, f"words of {static!r},", words)
    frame = frame.assign(place=frame["series"].map(order)).sort_values(["place", "time"])
    lost = sorted(set(statics.index) - set(order))
    if lost:
        log.warning(
            "%s: series without any value are left out: %s",
            table.source,
            first_names(lost),
        )
    lengths = frame.groupby("place").size().to_numpy()
    offsets = np.concatenate([[0], lengths.cumsum()])
    raw = frame["time"].to_numpy()
    origins = raw[offsets[:-1]]
    since = (raw - np.repeat(origins, lengths)).astype(np.float64)
    rows = frame["row"].to_numpy()
    by_time = form.label_column is not None and form.label_per == "time"
    labels = [by_series.get(name, "") for name in order]
    if by_time:
        labels = frame["label"].astype(object).fillna("").tolist()
    warn_of_names(table, "classes", sorted(set(labels) - {""}))
    return Measurements(
        list(order),
        offsets,
        since / (1 if columns.time_kind == "number" else 1e9),
        origins,
        frame[keys].to_numpy(np.float64, copy=True),
        statics.loc[list(order)].to_numpy(np.float64, copy=True),
        labels,
        lambda row: table.at(int(rows[row])),
    )


def without_duplicates(
    table: TableFile, form: TableFormat, frame: pd.DataFrame, keys: list[str]
) -> pd.DataFrame:
    again = frame.duplicated(["series", "time"])
    if not again.any():
        return frame
    if form.duplicates == "error":
        reject_duplicate(table, form, frame[again].iloc[0])
    how = "mean" if form.duplicates == "mean" else "last"
    by = ["series", "time"]
    if form.label_per == "time" and how == "mean":  # labels have no mean
        labels_of(table, frame, by, "write one per time, or set dataset.duplicates=last")
    joined = {"row": "first", "label": "last"} | dict.fromkeys(keys, how)
    return frame.groupby(by, sort=False).agg(joined).reset_index()


def warn_of_names(table: TableFile, kind: str, names: Iterable[str]) -> None:
    """Warn if two names may mean the same: they differ in capitals, blanks or zeros only."""
    first: dict[str, str] = {}
    alike = []
    for name in names:
        key = " ".join(name.split()).casefold()
        key = shortest_text(key) if re.fullmatch(NUMBER, key.replace(",", "_")) else key
        if (other := first.setdefault(key, name)) != name:
            alike.append((other, name))
    if alike:
        log.warning(
            "%s: %s %r and %r are read as two; their names differ in capitals, blanks or "
            "zeros only (pairs like them: %d)",
            table.source,
            kind,
            *alike[0],
            len(alike),
        )


def order_of(series: pd.Series) -> dict[str, int]:
    """Rank of each series by name; if all names are whole numbers, they are sorted by value."""
    names = series.unique().tolist()
    whole = all(re.fullmatch(r"[+-]?\d{1,99}", name) for name in names)
    names.sort(key=(lambda name: (int(name), name)) if whole else None)
    return {name: place for place, name in enumerate(names)}
