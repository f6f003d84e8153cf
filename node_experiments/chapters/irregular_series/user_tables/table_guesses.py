"""Guesses at which columns of a table hold series and times, if those named do not exist."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ....data.cell_text import text_of
from ....data.table_file import TableFile
from ....errors import DataError
from .shell_settings import setting
from .table_cells import NUMBER
from .table_format import FILE, TableFormat
from .table_times import kind_of_times, times_of
from .time_forms import certain_dates
from .times_in_names import TimeColumns, times_in_names

__all__ = ["require_series_and_times", "rounded"]

# Patterns of column names, the most reliable first.
SERIES_NAMES = (
    r"series(.*\W)?(id)?", r".*(subject|patient|series|unit|device|sensor|station|stay).*",
    r"(.*[\W_])?id|.*[a-z]ID",
    r"group|case|animal|person|user.*|country|city|site|plot|name|run|trial.*|key",
)  # fmt: skip
TIME_NAMES = (
    r"time|t|time.*stamp|date.?time", r".*(time|date|datum|zeit|fecha).*",
    r"day|hour|week|month|year|minute|age",
    r"(day|hour|week|month|year|minute|second)s?\b.*|.*[\W_](days?|hours?|h|min|sec|[mun]?s)",
    r"[mhb]?jd",  # Julian dates
)  # fmt: skip
# Times of a person rather than of observations, if other columns have times as names.
PERSON_TIME_NAMES = r"age|.*(birth|geburt|enrol|inclusion|randomi[sz]).*"
INDEX_NAME = r"|index|level_0|unnamed: 0"
MANY = 12  # columns that may be series
FIRST_LINES = 10  # lines below a title in which the names of the columns are searched
TO_DATE = {  # columns that together with one of years make a date, and how
    ("month", "day", "hour"): "with pandas.to_datetime",
    ("quarter",): "with the first day of each quarter (2024-04-01 for the second)",
}


def require_series_and_times(table: TableFile, form: TableFormat) -> None:
    """Check that the columns of series and of times exist.

    Raises:
        DataError: One or both do not; the message says what to set instead.
    """
    names = [str(name) for name in table.rows.columns]
    roles = {"series_column": form.series_column, "time_column": form.time_column}
    lacking = {role: name for role, name in roles.items() if name not in names}
    if not lacking:
        return
    free = [name for name in names if name not in roles.values() and names.count(name) == 1]
    words = ", ".join(map(repr, lacking.values()))
    what = f"the columns {words} are" if len(lacking) > 1 else f"the column {words} is"
    problem = f"{table.source}: {what} not there; found {', '.join(map(repr, table.names))[:300]}"
    if table.times_in_index and "time_column" in lacking:
        name = lacking["time_column"]
        raise DataError(
            f"{problem}; the index of times has no name: with pandas, .rename_axis({name!r}) "
            "makes it a column"
        )
    reject_second_names(table, problem)
    reject_title(table, problem, lacking.values())
    spread = times_in_names(table) if "time_column" in lacking else None
    alone = [name for name in free if spread is None or name not in spread.names]
    times = first_match(TIME_NAMES, alone) if "time_column" in lacking else None
    if spread is not None and (
        times is None or re.fullmatch(PERSON_TIME_NAMES, times, re.IGNORECASE)
    ):
        raise DataError(f"{problem}; {reshape_advice(table, spread)}")
    if "time_column" in lacking and times is None:
        times = unnamed_times(table)
        problem += (
            "" if times is None else f"; {times!r}, the first, seems to be an index of times"
        )
    if table.names[:2] == ["", ""]:
        problem += (
            "; if those without a name are an index of pandas, write it with "
            ".to_csv(..., index_label=['series', 'time'])"
        )
    if "time_column" in lacking and times is None:
        times = column_of_dates(table, alone)
    if times is not None and times.lower() == "year":
        for parts_of_date, how in TO_DATE.items():
            if parts := [name for name in names if name.lower() in parts_of_date]:
                raise DataError(
                    f"{problem}; make one column of dates from "
                    f"{', '.join(map(repr, [times, *parts]))} {how}"
                )
    time = form.time_column if times is None else times
    others = [name for name in free if name != times]
    series = likely_series(table, others, time) if "series_column" in lacking else None
    found = {"series_column": series, "time_column": times}
    if "time_column" in lacking and times is None and any(re.fullmatch(NUMBER, n) for n in names):
        raise DataError(
            f"{problem}; the first line must name the columns, and seems to be a row of data"
        )
    end = ""
    if "series_column" in lacking and series is None and len(set(table.files or ())) > 1:
        series = found["series_column"] = FILE
        problem += "; if each file is one series, the files name them"
    if "series_column" in lacking and series is None:
        window = tenth_of_one_series(table, time)
        if window is not None:
            found["series_column"] = "null"
            if len(others) >= MANY:
                problem += (
                    "; if each column is a series, such as a well of a plate, a row must be one "
                    f"observation: pandas' table.melt([{time!r}], var_name='series') makes such a "
                    "table"
                )
            problem += "; no time occurs twice: if all rows are one series, it is cut into windows"
            end = f" dataset.window={window}"
    named = [setting_of(role, found[role]) for role in lacking]
    if None in [found[role] for role in lacking]:
        end = ", with the column's name for NAME"
        if "series_column" in lacking and series is None:
            end += "; if all rows are one series, set it to null, and dataset.window as well"
    raise DataError(f"{problem}; try {' '.join(named)}{end}")


def reject_title(table: TableFile, problem: str, lacking: Collection[str]) -> None:
    """Raise if the line that names the columns seems to be preceded by a title.

    Raises:
        DataError: A later row has a word in every cell, and most names of the first line are empty
            or that row contains the name of a missing column.
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
                f"{problem}; the first line seems to be a title, and {table.at(row)} to name the "
                "columns: remove what is above"
            )


def reject_second_names(table: TableFile, problem: str) -> None:
    """Raise if the first line seems to name groups of columns, and the second one the columns.

    Raises:
        DataError: Names are repeated, and the first row holds words that are all different.
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
            f"{problem}; there seem to be two lines of names, and {table.at(0)} to be the second "
            f"one ({', '.join(map(repr, words))[:100]}): keep one, with another name for each "
            "column"
        )


def tenth_of_one_series(table: TableFile, name: str) -> str | None:
    """A tenth of the time span of a column whose times are all different, in hours for dates.

    None if it is not a column of times, or if times are repeated.
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
    return rounded(span / 10) if span else None


def rounded(length: float) -> str:
    """A length of time to suggest, as short as people write it.

    >>> rounded(123.4), rounded(0.1234)
    ('123', '0.12')
    """
    return f"{length:.0f}" if length > 10 else f"{length:.2g}"


def first_match(patterns: Sequence[str], names: Sequence[str]) -> str | None:
    """The first name that matches the earliest of these patterns.

    >>> first_match(TIME_NAMES, ["rate", "charttime", "Hours since start"])
    'charttime'
    """
    fits = (n for each in patterns for n in names if re.fullmatch(each, n, re.IGNORECASE))
    return next(fits, None)


def likely_series(table: TableFile, names: Sequence[str], time: str) -> str | None:
    """The column that, by its name, may hold the series; its values must be repeated.

    Without such a name, the first column of words that tells apart all rows of the same time.
    """
    rows = table.rows
    several = [name for name in names if rows[name].nunique() < len(rows)]
    found = first_match(SERIES_NAMES, several)
    if found is not None or time not in rows.columns or not rows[time].duplicated().any():
        return found
    words = (name for name in several if not table.text(name).str.fullmatch(NUMBER).any())
    return next((name for name in words if not rows[[name, time]].duplicated().any()), None)


def column_of_dates(table: TableFile, names: Sequence[str]) -> str | None:
    """The first of these columns whose cells are all dates, perhaps with a time of day.

    One whose name starts with a digit is a row of data.
    """
    for name in (name for name in names if name and not name[0].isdigit()):
        text = table.text(name)
        if certain_dates(text) or certain_dates(text.str.replace(r"[T ]\d.*", "", regex=True)):
            return name
    return None


def unnamed_times(table: TableFile) -> str | None:
    """The first column if it has the name of an index, and holds times rather than row numbers."""
    name, *others = table.names
    if not re.fullmatch(INDEX_NAME, name, re.IGNORECASE) or name in others:
        return None
    form = TableFormat(time_column=name)
    try:
        kind = kind_of_times(table, form)
        times = times_of(table, form, kind)
    except DataError:
        return None
    rises = bool((times.diff().iloc[1:] >= 0).all()) and times.nunique() > 1
    return name if kind != "number" or (rises and times.diff().nunique() > 1) else None


def reshape_advice(table: TableFile, spread: TimeColumns) -> str:
    """Advice on how to turn columns that follow each other in time into rows.

    The first of the other columns is assumed to name the series. If a series has several rows,
    another column is assumed to name their variables.
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
    if spread.replace_with:
        remedy += f", with {spread.replace_with} for {first!r} and the others"
    settings, rows = [], "one series in each row"
    if kept[0] != "series":
        settings.append(setting_of("series_column", kept[0]))
    if several and not spread.stubs:
        tells = [n for n in kept[1:] if not table.rows[[kept[0], n]].duplicated().any()]
        if tells:
            variable = min(tells, key=lambda name: table.rows[name].nunique())
            settings.append(setting_of("variable_column", variable))
            rows = "a row for each variable of a series"
    if settings:
        remedy += f"; then set {' '.join(settings)}"
    return (
        f"{first!r} to {last!r} seem to be {seem}, with {rows}, and a row must be one "
        f"observation: {remedy}"
    )


def setting_of(role: str, name: str | None) -> str:
    """The setting that names a column: NAME if it is unknown, null if there is none."""
    if name == "null":
        return f"dataset.{role}=null"
    return setting(role, "NAME" if name is None else name)
