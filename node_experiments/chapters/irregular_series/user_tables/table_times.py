"""The time column of a table: numbers, dates with or without a time zone, or times of day."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pandas as pd

from ....data.cell_text import text_of
from ....data.table_file import TableFile
from ....errors import DataError
from .lost_digits import reject_lost_digits
from .numeric_dates import reject_numeric_dates
from .table_cells import NUMBER, parse_numbers
from .table_format import TableFormat
from .time_forms import CLOCK, DURATION, YEARS, ZONE, has_no_date, to_fixed_width
from .time_remedies import KINDS, remedy

__all__ = [
    "clock_times",
    "dates_of",
    "kind_of_times",
    "times_of",
    "warn_of_clock_change",
    "warn_of_midnight",
]

log = logging.getLogger(__name__)

LARGEST = 1e300  # bound on times that are numbers, so that their differences are finite
SHORT = r"-?\d+:[0-5]\d"  # clock times without and with seconds
FULL = r"-?\d+:[0-5]\d:[0-5]\d(?:[.,]\d+)?"
PLAIN = r"\d{4}-\d\d-\d\d(?:[T ](?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d+)?)?)?"
HOUR_AND_MINUTE = r".*\d[T ]\d\d ?-\d\d(?:\d\d)?"  # or an hour and an offset: 14-10
MIDNIGHT = r"[T ]24:?00(?::?00(?:[.]0*)?)?(?=$| ?Z$| ?[+-])"  # the end of a day, of ISO 8601
SET_BACK = 3600 * 10**9  # nanoseconds by which clocks are set back in autumn
LEAST_FALL = SET_BACK // 60  # smaller ones are of a logger
SUNDAY = 6
MONTHS = (3, 4, 10, 11)  # of the end of summer time, in either hemisphere


def kind_of_times(table: TableFile, form: TableFormat) -> str:
    """Kind of the times: `number`, `date`, `zoned` (a date with a time zone) or `clock`.

    Raises:
        DataError: The numbers are dates without separators, such as 20240331.
    """
    cells = table.rows[form.time_column]
    if pd.api.types.is_timedelta64_dtype(cells):
        return "clock"
    if pd.api.types.is_datetime64_any_dtype(cells):
        return "date" if getattr(cells.dt, "tz", None) is None else "zoned"
    if form.time_format is not None:
        if has_no_date(form.time_format):
            return "clock"
        return "zoned" if "%z" in form.time_format else "date"
    numbers, bad = parse_numbers(table, form.time_column, replace(form, missing=()))
    if not bad.all():
        reject_numeric_dates(table, numbers, is_later=False)
        return "number"
    first = text_of(cells).iloc[0]
    if re.fullmatch(CLOCK, first) or re.fullmatch(DURATION, first):
        return "clock"
    return "zoned" if re.fullmatch(ZONE, first) else "date"


def times_of(table: TableFile, form: TableFormat, kind: str) -> pd.Series:
    """Read the times of a table: numbers are unchanged, dates and clocks become nanoseconds.

    Raises:
        DataError: A time is not of this kind, clock times have two forms, or numbers are dates
            without separators.
    """
    cells = table.rows[form.time_column]
    if kind == "number":
        times, _ = parse_numbers(table, form.time_column, replace(form, missing=()))
        times = times.where(times.abs() < LARGEST)
        reject_numeric_dates(table, times, is_later=True)
        reject_lost_digits(table, form, times)
    elif kind == "clock":
        if form.time_format is None:
            reject_two_forms(table, form)
        times = clock_times(cells, form.time_format)
    else:
        times = dates_of(cells, form, kind)
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        cell = str(cells.iloc[row])[:40]
        which = "" if times.isna().all() else " like the others"
        what = remedy(cell, kind, text_of(cells), bool(times.isna().all()), table.is_frame)
        if form.time_format is not None:
            plain = dates_of(cells, replace(form, time_format=None), kind)
            if not plain.isna().any():
                what = (
                    f"dataset.time_format is {form.time_format!r}, and all dates of this table "
                    "are of ISO 8601: set dataset.time_format=null"
                )
            elif repr(form.time_format) in what:
                what = f"dataset.time_format is {form.time_format!r}; write all times in this form"
        raise DataError(
            f"{table.at(row)}: {form.time_column!r} is {cell!r}, which is not read as a "
            f"{KINDS[kind]}{which}; {what}"
        )
    return times if kind == "number" else pd.Series(times.to_numpy().astype(np.int64))


def reject_two_forms(table: TableFile, form: TableFormat) -> None:
    """Raise if only some clock times have seconds: next to 1:00:10, 59:50 is ambiguous.

    Raises:
        DataError: Shows a time of each form.
    """
    cells = table.rows[form.time_column]
    if pd.api.types.is_timedelta64_dtype(cells):
        return
    text = text_of(cells)
    short, full = (text.str.fullmatch(pattern).to_numpy(bool) for pattern in (SHORT, FULL))
    if not short.any() or not full.any():
        return
    one, other = int(short.argmax()), int(full.argmax())
    cell = text.iloc[one]
    raise DataError(
        f"{table.at(one)}: {form.time_column!r} is {cell!r}, and {text.iloc[other]!r} at "
        f"{table.at(other)}; write hours, minutes and seconds in every row: 0:{cell} if these are "
        f"minutes and seconds, {cell}:00 if they are hours and minutes"
    )


def clock_times(cells: pd.Series, time_format: str | None = None) -> pd.Series:
    """Parse times of day or durations; NaT where a cell is neither.

    Args:
        time_format: Format of times of day; None for `hh:mm[:ss]` and durations.
    """
    if pd.api.types.is_timedelta64_dtype(cells):
        return cells.astype("timedelta64[ns]")
    text = text_of(cells)
    if time_format is not None:
        dates = formatted_dates(text, time_format).dt.tz_localize(None)
        return (dates - pd.Timestamp("1900-01-01")).astype("timedelta64[ns]")
    text = text.where(text.str.fullmatch(f"{CLOCK}|{DURATION}"))
    full = text.where(text.str.count(":") != 1, text + ":00")
    # Python writes -1 hour as `-1 day, 23:00:00`; pandas adds these hours only after a plus.
    full = full.str.replace(r"(days?), ", r"\1 +", regex=True).str.replace(",", ".")
    return pd.to_timedelta(full, errors="coerce").astype("timedelta64[ns]")


def dates_of(cells: pd.Series, form: TableFormat, kind: str) -> pd.Series:
    """Parse dates, as UTC if they have a time zone; NaT where a cell is not of this kind."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        has_zone = pd.Series(getattr(cells.dt, "tz", None) is not None, cells.index)
        dates = pd.to_datetime(cells, utc=True)
    elif form.time_format is not None:
        has_zone = pd.Series("%z" in form.time_format, cells.index)
        dates = formatted_dates(text_of(cells), form.time_format)
    else:
        dates, has_zone = iso_dates(text_of(cells))
    dates = dates.where(has_zone == (kind == "zoned"))
    dates = dates.dt.tz_localize(None)
    return dates.where(dates.dt.year.between(*YEARS)).astype("datetime64[ns]")


def iso_dates(text: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Dates of ISO 8601, also with UTC, GMT or a decimal comma, and whether each has a zone."""
    if text.str.fullmatch(PLAIN).all():  # as in most tables: nothing else to look for
        dates = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
        return dates, pd.Series(False, text.index)
    text = text.mask(text.str.fullmatch(NUMBER))  # 1800 is a number, not a year
    text = text.str.replace(r"(\d),(\d)", r"\1.\2", regex=True)
    has_zone = text.str.fullmatch(ZONE, na=False).astype(bool)
    text = text.mask(text.str.fullmatch(HOUR_AND_MINUTE, na=False).astype(bool))
    text = text.str.replace(r" ?(?:UTC|GMT)$", "Z", regex=True)
    ends_day = text.str.contains(MIDNIGHT, na=False).astype(bool)
    text = text.str.replace(MIDNIGHT, " 00:00", regex=True)
    dates = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    return dates + pd.to_timedelta(ends_day.astype(int), unit="D"), has_zone


def formatted_dates(text: pd.Series, time_format: str) -> pd.Series:
    """Parse dates of a `strptime` format, as UTC; NaT where a cell has another form.

    Raises:
        DataError: It is not a date format.
    """
    text = to_fixed_width(text, time_format)
    try:
        return pd.to_datetime(text, format=time_format, errors="coerce", utc=True)
    except ValueError as error:
        raise DataError(
            f"dataset.time_format={time_format!r} is not a date format: {error}; write one such "
            "as '%d.%m.%Y %H:%M'"
        ) from error


def warn_of_midnight(
    table: TableFile, series: pd.Series, times: pd.Series, variables: pd.Series | None = None
) -> None:
    """Warn if the time of day seems to pass midnight within a series.

    Args:
        variables: The variable of each row of a long table, whose rows may be sorted by it.
    """
    falls = times.groupby(series if variables is None else [series, variables]).diff() < 0
    if times.max() < 24 * 3600 * 10**9 and falls.any():
        row = int(falls.to_numpy().argmax())
        log.warning(
            "%s: the time of day falls within series %r; if midnight is between, write dates, or "
            "hours above 24 (26:30)",
            table.at(row),
            series.iloc[row],
        )


def warn_of_clock_change(
    table: TableFile, series: pd.Series, times: pd.Series, variables: pd.Series | None = None
) -> None:
    """Warn if dates without a zone fall in a night in which clocks may be set back.

    Only if they rise otherwise, in a series or for a variable: rows may come in any order.

    Args:
        variables: As in `warn_of_midnight`.
    """
    row = row_of_clock_change(times, times.groupby(series).diff())
    if row is None and variables is not None:
        row = row_of_clock_change(times, times.groupby([series, variables]).diff())
    if row is not None:
        log.warning(
            "%s: the time falls by at most an hour within series %r, and rows are sorted by time; "
            "if clocks were set back here, write dates with their offset (2024-10-27 02:10+01:00)",
            table.at(row),
            series.iloc[row],
        )


def row_of_clock_change(times: pd.Series, steps: pd.Series) -> int | None:
    """The first row in which clocks may have been set back; None if other times fall as well.

    Args:
        times: Dates in nanoseconds.
        steps: Difference of each time from the one before it.
    """
    falls = steps < 0
    if not falls.any() or (steps[falls] < -SET_BACK).any() or (steps[falls] > -LEAST_FALL).any():
        return None
    dates = pd.to_datetime(times[falls])
    at_night = (dates.dt.day_of_week == SUNDAY) & (dates.dt.hour <= 3)
    in_season = dates.dt.month.isin(MONTHS)
    return int(falls.to_numpy().argmax()) if (at_night & in_season).all() else None
