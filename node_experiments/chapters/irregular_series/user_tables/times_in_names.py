"""Detection of columns named after times (Week 0, Week 2, Week 8), with one series per row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ....data.cell_text import text_of
from ....data.table_file import TableFile
from .table_cells import NUMBER

__all__ = ["TimeColumns", "times_in_names"]

FEWEST = 3  # fewest columns that are taken for successive times
# Words before a number that count time, whatever the steps between them.
COUNTED = (
    r"t|time|w|wk|week|d|day|h|hr|hour|m|mo|month|min|minute|sec|second|y|yr|year|visit|step|"
    r"cycle|session|wave"
)
NUMBERED = re.compile(rf"({COUNTED}|s|q|v|)[ _.=]?(\d{{1,5}}(?:[.,]\d+)?)", re.IGNORECASE)
EVEN = (
    "s",
    "q",
    "v",
    "y",
)  # also sensors, questions, outcomes: times where the steps are all the same
SUFFIXED = re.compile(
    r"[+-]?(\d+(?:[.,]\d+)?) ?"
    r"(h|hrs?|hours?|min|mins|minutes?|s|secs?|seconds?|d|days?|w|wks?|weeks?|months?|y|yrs?|years?)",
    re.IGNORECASE,
)
SURE = ("week", "day", "month", "visit", "hour", "year")  # of which two are enough
BASELINE = re.compile(r"baseline|bl|screening", re.IGNORECASE)  # the time before the first number
MONTH = (
    r"(?:jan(?:uary?)?|feb(?:ruary?)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|"
    r"aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
DATES = (
    r"\d{4}-\d\d(-\d\d)?([T ]\d\d:\d\d.*)?",
    r"\d{1,2}([./-])\d{1,2}\1(\d{4}|\d\d)|\d{4}([./])\d{1,2}\3\d{1,2}",
    r"\d{1,2}:[0-5]\d(:[0-5]\d)?",
)
# Names of periods, which need to be converted to dates.
PERIODS = (
    r"(fy|cy)?\d{4}[ -]?[qwmh]\d\d?|[qwmh]\d\d?[ -/]?\d{4}",
    rf"(\d{{1,2}}[ -])?{MONTH}([ -.']*\d{{2,4}})?|\d{{4}}[ -]{MONTH}",
)
STUB = re.compile(rf"(.*?[^\W\d_])([ _.-](?:{COUNTED})[ _.-]?|[ _.-])(\d{{1,4}})", re.IGNORECASE)


@dataclass(frozen=True)
class TimeColumns:
    """Columns that follow each other in time.

    Attributes:
        names: Names of the columns in order.
        replace_with: `numbers` or `dates` if the names must be replaced by these; empty if they
            are times.
        stubs: The variables if each has several columns, as in `hr_0, hr_1, bp_0`.
        between: The separator between variables and numbers.
    """

    names: list[str]
    replace_with: str = ""
    stubs: tuple[str, ...] = ()
    between: str = ""


def times_in_names(table: TableFile) -> TimeColumns | None:
    """The columns of a table whose names are times; None if there are too few."""
    names = table.names
    for pattern in DATES + PERIODS:
        found = [name for name in names if re.fullmatch(pattern, name, re.IGNORECASE)]
        if len(found) >= FEWEST:
            return TimeColumns(found, "dates" if pattern in PERIODS else "")
    if (several := stubbed_columns(names)) is not None:
        return several
    if not (found := one_after_the_other(names)):
        return None
    if re.fullmatch(NUMBER, found[0]):
        return None if is_row(table, found) else TimeColumns(found)
    return TimeColumns(found, "numbers")


def one_after_the_other(names: Sequence[str]) -> list[str]:
    """The names that count time, such as `day1, day2, day3`, `0h, 6h, 24h` or `0, 0.5, 1`.

    >>> one_after_the_other(["country", "1990", "1991", "1992"])
    ['1990', '1991', '1992']
    >>> one_after_the_other(["patient", "sex", "baseline", "Week 2", "Week 8"])
    ['baseline', 'Week 2', 'Week 8']
    >>> one_after_the_other(["a", "36.6", "0.5", "80"])
    []
    """
    groups: dict[str, list[tuple[float, str]]] = {}
    for name in names:
        if match := NUMBERED.fullmatch(name):
            groups.setdefault(match[1].lower(), []).append((number_of(match[2]), name))
        elif match := SUFFIXED.fullmatch(name):
            groups.setdefault(f"number {match[2].lower()}", []).append((number_of(match[1]), name))
    word = max(groups, key=lambda word: len(groups[word]), default="")
    longest = groups.get(word, [])
    first = next((name for name in names if BASELINE.fullmatch(name)), None)
    if first is not None and word and longest and longest[0][0] > 0:
        longest = [(0.0, first), *longest]
    steps = pd.Series([count for count, _ in longest], dtype=float).diff().iloc[1:]
    if len(longest) < (2 if word in SURE else FEWEST) or not (steps > 0).all():
        return []
    return [] if word in EVEN and steps.nunique() > 1 else [name for _, name in longest]


def stubbed_columns(names: Sequence[str]) -> TimeColumns | None:
    """Columns of two or more variables with the same numbers: `hr_0, hr_1, bp_0, bp_1`."""
    groups: dict[str, dict[str, list[int]]] = {}
    for name in names:
        if match := STUB.fullmatch(name):
            groups.setdefault(match[2], {}).setdefault(match[1], []).append(int(match[3]))
    for between, stubs in groups.items():
        longest = max(stubs.values(), key=len)
        same = [s for s, found in stubs.items() if len(found) > 1 and set(found) <= set(longest)]
        counted = len(between) > 1 and len(longest) >= FEWEST  # as in `score_week0`
        if (len(same) > 1 or counted) and longest == sorted(set(longest)):
            own = [f"{stub}{between}{n}" for stub in same for n in stubs[stub]]
            return TimeColumns([n for n in names if n in own], "", tuple(same), between)
    return None


def is_row(table: TableFile, found: Sequence[str]) -> bool:
    """Whether numbers in the first line are a row of data rather than names of times.

    They are names if the first line has words for the other columns, which do not occur in these
    columns and differ in form from their cells.
    """
    kept = [name for name in table.names if name not in found]
    if not kept or not re.search(r"[^\W\d_]", kept[0]) or re.match(r"\d", kept[0]):
        return True
    for name in kept:
        cells = text_of(column(table, name))
        shape = shape_of(name)
        if (cells == name).any() or ("9" in shape and (cells.map(shape_of) == shape).any()):
            return True
    alike = [shape_of(name) in set(text_of(column(table, name)).map(shape_of)) for name in kept]
    return all(alike) and all(is_within(column(table, name), number_of(name)) for name in found)


def column(table: TableFile, name: str) -> pd.Series:
    """The first column with a name, which may occur twice."""
    return table.rows.iloc[:, [str(each) for each in table.rows.columns].index(name)]


def is_within(cells: pd.Series, number: float) -> bool:
    """Whether a number is in the range of a column, or near it."""
    numbers = pd.to_numeric(text_of(cells).str.replace(",", ".", regex=False), errors="coerce")
    low, high = numbers.min(), numbers.max()
    return bool(low - (high - low) / 2 <= number <= high + (high - low) / 2)


def shape_of(text: str) -> str:
    """Form of a text, with runs of letters as `a` and of digits as `9`: `p07` is `a9`."""
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", text))


def number_of(text: str) -> float:
    """Parse a number with a decimal point or comma."""
    return float(text.replace(",", "."))
