"""Errors about a second row of a series at the same time; its cells say what it may be."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from ....data.table_file import TableFile
from ....errors import DataError
from .long_table_warnings import settings_of, value_of
from .table_cells import NUMBER
from .table_format import TableFormat
from .time_forms import OF_DAY

__all__ = ["reject_duplicate"]

# The night in which clocks may be set back, in a date without a zone.
NIGHT_OF_CHANGE = r"\d{4}-(?:03|04|10|11)-\d\d[T ]0[0-3]:[0-5]\d(?::[\d.]+)?$"
PARTS_OF_TIME = re.compile(
    r"(quarter|month|week|day|hour|minute|second|quartal|monat|woche|tag|stunde|trimestre|mois"
    r"|semaine|jour|heure)s?",
    re.IGNORECASE,
)
TIME_OF_DAY = "|".join(pattern for pattern in OF_DAY if "." not in pattern)  # 8.30 is a number


def reject_duplicate(table: TableFile, form: TableFormat, row: pd.Series) -> None:
    """Raise for a second row, or value in a long table, of a series at the same time."""
    place = int(row["row"])
    time = str(table.rows[form.time_column].iloc[place])
    what, first = f"value of {row.get('variable')!r}", ""
    if "variable" not in row:
        what, first = "row", advice(table, form, place)
    if re.match(NIGHT_OF_CHANGE, time):
        first += "if clocks were set back here, write dates with their offset (+01:00); else "
    remedy = "" if table.is_frame else ", or set dataset.duplicates=mean or last"
    raise DataError(
        f"{table.at(place)}: series {row['series']!r} has another {what} at the time {time!r}; "
        f"{first}join them{remedy}"
    )


def advice(table: TableFile, form: TableFormat, place: int) -> str:
    """What to do if the columns in which a row differs from the earlier one tell them apart."""
    pairs = differing_cells(table, form, place)
    if not pairs:
        return "all of its cells are those of an earlier row; "
    words = ""
    for name, pair in pairs.items():
        if PARTS_OF_TIME.fullmatch(name) or pair.str.fullmatch(TIME_OF_DAY).all():
            words += (
                f"if {name!r} is part of the time, join it with {form.time_column!r} in one "
                "column (2024-03-31 14:05; of a month or quarter, its first day); "
            )
            break
    numeric = [name for name, pair in pairs.items() if pair.str.fullmatch(NUMBER).any()]
    named = next((n for n in pairs if n not in numeric and (pairs[n] != "").all()), None)
    join, which = f"join it with {form.series_column!r}", "another column"
    if form.series_column in table.added:
        join = "name it with dataset.series_column"
    settings = "set dataset.variable_column and value_column"
    if named is not None and numeric:
        settings, which = settings_of(named, value_of(numeric)), repr(named)
    return (
        f"{words}if each row has the value of one variable, {settings}; if {which} tells series "
        f"apart, {join}; else "
    )


def differing_cells(table: TableFile, form: TableFormat, place: int) -> dict[str, pd.Series]:
    """Columns in which a row and the first of its series and time differ, with both cells."""
    given = [name for name in (form.series_column, form.time_column) if name is not None]
    same = [(cells := table.text(name)).to_numpy() == cells.iloc[place] for name in given]
    earlier = int(np.logical_and.reduce(same).argmax())
    names = [name for name in table.names if table.names.count(name) == 1 and name not in given]
    pairs = {name: table.text(name).iloc[[earlier, place]] for name in names}
    return {name: pair for name, pair in pairs.items() if pair.nunique() == 2}
