"""Detection of times that are split over two columns, such as dates and times of day."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from math import lgamma

import numpy as np
import pandas as pd

from ....data.table_file import TableFile
from ....errors import DataError
from .numeric_dates import are_eight_digits
from .table_cells import parse_numbers
from .table_format import TableFormat
from .time_forms import certain_dates

__all__ = ["check_separate_dates"]

log = logging.getLogger(__name__)

DAY = 24 * 3600 * 10**9  # nanoseconds
MAX_COINCIDENCE = 1e-3  # largest probability of a coincidence of falls and changes
DAYS = re.compile(r"(?:.*[\W_])?(?:day|date|datum|tag|fecha|jour)s?(?:[\W_\d].*)?", re.IGNORECASE)


def check_separate_dates(
    table: TableFile, form: TableFormat, kind: str, times: pd.Series, others: Sequence[str]
) -> None:
    """Reject times that start over whenever another column moves on to the next date.

    This is only a warning if that column may hold something other than dates, or if the user has
    named the features.

    Args:
        times: Times as `times_of` reads them.
        others: Columns that may hold dates.

    Raises:
        DataError: Names both columns.
    """
    is_time_of_day = kind == "clock" and bool(times.max() < DAY)
    if kind != "number" and not is_time_of_day:
        return
    series = table.text(form.series_column)
    variable = form.variable_column or "variable"
    names = [str(name) for name in table.rows.columns]
    if names.count(variable) == 1 and variable not in others:  # a long table
        series = series + "\0" + table.text(variable)
    steps = times.groupby(series.to_numpy(), sort=False).diff().to_numpy(float)
    if not is_time_of_day and not (steps < 0).any():
        return
    for name in dict.fromkeys(others):
        if names.count(name) > 1:
            continue
        found = classify_date_column(table, form, name, series, steps, is_time_of_day)
        if found is not None:
            report_split_times(table, form, name, is_time_of_day, found == "dates")
            return


def classify_date_column(
    table: TableFile,
    form: TableFormat,
    name: str,
    series: pd.Series,
    steps: np.ndarray,
    is_time_of_day: bool,
) -> str | None:
    """Return `dates` if a column holds the dates of the times, `parts` if it may; else None.

    Args:
        series: The series of each row, and in a long table also its variable.
        steps: Difference of each time from the previous row of the same series; NaN at its first.
        is_time_of_day: Whether the times are times of day.
    """
    cells, bad = parse_numbers(table, name, form)
    if bad.any():
        text = table.text(name)
        cells = pd.Series(pd.factorize(text)[0], text.index)
        dates = certain_dates(text)
        if is_time_of_day and dates and (cells[text != ""].groupby(series).nunique() > 1).any():
            return "dates"
        if not changes_where_times_fall(cells, series, steps, True):
            return None
        return "dates" if dates else "parts"
    if cells.isna().any():
        return None
    if is_time_of_day and are_eight_digits(cells) and (cells.groupby(series).nunique() > 1).any():
        return "dates"
    days = is_time_of_day and DAYS.fullmatch(name) is not None and is_nondecreasing(cells, series)
    return "parts" if days or changes_where_times_fall(cells, series, steps, False) else None


def report_split_times(
    table: TableFile, form: TableFormat, name: str, is_time_of_day: bool, are_dates: bool
) -> None:
    """Raise or warn with a message that names both columns and says what to do."""
    time = repr(form.time_column)
    what = f"{table.source}: {time} falls within a series where {name!r} changes"
    if is_time_of_day:
        cells = "dates" if are_dates else "values"
        what = f"{table.source}: {time} holds times of day, and {name!r} {cells} that change"
    if not are_dates:
        log.warning(
            "%s, and rows are sorted by %s alone; if both are one time, such as day and hour, "
            "join them in one column (2024-03-31 14:05, or hours since some start); if %r tells "
            "several series apart, join it with %r",
            what if not is_time_of_day else f"{what} within a series",
            time,
            name,
            form.series_column,
        )
        return
    what += " within a series" if is_time_of_day else ""
    join = "join them in one column (2024-03-31 14:05)"
    if form.value_columns is not None:
        log.warning("%s; if they are one time, %s", what, join)
        return
    unless = "the times are durations" if is_time_of_day else "they are not one time"
    raise DataError(
        f"{what}; {join}, or, if {unless}, name the features with dataset.value_columns"
    )


def is_nondecreasing(numbers: pd.Series, series: pd.Series) -> bool:
    """Whether these are whole numbers that never fall within a series and rise in at least one."""
    steps = numbers.groupby(series.to_numpy(), sort=False).diff().dropna()
    return bool((numbers % 1 == 0).all() and (steps >= 0).all() and (steps > 0).any())


def changes_where_times_fall(
    cells: pd.Series, series: pd.Series, steps: np.ndarray, are_words: bool
) -> bool:
    """Whether a column changes wherever the times fall, and more often than by chance.

    In addition, numbers must never fall at a change, and words must not recur within a series.

    Args:
        cells: Numbers, or the codes of words.
        steps: As in `classify_date_column`.

    >>> hours, days = pd.Series([8, 20, 9, 21, 7] * 9), pd.Series([1, 1, 2, 2, 3] * 9)
    >>> series = pd.Series(np.repeat(list("abcdefghi"), 5))
    >>> steps = hours.groupby(series).diff().to_numpy()
    >>> changes_where_times_fall(days, series, steps, are_words=False)
    True
    >>> changes_where_times_fall(days[:5], series[:5], steps[:5], are_words=False)  # one in six
    False
    """
    falls, keys = steps < 0, series.to_numpy()
    if not falls.any():
        return False
    change = cells.groupby(keys, sort=False).diff().to_numpy(float)
    changes = ~np.isnan(steps) & (change != 0)
    if (falls & ~changes).any():
        return False
    if are_words:
        groups = cells.groupby(keys, sort=False).nunique()
        if groups.sum() != changes.sum() + len(groups):
            return False
    elif (change[changes] < 0).any():
        return False
    counts = (int(found.sum()) for found in (falls, changes, ~np.isnan(steps)))
    return coincidence_probability(*counts) < MAX_COINCIDENCE


def coincidence_probability(falls: int, changes: int, steps: int) -> float:
    """Probability that all falls coincide with changes if the falls were placed at random.

    >>> round(coincidence_probability(2, 2, 4), 3)  # one of six pairs
    0.167
    """

    def log_binomial(all_of: int, some: int) -> float:
        return lgamma(all_of + 1) - lgamma(some + 1) - lgamma(all_of - some + 1)

    return float(np.exp(log_binomial(changes, falls) - log_binomial(steps, falls)))
