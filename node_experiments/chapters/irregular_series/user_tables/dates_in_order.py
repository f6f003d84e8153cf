"""Detection of dates that are written as numbers, by the order of the rows of a table."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd

from ....data.table_file import TableFile
from .table_format import TableFormat

__all__ = ["warn_of_dates_in_order"]

log = logging.getLogger(__name__)

FEWEST = 3  # distinct numbers that are enough to recognise dates
LAST_YEAR = 2050  # of dates whose year has two digits
NEW_YEAR = 600  # fall of MMDD from one year to the next, at least


def _dates(form: str, digits: int) -> Callable[[np.ndarray], np.ndarray | None]:
    def ordinal(numbers: np.ndarray) -> np.ndarray | None:
        text = pd.Series(numbers).map(f"{{:0{digits}d}}".format)
        if (text.str.len() > digits).any():
            return None
        dates = pd.to_datetime(text, format=form, errors="coerce")
        return dates.to_numpy().astype(np.int64) if (dates.dt.year <= LAST_YEAR).all() else None

    return ordinal


FORMS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "%d%m%y": _dates("%d%m%y", 6),
    "%m%d%y": _dates("%m%d%y", 6),
    "%y": _dates("%y", 2),
}


def warn_of_dates_in_order(table: TableFile, form: TableFormat, times: pd.Series) -> None:
    """Warn about numbers whose order in the file, or whose last digits, are those of dates.

    These are dates whose year is last (310324, 010424), has two digits (99, 00), or is missing
    (1231, 0101). They fall where dates rise, or, within a year, all end alike.
    """
    series = table.text(form.series_column).to_numpy()
    numbers = times.to_numpy(np.float64)
    if not (numbers.min() >= 0 and numbers.max() < 320_000) or (numbers % 1 != 0).any():
        return
    distinct, rows = np.unique(numbers.astype(np.int64), return_inverse=True)
    if len(distinct) < FEWEST:
        return
    falls = _steps(numbers, series) < 0
    remedy = _remedy(distinct, rows, series, falls)
    if remedy is not None:
        place = int(falls.argmax()) if falls.any() else 0
        log.warning(
            "%s: the time %s is read as a number like the others, and rows are sorted by these; "
            "%s dates: %s",
            table.at(place),
            table.text(form.time_column).iloc[place],
            "they fall within a series, and would rise as" if falls.any() else "they may be",
            remedy,
        )


def _remedy(
    distinct: np.ndarray, rows: np.ndarray, series: np.ndarray, falls: np.ndarray
) -> str | None:
    """What to do if the numbers are dates; None if they are not.

    Args:
        distinct: The distinct numbers.
        rows: Index among them of the number of each row.
    """
    found = []
    for form, ordinal in FORMS.items():
        dates = ordinal(distinct)
        if dates is None or (_steps(dates[rows], series) < 0).any():
            continue
        if falls.any() or (form != "%y" and _end_alike(distinct)):
            found.append(repr(form))
    if found:
        hours, minutes, seconds = distinct // 10_000, distinct // 100 % 100, distinct % 100
        if not falls.any() and ((hours < 24) & (minutes < 60) & (seconds < 60)).all():
            found.append("'%H%M%S' (times of day)")
        return f"if they are, set dataset.time_format={' or '.join(found)}"
    months, days = np.divmod(distinct, 100)
    valid = (months >= 1) & (months <= 12) & (days >= 1) & (days <= 31)
    if falls.any() and valid.all() and (_steps(distinct[rows], series)[falls] <= -NEW_YEAR).all():
        return (
            "if they are months and days, write dates with their year (2024-12-31); if they are "
            "times of day, write those after noon as 13:30"
        )
    return None


def _end_alike(whole: np.ndarray) -> bool:
    """Whether the last two digits are a year or two in many numbers, and not 00."""
    years = np.unique(whole % 100)
    return 0 not in years and len(years) * FEWEST <= len(np.unique(whole))


def _steps(numbers: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Difference of each number from the previous one of its series; NaN at the first."""
    return pd.Series(numbers).groupby(series, sort=False).diff().to_numpy(np.float64)
