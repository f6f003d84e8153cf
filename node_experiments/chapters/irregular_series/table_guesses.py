"""What a table may mean that lacks the columns of series and times."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence

from ...data.table_file import TableFile
from ...errors import DataError
from .table_cells import NUMBER, text_of
from .table_format import TableFormat
from .table_times import kind_of_times, times_of
from .times_in_names import Spread, times_in_names

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
OF_PERSONS = r"age|.*(birth|geburt|enrol|inclusion|randomi[sz]).*"  # beside names that are times
OF_INDEX = r"|index|level_0|unnamed: 0"
FIRST_LINES = 10  # among which the names of the columns are, below a title
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
    reject_second_names(table, said)
    reject_title(table, said, lacking.values())
    spread = times_in_names(table) if "time_column" in lacking else None
    alone = [name for name in free if spread is None or name not in spread.names]
    times = likely(OF_TIMES, alone) if "time_column" in lacking else None
    if spread is not None and (times is None or re.fullmatch(OF_PERSONS, times, re.IGNORECASE)):
        raise DataError(f"{said}; {melted(table, spread)}")
    if "time_column" in lacking and times is None:
        times = unnamed_times(table)
        said += "" if times is None else f"; {times!r}, the first, seems to be an index of times"
    if table.names[:2] == ["", ""]:
        said += (
            "; if those without a name are an index of pandas, write it with "
            ".to_csv(..., index_label=['series', 'time'])"
        )
    parts = [name for name in names if name.lower() in TO_DATE]
    if times is not None and times.lower() == "year" and parts:
        raise DataError(
            f"{said}; make one column of dates of {', '.join(map(repr, [times, *parts]))}, with "
            "pandas.to_datetime"
        )
    others = [name for name in free if name != times]
    series = likely_series(table, others) if "series_column" in lacking else None
    found = {"series_column": series, "time_column": times}
    if "time_column" in lacking and times is None and any(re.fullmatch(NUMBER, n) for n in names):
        raise DataError(
            f"{said}; the first line must name the columns, and seems to be a row of data"
        )
    end = ""
    if "series_column" in lacking and series is None:
        window = tenth_of_one_series(table, form.time_column if times is None else times)
        if window is not None:
            found["series_column"] = "null"
            said += "; no time is there twice: if all rows are one series, it is cut into windows"
            end = f" dataset.window={window}"
    named = [setting(role, found[role]) for role in lacking]
    if None in [found[role] for role in lacking]:
        end = ", with the column's name for NAME"
        if "series_column" in lacking and series is None:
            end += "; where all rows are one series, it is null, with a dataset.window as well"
    raise DataError(f"{said}; try {' '.join(named)}{end}")


def reject_title(table: TableFile, said: str, lacking: Collection[str]) -> None:
    """Raise where lines before the one that names the columns say what the table is of.

    Raises:
        DataError: Most names are empty, and a later row has a word in every cell; or that row has
            the names of columns that are lacking.
    """
    names = table.names
    if len(names) < 2:
        return
    empty = sum(map(bool, names)) <= len(names) / 2
    for row in range(min(FIRST_LINES, len(table.rows))):
        cells = text_of(table.rows.iloc[row, : len(names)])
        named = empty or (row > 0 and cells.isin(lacking).any())
        if named and (cells != "").all() and not cells.str.fullmatch(NUMBER).any():
            raise DataError(
                f"{said}; the first line seems to be a title, and {table.at(row)} to name the "
                "columns: remove what is above"
            )


def reject_second_names(table: TableFile, said: str) -> None:
    """Raise where the first line is of groups of columns, and the second one names them.

    Raises:
        DataError: Names are repeated, and the first row has other words, each once.
    """
    names = [name for name in table.names if name]
    if len(set(names)) == len(names) or len(table.rows) < 2:
        return
    first, *others = (text_of(table.rows.iloc[row, : len(table.names)]) for row in (0, 1, 2)
                      if row < len(table.rows))  # fmt: skip
    words = first[first != ""]
    numbers = [bool(cells.str.fullmatch(NUMBER).any()) for cells in (words, *others)]
    if numbers[0] or not any(numbers[1:]) or words.duplicated().any():
        return
    if len(words) > len(set(names)):
        raise DataError(
            f"{said}; there seem to be two lines of names, and {table.at(0)} to be the second one "
            f"({', '.join(map(repr, words))[:100]}): keep one, with another name for each column"
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


def unnamed_times(table: TableFile) -> str | None:
    """The first column if it has the name of an index, and times and no numbers of rows."""
    name, *others = table.names
    if not re.fullmatch(OF_INDEX, name, re.IGNORECASE) or name in others:
        return None
    form = TableFormat(time_column=name)
    try:
        kind = kind_of_times(table, form)
        times = times_of(table, form, kind)
    except DataError:
        return None
    rises = bool((times.diff().iloc[1:] >= 0).all()) and times.nunique() > 1
    return name if kind != "number" or (rises and times.diff().nunique() > 1) else None


def melted(table: TableFile, spread: Spread) -> str:
    """What makes rows of columns that follow each other in time.

    The first of the other columns is believed to name the series. If a series has several rows,
    another one says what each is of.
    """
    kept = [name for name in table.names if name not in spread.names]
    first, last = spread.names[0], spread.names[-1]
    made = "table"
    if not kept:
        kept, made = ["series"], "table.reset_index(names='series')"
    several = kept[0] in table.names and bool(table.rows[kept[0]].duplicated().any())
    remedy, seem = f"pandas' {made}.melt({kept}, var_name='time')", "times"
    if spread.stubs:
        unique = kept if several else kept[0]
        remedy = (
            f"pandas' wide_to_long({made}, {list(spread.stubs)}, i={unique!r}, j='time', "
            f"sep={spread.between!r}).reset_index()"
        )
        seem = f"{', '.join(map(repr, spread.stubs))} at several times"
    remedy += " makes such a table"
    if spread.wanted:
        remedy += f", with {spread.wanted} for {first!r} and the others"
    settings, rows = [], "one series in each row"
    if kept[0] != "series":
        settings.append(setting("series_column", kept[0]))
    if several and not spread.stubs:
        tells = [n for n in kept[1:] if not table.rows[[kept[0], n]].duplicated().any()]
        if tells:
            variable = min(tells, key=lambda name: table.rows[name].nunique())
            settings.append(setting("variable_column", variable))
            rows = "a row for each variable of a series"
    if settings:
        remedy += f"; then set {' '.join(settings)}"
    return (
        f"{first!r} to {last!r} seem to be {seem}, with {rows}, and a row must be one "
        f"observation: {remedy}"
    )


def setting(role: str, name: str | None) -> str:
    """The setting that names a column, as a shell takes it, or with what stands for one."""
    if name is not None and (not name or ":" in name):
        return f"\"dataset.{role}='{name}'\""
    return f"dataset.{role}={'NAME' if name is None else shlex.quote(name)}"
