"""Dates and times of day that are written as whole numbers, and are not as far apart as these."""

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

# By the number of digits; how many are dates if they are meant so: among numbers of another kind
# one in hundreds is a date, but seconds since 1970 have ten digits too.
CERTAIN = {
    8: ("%Y%m%d", 0.5),
    10: ("%Y%m%d%H", 1.0),
    12: ("%Y%m%d%H%M", 0.5),
    14: ("%Y%m%d%H%M%S", 0.5),
}
FIRST = 100  # rows that are looked at before all of them are
FEWEST = 3  # different numbers, from which on they may be seen to be dates
REGULAR = 4  # different numbers, from which on even steps of dates are no chance
JUMP = 3  # times the largest step within a month, say, that every step to the next one is
EXPECTED = 7  # numbers in the gaps if they were no dates, of which there is none


def reject_numeric_dates(table: TableFile, numbers: pd.Series, is_later: bool) -> None:
    """Numbers such as 20240331 and 20240401 are not as far from each other as their dates.

    Args:
        is_later: Whether a model is trained already, on times that are numbers.

    Raises:
        DataError: With the setting by which they are read as dates.
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
    """The format of dates that are whole numbers, or nothing.

    >>> format_of_numbers(pd.Series([2024033023.0, 2024033100.0]))
    '%Y%m%d%H'
    >>> format_of_numbers(pd.Series([1711929600.0, 1711933200.0]))  # seconds since 1970
    ''
    """
    if not np.isfinite(numbers).all() or (numbers % 1 != 0).any() or (numbers < 19e6).any():
        return ""
    text = numbers.map("{:.0f}".format)
    form, share = CERTAIN.get(len(text.iloc[0]), ("", 0.0))
    if not form or text.str.len().nunique() > 1:
        return ""
    dates = pd.to_datetime(text, format=form, errors="coerce").dt.year.between(1900, 2100)
    return form if dates.all() or dates.mean() > share else ""


def are_eight_digits(numbers: pd.Series) -> bool:
    """Whether all numbers are dates such as 20240331."""
    if not np.isfinite(numbers).all() or not numbers.between(19e6, 21.01e6).all():
        return False
    dates = pd.to_datetime(numbers.map("{:.0f}".format), format="%Y%m%d", errors="coerce")
    return bool(dates.notna().all()) and bool((numbers % 1 == 0).all())


class NumericDates(NamedTuple):
    """Numbers of a few digits that may be dates.

    Attributes:
        format: As Python's `strptime` reads it.
        base: Numbers from one month, say, to the next one.
        most: Of these the ones that are dates.
        of: Days, say, since some start, or None where a number is no date.
    """

    format: str
    base: int
    most: int
    of: Callable[[np.ndarray], np.ndarray | None]


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
    """Warn of numbers such as 202312 and 202401, between which there is never a month 13."""
    numbers = np.unique(times.to_numpy(np.float64))
    if len(numbers) < FEWEST or (numbers % 1 != 0).any() or numbers[0] < 0 or numbers[-1] > 3e6:
        return
    whole = numbers.astype(np.int64)
    possible = []
    for kind in POSSIBLE:
        real, carries = kind.of(whole), np.flatnonzero(np.diff(whole // kind.base))
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
    """Whether numbers that may be dates are so by their steps.

    Args:
        numbers: Different ones, rising.
        real: Days, say, that they stand for.
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
    gap = kind.base - kind.most
    if gcd(*steps.tolist()) >= gap:  # they could be in no gap
        return False
    _, counts = np.unique(blocks, return_counts=True)
    pairs = np.minimum(counts[1:], counts[:-1])[np.diff(np.unique(blocks)) == 1]
    return bool(pairs.sum() * gap / kind.most >= EXPECTED)
