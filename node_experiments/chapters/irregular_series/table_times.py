"""Times as a table writes them: numbers, dates with or without a zone, or times of day."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from ...data.table_file import TableFile
from ...errors import DataError
from .table_cells import NUMBER, parsed, text_of
from .table_format import TableFormat

__all__ = [
    "clock_times",
    "dates_of",
    "kind_of_times",
    "reject_separate_dates",
    "times_of",
    "warn_of_midnight",
]

log = logging.getLogger(__name__)

KINDS = {
    "number": "number",
    "date": "date",
    "zoned": "date with a zone",
    "clock": "time of day",
}
CLOCK = r"-?\d+:[0-5]\d(?::[0-5]\d(?:[.,]\d+)?)?"
DURATION = r"-?\d+ days?(?:,? .*)?"  # as pandas and, with a comma, Python write one
ZONE = r".*(?:\d ?Z|\d ?UTC|\d[T ]\d\d[\d:.,]* ?[+-]\d\d(?::?\d\d)?)"
YEARS = (1678, 2261)  # whole ones that nanoseconds in 64 bits reach
LARGEST = 1e300  # of a number: the difference of two is still one
NUMERIC_DATES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
DATE = r"\d{4}([./-])\d\d?\1\d\d?(?:[T ]00:00(?::00)?)?|\d\d?([./-])\d\d?\2(?:\d{4}|\d\d)"
DAY_FIRST_OR_MONTH_FIRST = re.compile(r"\d{1,2}([./-])\d{1,2}\1(\d{4}|\d\d)(?:[ T]+(.*))?")
PERIOD = re.compile(r"\d{4}[ -]?[QWM]\d\d?(?:-\d)?|[QWM]\d\d?[ -/]\d{4}", re.IGNORECASE)
# Those that pandas does not guess.
NAMED_MONTHS = (
    "%b %Y", "%B %Y", "%b-%Y", "%b-%y", "%b %y", "%d-%b-%y", "%d %b %y", "%d%b%Y",
    "%d%b%Y:%H:%M:%S", "%d%b%Y %H:%M:%S", "%d %b %Y %I:%M %p", "%d %B %Y %I:%M %p",
    "%b %d, %Y %I:%M %p", "%B %d, %Y %I:%M %p", "%d-%b-%y %I.%M.%S.%f %p",
)  # fmt: skip
OF_DAY = {
    r"\d+:\d\d": "%H:%M",
    r"\d+:\d\d:\d\d": "%H:%M:%S",
    r"\d+:\d\d ?[AaPp][Mm]": "%I:%M %p",
    r"\d+:\d\d:\d\d ?[AaPp][Mm]": "%I:%M:%S %p",
}


def kind_of_times(table: TableFile, form: TableFormat) -> str:
    """`number`, `date`, `zoned` (a date with a zone) or `clock`.

    Raises:
        DataError: Numbers that are dates without their signs, such as 20240331.
    """
    cells = table.rows[form.time_column]
    if pd.api.types.is_timedelta64_dtype(cells):
        return "clock"
    if pd.api.types.is_datetime64_any_dtype(cells):
        return "date" if getattr(cells.dt, "tz", None) is None else "zoned"
    if form.time_format is not None:
        return "zoned" if "%z" in form.time_format else "date"
    numbers, bad = parsed(table, form.time_column, replace(form, missing=()))
    if not bad.all():
        reject_numeric_dates(table, numbers)
        return "number"
    first = text_of(cells).iloc[0]
    if re.fullmatch(CLOCK, first) or re.fullmatch(DURATION, first):
        return "clock"
    return "zoned" if re.fullmatch(ZONE, first) else "date"


def reject_numeric_dates(table: TableFile, numbers: pd.Series) -> None:
    """Numbers such as 20240331 and 20240401 are not as far from each other as their dates."""
    if not np.isfinite(numbers).all() or (numbers % 1 != 0).any() or (numbers < 19e6).any():
        return
    text = numbers.map("{:.0f}".format)
    form = NUMERIC_DATES.get(len(text.iloc[0]))
    if form is None or text.str.len().nunique() > 1:
        return
    years = pd.to_datetime(text, format=form, errors="coerce").dt.year
    if years.between(1900, 2100).mean() > 0.5:  # among numbers of another kind, one in hundreds
        raise DataError(
            f"{table.at(0)}: the time {text.iloc[0]} looks like a date; set "
            f"dataset.time_format='{form}', or count times from some start"
        )


def times_of(table: TableFile, form: TableFormat, kind: str) -> pd.Series:
    """Numbers as they are, dates and clocks in whole nanoseconds.

    Raises:
        DataError: A time that is not of the kind of the others.
    """
    cells = table.rows[form.time_column]
    if kind == "number":
        times, _ = parsed(table, form.time_column, replace(form, missing=()))
        times = times.where(times.abs() < LARGEST)
    elif kind == "clock":
        times = clock_times(cells)
    else:
        times = dates_of(cells, form, kind)
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        cell = str(cells.iloc[row])[:40]
        which = "" if times.isna().all() else " like the others"
        what = remedy(cell, kind, text_of(cells), of_all=bool(times.isna().all()))
        if table.is_frame:
            what = what.replace("set dataset.time_format=", "use pandas.to_datetime with format=")
        raise DataError(
            f"{table.at(row)}: {form.time_column!r} is {cell!r}, which is not read as a "
            f"{KINDS[kind]}{which}; {what}"
        )
    return times if kind == "number" else pd.Series(times.to_numpy().astype(np.int64))


def clock_times(cells: pd.Series) -> pd.Series:
    """Times of day or durations, NaT where there is none."""
    if pd.api.types.is_timedelta64_dtype(cells):
        return cells.astype("timedelta64[ns]")
    text = text_of(cells)
    text = text.where(text.str.fullmatch(f"{CLOCK}|{DURATION}"))
    full = text.where(text.str.count(":") != 1, text + ":00")
    # Python adds the hours of `-1 day, 23:00:00`, pandas those with a plus.
    full = full.str.replace(r"(days?), ", r"\1 +", regex=True).str.replace(",", ".")
    return pd.to_timedelta(full, errors="coerce").astype("timedelta64[ns]")


def dates_of(cells: pd.Series, form: TableFormat, kind: str) -> pd.Series:
    """Dates in UTC, or as they are where they have no zone; NaT where one is not of this kind."""
    if pd.api.types.is_datetime64_any_dtype(cells):
        has_zone = pd.Series(getattr(cells.dt, "tz", None) is not None, cells.index)
        dates = pd.to_datetime(cells, utc=True)
    elif form.time_format is not None:
        has_zone = pd.Series("%z" in form.time_format, cells.index)
        try:
            dates = pd.to_datetime(
                text_of(cells), format=form.time_format, errors="coerce", utc=True
            )
        except ValueError as error:
            raise DataError(
                f"dataset.time_format={form.time_format!r} is no format of dates: {error}; write "
                "one such as '%d.%m.%Y %H:%M'"
            ) from error
    else:
        text = text_of(cells)
        text = text.mask(text.str.fullmatch(NUMBER))  # 1800 is a number and no year
        text = text.str.replace(r"(\d),(\d)", r"\1.\2", regex=True)
        has_zone = text.str.fullmatch(ZONE, na=False).astype(bool)
        text = text.str.replace(r" ?UTC$", "Z", regex=True)
        dates = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    dates = dates.where(has_zone == (kind == "zoned"))
    dates = dates.dt.tz_localize(None)
    return dates.where(dates.dt.year.between(*YEARS)).astype("datetime64[ns]")


def reject_separate_dates(table: TableFile, form: TableFormat, ignored: Sequence[str]) -> None:
    """Raise where times of day belong to dates in another column, which is not read.

    Raises:
        DataError: With both columns.
    """
    if clock_times(table.rows[form.time_column]).max() >= pd.Timedelta(days=1):
        return
    series = text_of(table.rows[form.series_column])
    for name in ignored:
        text = text_of(table.rows[name])
        known = text[text != ""]
        dates = len(known) > 0 and bool(known.str.fullmatch(DATE).all())
        if dates and bool((known.groupby(series).nunique() > 1).any()):
            raise DataError(
                f"{table.source}: {form.time_column!r} holds times of day, and {name!r} dates "
                "that change within a series; join them in one column (2024-03-31 14:05), or, if "
                "the times are durations, name the features with dataset.value_columns"
            )


def warn_of_midnight(table: TableFile, series: pd.Series, times: pd.Series) -> None:
    """Warn where a clock seems to start again at midnight within a series."""
    falls = times.groupby(series, sort=False).diff() < 0
    if times.max() < 24 * 3600 * 10**9 and falls.any():
        row = int(falls.to_numpy().argmax())
        log.warning(
            "%s: the time of day falls within series %r; if midnight is between, write dates, or "
            "hours above 24 (26:30)",
            table.at(row),
            series.iloc[row],
        )


def named_month(cell: str) -> str | None:
    """The format of a date whose month is a word, or None.

    >>> named_month("31-Mar-2024 14:05")
    '%d-%b-%Y %H:%M'
    >>> named_month("Jan 2020")
    '%b %Y'
    """
    if not re.search(r"[A-Za-z]{3}", cell):
        return None
    guessed = guess_datetime_format(cell, dayfirst=True)
    return guessed or next((f for f in NAMED_MONTHS if _is_of(cell, f)), None)


def _is_of(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)
    except ValueError:
        return False
    return True


def remedy(cell: str, kind: str, cells: pd.Series, of_all: bool) -> str:
    """What to do about a time that cannot be read.

    Args:
        cells: All times of the table.
        of_all: Whether none can be read: they are of another kind than those of training.
    """
    if (found := DAY_FIRST_OR_MONTH_FIRST.fullmatch(cell)) is not None:
        sign, year, of_day = found.groups()
        after = [form for pattern, form in OF_DAY.items() if re.fullmatch(pattern, of_day or "")]
        parts = ["%d", "%m", "%Y" if len(year) == 4 else "%y"]
        forms = [sign.join(parts), sign.join([parts[1], parts[0], parts[2]])]
        forms = [repr(" ".join([form, *after])) for form in forms]
        leading = cells.str.extract(r"^(\d{1,2})[./-](\d{1,2})[./-]").astype(float)
        no_month = (leading > 12).any().tolist()
        if all(no_month):
            return (
                "in some dates the day is first and in others the month; write all of them as "
                "2024-03-31"
            )
        if any(no_month):
            return f"set dataset.time_format={forms[0] if no_month[0] else forms[1]}"
        shown = forms[0] if sign == "." else f"{forms[0]} (day first) or {forms[1]} (month first)"
        return f"set dataset.time_format={shown}"
    other = cells[~cells.str.contains("May", case=False)]  # which is short and long
    if (form := named_month(cell if other.empty else other.iloc[0])) is not None:
        return f"set dataset.time_format={form!r}"
    if PERIOD.fullmatch(cell):
        return (
            "write the first day of each week, month or quarter (2024-03-25), with pandas' "
            "PeriodIndex(...).to_timestamp(), or numbers"
        )
    for pattern, form in OF_DAY.items():
        if "%p" in form and re.fullmatch(pattern, cell):
            return f"set dataset.time_format={form!r}"
    if (year := re.match(r"(\d{4})-\d\d", cell)) and not YEARS[0] <= int(year[1]) <= YEARS[1]:
        return (
            f"dates are of the years {YEARS[0]} to {YEARS[1]}; remove the row, or write times as "
            "numbers"
        )
    has_zone = bool(re.fullmatch(ZONE, cell))
    if kind in ("date", "zoned") and has_zone != (kind == "zoned"):
        if of_all and has_zone:
            return (
                "the model was trained on dates without a zone: leave it out (with pandas, "
                "tz_localize(None))"
            )
        if of_all:
            return "the model was trained on dates with a zone: write it (2024-03-31 14:05+01:00)"
        return "write the zone with every date (2024-03-31 14:05+01:00), or with none"
    return (
        "write times as numbers, as dates of ISO 8601 (2024-03-31 14:05) or as hh:mm, or set "
        "dataset.time_format, such as '%d.%m.%Y %H:%M'"
    )
