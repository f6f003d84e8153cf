"""What a table may mean that lacks the columns of series and times."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pandas as pd

from ...data.table_file import TableFile
from ...errors import DataError
from .table_cells import NUMBER, text_of
from .table_format import TableFormat
from .table_times import kind_of_times, times_of

__all__ = ["require_series_and_times"]

# Names in the order in which they are believed.
OF_SERIES = (
    r"series(.*\W)?(id)?", r".*(subject|patient|series|unit|device|sensor|station|stay).*",
    r"(.*[\W_])?id|.*[a-z]ID",
    r"group|case|animal|person|user.*|country|city|name|run|trial.*|key",
)  # fmt: skip
OF_TIMES = (
    r"time|t|time.*stamp|date.?time", r".*(time|date|datum|zeit|fecha).*",
    r"day|hour|week|month|year|minute|age",
    r"(day|hour|week|month|year|minute|second)s?\b.*|.*[\W_](days?|hours?|h|min|sec|s)",
)  # fmt: skip
NUMBERED = re.compile(
    r"(t|time|s|sec|min|h|hour|d|day|w|week|m|month|q|y|year|v|visit|step|)[ _.]?(\d{1,5})",
    re.IGNORECASE,
)
A_DATE = r"\d{4}-\d\d(-\d\d)?([T ]\d\d:\d\d.*)?"
FIRST_LINES = 10  # among which the names of the columns are, below a title
FEWEST = 3  # columns that are one after the other in time
TO_DATE = {"month", "day", "hour"}  # columns that belong to one of the year


def require_series_and_times(table: TableFile, form: TableFormat) -> None:
    """See that the columns of series and of times are there.

    Raises:
        DataError: One of them is not, or both, with what to write instead.
    """
    names = [str(name) for name in table.rows.columns]
    roles = {"series_column": form.series_column, "time_column": form.time_column}
    lacking = {role: name for role, name in roles.items() if name not in names}
    if not lacking:
        return
    free = [name for name in names if name not in roles.values() and names.count(name) == 1]
    words = ", ".join(map(repr, lacking.values()))
    what = f"the columns {words} are" if len(lacking) > 1 else f"the column {words} is"
    said = f"{table.source}: {what} not there; found {', '.join(map(repr, table.names))[:300]}"
    reject_title(table, said)
    times = likely(OF_TIMES, free) if "time_column" in lacking else None
    parts = [name for name in names if name.lower() in TO_DATE]
    if times is not None and times.lower() == "year" and parts:
        raise DataError(
            f"{said}; make one column of dates of {', '.join(map(repr, [times, *parts]))}, with "
            "pandas.to_datetime"
        )
    others = [name for name in free if name != times]
    series = likely_series(table, others) if "series_column" in lacking else None
    found = {"series_column": series, "time_column": times}
    if "time_column" in lacking and times is None:
        if len(spread := one_after_the_other(names)) >= FEWEST:
            kept = [name for name in names if name not in spread]
            raise DataError(f"{said}; {melted(table, kept, spread)}")
        if any(re.fullmatch(NUMBER, name) for name in names):
            raise DataError(
                f"{said}; the first line must name the columns, and seems to be a row of data"
            )
    end = ""
    if "series_column" in lacking and series is None:
        window = tenth_of_one_series(table, times or form.time_column)
        if window is not None:
            found["series_column"] = "null"
            said += "; no time is there twice: if all rows are one series, it is cut into windows"
            end = f" dataset.window={window}"
    named = [f"dataset.{role}={written(found[role])}" for role in lacking]
    if None in [found[role] for role in lacking]:
        end = ", with the column's name for NAME"
        if "series_column" in lacking and series is None:
            end += "; where all rows are one series, it is null, with a dataset.window as well"
    raise DataError(f"{said}; try {' '.join(named)}{end}")


def reject_title(table: TableFile, said: str) -> None:
    """Raise where lines before the one that names the columns say what the table is of.

    Raises:
        DataError: Most names are empty, and a later row has a word in every cell.
    """
    names = table.names
    if len(names) < 2 or sum(map(bool, names)) > len(names) / 2:
        return
    for row in range(min(FIRST_LINES, len(table.rows))):
        cells = text_of(table.rows.iloc[row, : len(names)])
        if (cells != "").all() and not cells.str.fullmatch(NUMBER).any():
            raise DataError(
                f"{said}; the first line seems to be a title, and {table.at(row)} to name the "
                "columns: remove what is above"
            )


def tenth_of_one_series(table: TableFile, name: str) -> str | None:
    """A tenth of the time that a column spans, if its times are all different; of dates in hours.

    None if it is no column of times, or if times are repeated.
    """
    if name not in table.rows.columns or table.rows[name].duplicated().any():
        return None
    form = TableFormat(time_column=name)
    try:
        kind = kind_of_times(table, form)
        times = times_of(table, form, kind).astype(float)
    except DataError:
        return None
    span = float(times.max() - times.min()) / (1.0 if kind == "number" else 3.6e12)
    return None if not span else f"{span / 10:.0f}" if span > 100 else f"{span / 10:.2g}"


def likely(patterns: Sequence[str], names: Sequence[str]) -> str | None:
    """The name that the earliest of these patterns fits.

    >>> likely(OF_TIMES, ["rate", "charttime", "Hours since start"])
    'charttime'
    """
    fits = (n for each in patterns for n in names if re.fullmatch(each, n, re.IGNORECASE))
    return next(fits, None)


def likely_series(table: TableFile, names: Sequence[str]) -> str | None:
    """The column by whose name rows belong together, and whose values are there several times."""
    several = [name for name in names if table.rows[name].nunique() < len(table.rows)]
    return likely(OF_SERIES, several)


def one_after_the_other(names: Sequence[str]) -> list[str]:
    """Names that count, such as `day1, day2, day3`, `1990, 1991, 1992`, or dates.

    >>> one_after_the_other(["country", "1990", "1991", "1992"])
    ['1990', '1991', '1992']
    >>> one_after_the_other(["a", "0.5", "36.6", "80"])
    []
    """
    dates = [name for name in names if re.fullmatch(A_DATE, name)]
    if len(dates) >= FEWEST:
        return dates
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if match := NUMBERED.fullmatch(name):
            groups.setdefault(match[1], []).append((int(match[2]), name))
    longest = max(groups.values(), key=len, default=[])
    counts = pd.Series([count for count, _ in longest], dtype=int)
    even = counts.diff().iloc[1:].nunique() == 1 and bool(counts.is_monotonic_increasing)
    return [name for _, name in longest] if even else []


def melted(table: TableFile, kept: Sequence[str], spread: Sequence[str]) -> str:
    """What makes rows of columns that follow each other in time.

    Args:
        kept: The other columns; the first is believed to name the series. If a series has several
            rows, one of the others says what each is of.
    """
    first, last = spread[0], spread[-1]
    remedy = f"pandas' table.melt({list(kept)}, var_name='time') makes such a table"
    if not first[0].isdigit():
        remedy += f", with numbers for {first!r} and the others"
    settings, rows = [], "one series in each row"
    if kept and kept[0] != "series":
        settings.append(f"dataset.series_column={written(kept[0])}")
    if kept and table.rows[kept[0]].duplicated().any():
        tells = [n for n in kept[1:] if not table.rows[[kept[0], n]].duplicated().any()]
        if tells:
            variable = min(tells, key=lambda name: table.rows[name].nunique())
            settings.append(f"dataset.variable_column={written(variable)}")
            rows = "a row for each variable of a series"
    if settings:
        remedy += f"; then set {' '.join(settings)}"
    return (
        f"{first!r} to {last!r} seem to be times, with {rows}, and a row must be one "
        f"observation: {remedy}"
    )


def written(name: str | None) -> str:
    """The name of a column as a shell takes it, or what stands for one."""
    return "NAME" if name is None else shlex.quote(name)
