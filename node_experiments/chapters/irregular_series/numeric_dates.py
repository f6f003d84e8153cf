"""Detection of dates and times of day that are written as whole numbers, such as 20240331."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import gcd
from typing import NamedTuple

import numpy as np
import pandas as pd

from ...data.table_file import TableFile
from ...errors import DataError
from .table_cells import text_of
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
}
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
    form = ""
    for some in (numbers.iloc[:FIRST], numbers):  # most tables have no dates, and are long
        if not (form := format_of_numbers(some)):
            return
    remedy = f"set dataset.time_format='{form}', or count times from some start"
    if is_later:
        remedy = f"the model was trained on times that are {WANTED['number']}"
    raise DataError(f"{table.at(0)}: the time {numbers.iloc[0]:.0f} looks like a date; {remedy}")


def format_of_numbers(numbers: pd.Series) -> str:
    """The format of dates that are written as whole numbers; empty if they are not dates.

    >>> format_of_numbers(pd.Series([2024033023.0, 2024033100.0]))
    '%Y%m%d%H'
    >>> format_of_numbers(pd.Series([1711929600.0, 1711933200.0]))  # seconds since 1970
    ''
    """
    if not np.isfinite(numbers).all() or (numbers % 1 != 0).any() or (numbers < 19e6).any():
        return ""
    text = numbers.map("{:.0f}".format)
    form, min_fraction = CERTAIN.get(len(text.iloc[0]), ("", 0.0))
    if not form or text.str.len().nunique() > 1:
        return ""
    dates = pd.to_datetime(text, format=form, errors="coerce").dt.year.between(1900, 2100)
    return form if dates.all() or dates.mean() > min_fraction else ""


def are_eight_digits(numbers: pd.Series) -> bool:
    """Whether all numbers are dates such as 20240331."""
    if not np.isfinite(numbers).all() or not numbers.between(19e6, 21.01e6).all():
        return False
    dates = pd.to_datetime(numbers.map("{:.0f}".format), format="%Y%m%d", errors="coerce")
    return bool(dates.notna().all()) and bool((numbers % 1 == 0).all())


class NumericDates(NamedTuple):
    """Format of dates that are written as numbers of a few digits.

    Attributes:
        format: As Python's `strptime` reads it.
        base: Difference of the numbers from one month, say, to the next.
        dates_per_block: How many of these numbers at most are dates.
        to_ordinal: Function from numbers to days, say, since some start; returns None if any is
            not a date.
    """

    format: str
    base: int
    dates_per_block: int
    to_ordinal: Callable[[np.ndarray], np.ndarray | None]


def _months(numbers: np.ndarray) -> np.ndarray | None:
    years, months = np.divmod(numbers, 100)
    are = (years >= 1900) & (years <= 2100) & (months >= 1) & (months <= 12)
    return 12 * years + months if are.all() else None


def _minutes(numbers: np.ndarray) -> np.ndarray | None:
    hours, minutes = np.divmod(numbers, 100)
    return 60 * hours + minutes if ((hours < 24) & (minutes < 60)).all() else None


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


POSSIBLE = (
    NumericDates("%Y%m", 100, 12, _months),
    NumericDates("%y%m%d", 100, 31, _days("%y%m%d", 6, 10_101)),
    NumericDates("%Y%j", 1000, 366, _days("%Y%j", 7, 1_900_001)),
    NumericDates("%H%M", 100, 60, _minutes),
)


def warn_of_numeric_dates(table: TableFile, form: TableFormat, times: pd.Series) -> None:
    """Warn about numbers such as 202312 and 202401, which look like dates (no month is 13)."""
    numbers = np.unique(times.to_numpy(np.float64))
    if len(numbers) < FEWEST or (numbers % 1 != 0).any() or numbers[0] < 0 or numbers[-1] > 3e6:
        return
    whole = numbers.astype(np.int64)
    possible = []
    for kind in POSSIBLE:
        real, carries = kind.to_ordinal(whole), np.flatnonzero(np.diff(whole // kind.base))
        if real is not None and len(carries):
            possible.append((kind, real, (whole[carries[0]], whole[carries[0] + 1])))
    if not possible:
        return
    text = text_of(table.rows[form.time_column])
    digits, padded = text.str.len(), bool(text.str.startswith("0").any())
    found = []
    for kind, real, pair in possible:
        if kind.format == "%y%m%d" and not (digits == 6).all():
            continue
        in_full = kind.format == "%H%M" and padded and bool((digits == 4).all())
        if in_full or are_dates(whole, real, kind):
            found.append((kind.format, pair))
    if not found:
        return
    (first, pair), forms = found[0], " or ".join(repr(name) for name, _ in found)
    width = int(digits.iloc[0]) if digits.nunique() == 1 else 0
    remedy = f"set dataset.time_format={forms}"
    if first == "%H%M":
        shown = f"{pair[0] // 100:02d}:{pair[0] % 100:02d}"
        remedy = f"write them with a colon ({shown})"
    log.warning(
        "%s: the times %s and %s are read as numbers that are %d apart, and look like %s; if "
        "they are, %s",
        table.source,
        *(f"{number:0{width}d}" for number in pair),
        pair[1] - pair[0],
        "times of day" if first == "%H%M" else "dates",
        remedy,
    )


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
