"""Dates in one column and times of day, or days and hours, in another: one alone is no time."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from math import lgamma

import numpy as np
import pandas as pd

from ...data.table_file import TableFile
from ...errors import DataError
from .numeric_dates import are_eight_digits
from .table_cells import parsed, text_of
from .table_format import TableFormat
from .time_forms import certain_dates, like_dates

__all__ = ["check_separate_dates"]

log = logging.getLogger(__name__)

DAY = 24 * 3600 * 10**9  # nanoseconds
CHANCE = 1e-3  # that a column changes wherever the times fall
DAYS = re.compile(r"(?:.*[\W_])?(?:day|date|datum|tag|fecha|jour)s?(?:[\W_\d].*)?", re.IGNORECASE)


def check_separate_dates(
    table: TableFile, form: TableFormat, kind: str, times: pd.Series, others: Sequence[str]
) -> None:
    """Reject times that start again wherever another column has the next date.

    Where that column may hold something else than dates, and where the user has named the
    features, a warning says so.

    Args:
        times: As `times_of` reads them.
        others: Columns that may hold dates.

    Raises:
        DataError: With both columns.
    """
    of_day = kind == "clock" and bool(times.max() < DAY)
    if kind != "number" and not of_day:
        return
    series = text_of(table.rows[form.series_column])
    variable = form.variable_column or "variable"
    names = [str(name) for name in table.rows.columns]
    if names.count(variable) == 1 and variable not in others:  # of a long table
        series = series + "\0" + text_of(table.rows[variable])
    steps = times.groupby(series.to_numpy(), sort=False).diff().to_numpy(float)
    if not of_day and not (steps < 0).any():
        return
    for name in dict.fromkeys(others):
        if names.count(name) > 1:
            continue
        found = held_dates(table, form, name, series, steps, of_day)
        if found is not None:
            say(table, form, name, of_day, found == "dates")
            return


def held_dates(
    table: TableFile,
    form: TableFormat,
    name: str,
    series: pd.Series,
    steps: np.ndarray,
    of_day: bool,
) -> str | None:
    """`dates` if a column holds those of the times, `parts` if it may, such as days; else None.

    Args:
        series: Those of the rows, and of a long table their variables.
        steps: Of the times, from the row before of the same series; NaN at its first.
        of_day: Whether the times are those of a day.
    """
    cells, bad = parsed(table, name, form)
    if bad.any():
        text = text_of(table.rows[name])
        cells = pd.Series(pd.factorize(text)[0], text.index)
        dates = certain_dates(text)
        if of_day and dates and (cells[text != ""].groupby(series).nunique() > 1).any():
            return "dates"
        if not like_dates(text) or not changes_where_times_fall(cells, series, steps, True):
            return None
        return "dates" if dates else "parts"
    if cells.isna().any():
        return None
    if of_day and are_eight_digits(cells) and (cells.groupby(series).nunique() > 1).any():
        return "dates"
    days = of_day and DAYS.fullmatch(name) is not None and rises(cells, series)
    return "parts" if days or changes_where_times_fall(cells, series, steps, False) else None


def say(table: TableFile, form: TableFormat, name: str, of_day: bool, are_dates: bool) -> None:
    """Raise, or warn, with both columns and what to do."""
    time = repr(form.time_column)
    what = f"{table.source}: {time} falls within a series where {name!r} changes"
    if of_day:
        cells = "dates" if are_dates else "values"
        what = f"{table.source}: {time} holds times of day, and {name!r} {cells} that change"
    if not are_dates:
        log.warning(
            "%s, and rows are sorted by %s alone; if both are one time, such as day and hour, "
            "join them in one column (2024-03-31 14:05, or hours since some start); if %r tells "
            "several series apart, join it with %r",
            what if not of_day else f"{what} within a series",
            time,
            name,
            form.series_column,
        )
        return
    what += " within a series" if of_day else ""
    join = "join them in one column (2024-03-31 14:05)"
    if form.value_columns is not None:
        log.warning("%s; if they are one time, %s", what, join)
        return
    unless = "the times are durations" if of_day else "they are not one time"
    raise DataError(
        f"{what}; {join}, or, if {unless}, name the features with dataset.value_columns"
    )


def rises(numbers: pd.Series, series: pd.Series) -> bool:
    """Whether whole numbers rise, or stay, within every series, and are not all the same there."""
    steps = numbers.groupby(series.to_numpy(), sort=False).diff().dropna()
    return bool((numbers % 1 == 0).all() and (steps >= 0).all() and (steps > 0).any())


def changes_where_times_fall(
    cells: pd.Series, series: pd.Series, steps: np.ndarray, are_words: bool
) -> bool:
    """Whether a column changes wherever the times fall, more often than by chance.

    Numbers never fall themselves, and words do not come back.

    Args:
        cells: Numbers, or those of words.
        steps: As in `held_dates`.

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
    return chance(*counts) < CHANCE


def chance(falls: int, changes: int, steps: int) -> float:
    """The probability that all falls are at changes if they were anywhere.

    >>> round(chance(2, 2, 4), 3)  # one of six pairs
    0.167
    """

    def of(all_of: int, some: int) -> float:
        return lgamma(all_of + 1) - lgamma(some + 1) - lgamma(all_of - some + 1)

    return float(np.exp(of(changes, falls) - of(steps, falls)))
