"""From a long table, with a row for every value, to a row for each series and time."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pandas as pd

from ...data.table_file import TableFile
from ...errors import DataError
from .table_cells import (
    measured,
    missing_in,
    nameless_in,
    numbers_of,
    parsed,
    text_of,
    unnamed_in,
)
from .table_columns import require_column
from .table_format import Columns, TableFormat
from .table_properties import labels_of

__all__ = ["feature_key", "reject_duplicate", "widened"]

MOST = 60  # characters of the words that a message shows


def feature_key(name: str) -> str:
    """The column of a feature in the frame of measurements, which has its own columns."""
    return f"feature {name}"


def widened(
    table: TableFile,
    form: TableFormat,
    columns: Columns,
    frame: pd.DataFrame,
    variable: str,
    value: str,
) -> pd.DataFrame:
    """One row for each series and time of a long table, a column for each feature."""
    for name in (variable, value):
        require_column(table, name)
    named = text_of(table.rows[variable])
    nameless = nameless_in(named)
    unknown = ~named.isin(columns.features) & ~nameless
    cells = table.rows[value]
    if form.value_columns is None and unknown.any():
        empty = missing_in(text_of(cells), form)
        reject_variable(table, form, columns, variable, named, unknown, empty)
    if form.value_columns is not None and cells.dtype == object:  # what others have is not read
        cells = cells.where(~unknown, "")
    read = replace(table, rows=table.rows.assign(**{value: cells}))
    numbers, bad = parsed(read, value, form)
    if bad.any():
        reject_words(read, form, value, named, numbers, bad)
    frame = frame.assign(variable=named, value=numbers_of(read, value, form))
    without = nameless & frame["value"].notna()
    if without.any():
        row = int(without.to_numpy().argmax())
        raise DataError(f"{table.at(row)}: {variable!r} is empty; every value needs its variable")
    known = frame[named.isin(columns.features) & frame["value"].notna()]
    keys = ["series", "time", "variable"]
    again = known.duplicated(keys)
    if again.any() and form.duplicates == "error":
        reject_duplicate(table, form, known[again].iloc[0])
    how = "mean" if form.duplicates == "mean" else "last"
    wide = known.groupby(keys, sort=False)["value"].agg(how).unstack("variable")
    wide = wide.reindex(columns=list(columns.features))
    wide.columns = pd.Index([feature_key(name) for name in columns.features])
    rows = frame.groupby(keys[:2], sort=False)["row"].first().to_frame()
    by_time = form.label_per == "time"
    rows["label"] = labels_of(table, frame, keys[:2], "write one at a time") if by_time else None
    return rows.join(wide).reset_index()


def reject_variable(
    table: TableFile,
    form: TableFormat,
    columns: Columns,
    variable: str,
    named: pd.Series,
    unknown: pd.Series,
    empty: pd.Series,
) -> None:
    """Raise for a variable that the model has not, or has not with this value: one called NA.

    Args:
        named: The variable of each row.
        unknown: Rows whose variable is not one of the model.
        empty: Rows without a value; one whose variable may be missing as well is left out.

    Raises:
        DataError: With the first such row.
    """
    unsure = unnamed_in(named, form)
    unknown &= ~(unsure & empty)
    if not unknown.any():
        return
    row = int(unknown.to_numpy().argmax())
    why = f"was not there when the model was trained, on {', '.join(columns.features)}"
    if unsure[row]:
        why = "says that it is missing; call the variable by another name, such as 'Na' for 'NA'"
    raise DataError(f"{table.at(row)}: {variable!r} is {named.iloc[row]!r}, which {why}")


def reject_words(
    table: TableFile,
    form: TableFormat,
    value: str,
    named: pd.Series,
    numbers: pd.Series,
    bad: pd.Series,
) -> None:
    """Raise where the first cell that is no number is of a variable that has words only.

    Args:
        named: The variable of each row.
        numbers, bad: As `parsed` gives them.

    Raises:
        DataError: With all such variables, and how to name the others.
    """
    text = text_of(table.rows[value])
    with_numbers = set(named[numbers.notna()])
    of_words = set(named[bad]) - with_numbers - set(named[bad & measured(text)])
    row = int(bad.to_numpy().argmax())
    if table.is_frame or not with_numbers or named[row] not in of_words:
        return
    words = ", ".join(map(repr, sorted(set(text[bad & named.isin(of_words)]))))
    asked = form.value_columns or sorted(with_numbers)
    others = [shown_in_list(name) for name in asked if name not in of_words]
    setting = shlex.quote(f"dataset.value_columns=[{','.join(others)}]")
    raise DataError(
        f"{table.at(row)}: the values of {', '.join(map(repr, sorted(of_words)))} are words "
        f"({words if len(words) <= MOST else words[:MOST] + '...'}), and features are numbers; to "
        f"leave them out, set {setting}"
    )


def shown_in_list(name: str) -> str:
    """A name as it is written in a list of a setting."""
    if re.fullmatch(r"[\w./%+ -]+", name):
        return name
    return "'" + name.replace("'", r"\'") + "'"


def reject_duplicate(table: TableFile, form: TableFormat, row: pd.Series) -> None:
    """Raise for a row, or a value of a long table, that is a second one at its time."""
    time = table.rows[form.time_column].iloc[int(row["row"])]
    what, first = f"value of {row.get('variable')!r}", ""
    if "variable" not in row:
        what = "row"
        first = (
            "if each row has the value of one variable, set dataset.variable_column and "
            "value_column; else "
        )
    remedy = "" if table.is_frame else ", or set dataset.duplicates=mean or last"
    raise DataError(
        f"{table.at(int(row['row']))}: series {row['series']!r} has another {what} at the time "
        f"{str(time)!r}; {first}join them{remedy}"
    )
