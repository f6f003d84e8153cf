"""Detection of dates and times of day that are written as whole numbers, such as 20240331."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import gcd
from typing import NamedTuple

import numpy as np
import pandas as pd

from ....data.table_file import TableFile
from ....errors import DataError
from .table_format import TableFormat
from .time_remedies import WANTED

__all__ = ["are_eight_digits", "reject_numeric_dates", "warn_of_numeric_dates"]

log = logging.getLogger(__name__)

# By the number of digits: the format, and the fraction that must be valid dates. Among other
# numbers one in hundreds is a valid date, but seconds since 1970 have ten digits too.
CERTAIN = {
    8: ("%Y%m%d", 0.5),
    10: ("%Y%m%d%H", 1.0),
    12: ("%Y%m%d%H%M", 0.5),
    14: ("%Y%m%d%H%M%S", 0.5),
    17: ("%Y%m%d%H%M%S%f", 0.5),
}
YEAR_LAST = ("%d%m%Y", "%m%d%Y")  # of eight digits, whose leading zero a number loses
FIRST = 100  # rows that are checked before all others
FEWEST = 3  # distinct numbers that are enough to recognise dates
REGULAR = 4  # distinct numbers whose equal steps as dates are no coincidence
JUMP = 3  # smallest ratio of a step to the next month, say, to the largest step within one
EXPECTED = 7  # expected numbers in the gaps if they were not dates; there are none if they are


def reject_numeric_dates(table: TableFile, numbers: pd.Series, is_later: bool) -> None:
    """Raise for numbers such as 20240331 and 20240401, whose difference is not that of the dates.

    Args:
        is_later: Whether a model has already been trained, on times that are numbers.

    Raises:
        DataError: Names the setting with which they are read as dates.
    """
    forms: tuple[str, ...] = ()
    for some in (numbers.iloc[:FIRST], numbers):  # most tables have no dates, and are long
        if not (forms := formats_of_numbers(some)):
            return
    form = " or ".join(f"'{each}'" for each in forms)
    remedy = f"set dataset.time_format={form}, or count times from some start"
    if is_later:
        remedy = f"the model was trained on times that are {WANTED['number']}"
    raise DataError(f"{table.at(0)}: the time {numbers.iloc[0]:.0f} looks like a date; {remedy}")


def formats_of_numbers(numbers: pd.Series) -> tuple[str, ...]:
    """The possible formats of dates that are written as whole numbers; none if they are not dates.

    >>> formats_of_numbers(pd.Series([2024033023.0, 2024033100.0]))
    ('%Y%m%d%H',)
    >>> formats_of_numbers(pd.Series([31032024.0, 1042024.0]))  # 1 April has lost its zero
    ('%d%m%Y',)
    >>> formats_of_numbers(pd.Series([1711929600.0, 1711933200.0]))  # seconds since 1970
    ()
    """
    if not np.isfinite(numbers).all() or (numbers % 1 != 0).any() or (numbers < 1e6).any():
        return ()
    text = numbers.map("{:.0f}".format)
    form, min_fraction = CERTAIN.get(len(text.iloc[0]), ("", 0.0))
    if form and text.str.len().nunique() == 1:
        dates = valid_dates(text, form)
        if dates.all() or dates.mean() > min_fraction:
            return (form,)
    if text.str.len().max() > 8:
        return ()
    distinct = pd.Series(text.str.zfill(8).unique(), dtype=object)
    if len(distinct) < 2 or distinct.str[4:].nunique() == len(distinct):  # a counter, say
        return ()
    if distinct.str.endswith("000").all():  # or milliseconds
        return ()
    return tuple(each for each in YEAR_LAST if valid_dates(distinct, each).all())


def valid_dates(text: pd.Series, form: str) -> pd.Series:
    """Mask of the texts that are dates of this format, of the years 1900 to 2100."""
    return pd.to_datetime(text, format=form, errors="coerce").dt.year.between(1900, 2100)


def are_eight_digits(numbers: pd.Series) -> bool:
    """Whether all numbers are dates such as 20240331."""
    if not np.isfinite(numbers).all() or not numbers.between(19e6, 21.01e6).all():
        return False
    whole = bool((numbers % 1 == 0).all())
    return whole and bool(valid_dates(numbers.map("{:.0f}".format), "%Y%m%d").all())


class NumericDates(NamedTuple):
    """Format of dates that are written as numbers of a few digits.

    Attributes:
        format: As Python's `strptime` reads it.
        base: Difference of the numbers from one month, say, to the next.
        dates_per_block: How many of these numbers at most are dates.
        to_ordinal: Function from numbers to days, say, since some start; returns None if any is
            not a date.
        remedy: What to do, if `format` is not to be set.
        decimals: Whether a point is before the last two digits.
    """

    format: str
    base: int
    dates_per_block: int
    to_ordinal: Callable[[np.ndarray], np.ndarray | None]
    remedy: str = ""
    decimals: bool = False


def _months(numbers: np.ndarray) -> np.ndarray | None:
    years, months = np.divmod(numbers, 100)
    are = (years >= 1900) & (years <= 2100) & (months >= 1) & (months <= 12)
    return 12 * years + months if are.all() else None


def _quarters(numbers: np.ndarray) -> np.ndarray | None:
    years, quarters = np.divmod(numbers, 10)
    are = (years >= 1900) & (years <= 2100) & (quarters >= 1) & (quarters <= 4)
    return 4 * years + quarters if are.all() else None


def _quarters_in_tenths(numbers: np.ndarray) -> np.ndarray | None:
    return _quarters(numbers // 10) if (numbers % 10 == 0).all() else None


def _weeks(numbers: np.ndarray) -> np.ndarray | None:
    years, weeks = np.divmod(numbers, 100)
    are = (years >= 1900) & (years <= 2100) & (weeks >= 1) & (weeks <= 53)
    return 52 * years + weeks if are.all() else None


def _minutes(numbers: np.ndarray) -> np.ndarray | None:
    hours, minutes = np.divmod(numbers, 100)
    return 60 * hours + minutes if ((hours < 24) & (minutes < 60)).all() else None


def _seconds(numbers: np.ndarray) -> np.ndarray | None:
    minutes, seconds = _minutes(numbers // 100), numbers % 100
    return None if minutes is None or (seconds > 59).any() else 60 * minutes + seconds


def _stamps(
    digits: int, of_day: Callable[[np.ndarray], np.ndarray | None], per_day: int
) -> Callable[[np.ndarray], np.ndarray | None]:
    """Of dates of six digits (the year has two) before times of day of so many."""

    def stamps(numbers: np.ndarray) -> np.ndarray | None:
        days, times = np.divmod(numbers, 10**digits)
        dates, since = _short_days(np.unique(days)), of_day(times)
        if dates is None or since is None:
            return None
        return per_day * dates[np.searchsorted(np.unique(days), days)] + since

    return stamps


def _days(form: str, digits: int, least: int) -> Callable[[np.ndarray], np.ndarray | None]:
    def days(numbers: np.ndarray) -> np.ndarray | None:
        if numbers[0] < least or len(str(numbers[-1])) > digits:
            return None
        text = pd.Series(numbers).map(f"{{:0{digits}d}}".format)
        dates = pd.to_datetime(text, format=form, errors="coerce")
        if not dates.dt.year.between(1900, 2100).all():
            return None
        return dates.to_numpy().astype("datetime64[D]").astype(np.int64)

    return days


_short_days = _days("%y%m%d", 6, 10_101)
FIRST_OF_WEEK = "write the first day of each week, such as 2024-03-25"
FIRST_OF_QUARTER = "write the first day of each quarter, such as 2024-04-01"
WITH_COLON = "write times of day with a colon, such as 09:45"
POSSIBLE = (
    NumericDates("%Y%m", 100, 12, _months),
    NumericDates("%Y.%m", 100, 12, _months, "write dates, such as 2024-03", decimals=True),
    NumericDates("%Y", 10, 4, _quarters, FIRST_OF_QUARTER),
    NumericDates("%Y", 100, 4, _quarters_in_tenths, FIRST_OF_QUARTER, decimals=True),
    NumericDates("%G%V", 100, 53, _weeks, FIRST_OF_WEEK),
    NumericDates("%y%m%d", 100, 31, _short_days),
    NumericDates("%y%m%d%H%M", 100, 60, _stamps(4, _minutes, 1440)),
    NumericDates("%y%m%d%H%M%S", 100, 60, _stamps(6, _seconds, 86400)),
    NumericDates("%Y%j", 1000, 366, _days("%Y%j", 7, 1_900_001)),
    NumericDates("%H%M", 100, 60, _minutes),
    NumericDates("%H.%M", 100, 60, _minutes, WITH_COLON, decimals=True),
    NumericDates("%H%M%S", 100, 60, _seconds),
)
LARGEST = 1e12  # the largest number that may be one of these dates
DECIMALS = r"\d\d?\.\d\d|\d{4}\.\d\d?"


def warn_of_numeric_dates(table: TableFile, form: TableFormat, times: pd.Series) -> None:
    """Warn about numbers such as 202312 and 202401, which look like dates (no month is 13)."""
    text = table.text(form.time_column)
    decimals = bool((times % 1 != 0).any())
    if decimals and not text.str.fullmatch(DECIMALS).all():
        return
    scaled = (times.to_numpy(np.float64) * (100 if decimals else 1)).round(6)
    numbers = np.unique(scaled)
    if len(numbers) < FEWEST or (numbers % 1 != 0).any():
        return
    if numbers[0] < 0 or numbers[-1] >= LARGEST:
        return
    whole = numbers.astype(np.int64)
    cells = dict(zip(scaled, text, strict=True))  # the last of those that are the same number
    digits, padded = text.str.len(), bool(text.str.startswith("0").any())
    found: list[NumericDates] = []
    shown: tuple[int, int] | None = None
    for kind in POSSIBLE:
        if kind.decimals != decimals or (kind.format == "%y%m%d" and not (digits == 6).all()):
            continue
        real, carries = kind.to_ordinal(whole), np.flatnonzero(np.diff(whole // kind.base))
        if real is None or not len(carries):
            continue
        in_full = kind.format == "%H%M" and padded and bool((digits == 4).all())
        in_full |= kind.format == "%y%m%d%H%M%S"  # hardly any other numbers are all valid
        if in_full or are_dates(whole, real, kind):
            found.append(kind)
            shown = shown or (int(whole[carries[0]]), int(whole[carries[0] + 1]))
    if shown is None:
        return
    first = found[0]
    formats = " or ".join(repr(kind.format) for kind in found if not kind.remedy)
    remedy = first.remedy or f"set dataset.time_format={formats}"
    if first.format == "%H%M" and are_month_and_day(whole):
        remedy += ", or, if they are months and days, write dates with their year (2024-03-31)"
    log.warning(
        "%s: the times %s and %s are read as numbers that are %g apart, and look like %s; if "
        "they are, %s",
        table.source,
        *(cells[n] for n in shown),
        (shown[1] - shown[0]) / (100 if decimals else 1),
        "dates" if {"Y", "y", "G"} & set(first.format) else "times of day",
        remedy,
    )


def are_month_and_day(numbers: np.ndarray) -> bool:
    """Whether all numbers may be a month and a day, such as 1231."""
    months, days = np.divmod(numbers, 100)
    return bool(((months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)).all())


def are_dates(numbers: np.ndarray, real: np.ndarray, kind: NumericDates) -> bool:
    """Whether the steps of numbers that may be dates show that they are.

    Args:
        numbers: Distinct and ascending.
        real: The days, say, that they stand for.
    """
    steps, true = np.diff(numbers), np.diff(real)
    blocks = numbers // kind.base
    carried = np.diff(blocks) > 0
    if len(numbers) >= REGULAR:
        if len(set(true)) == 1 < len(set(steps)):
            return True
        within, across = steps[~carried], steps[carried]
        jumps = len(within) > 0 and across.min() >= JUMP * within.max()
        if jumps and true[carried].max() <= 2 * true[~carried].max():
            return True
    gap = kind.base - kind.dates_per_block
    if gcd(*steps.tolist()) >= gap:  # none could lie in a gap anyway
        return False
    _, counts = np.unique(blocks, return_counts=True)
    pairs = np.minimum(counts[1:], counts[:-1])[np.diff(np.unique(blocks)) == 1]
    return bool(pairs.sum() * gap / kind.dates_per_block >= EXPECTED)
