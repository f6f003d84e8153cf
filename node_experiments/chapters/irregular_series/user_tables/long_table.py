"""Conversion of a long table, with a row for every value, to a row for each series and time."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ....data.cell_text import text_of
from ....data.table_file import TableFile
from ....errors import DataError
from .duplicate_rows import reject_duplicate
from .shell_settings import setting_of_list
from .table_cells import (
    codes_of,
    is_missing,
    is_missing_name,
    is_nameless,
    looks_numeric,
    numbers_of,
    parse_numbers,
)
from .table_columns import require_column
from .table_format import Columns, TableFormat
from .table_properties import labels_of

__all__ = ["feature_key", "pivot"]

MAX_LENGTH = 60  # characters of the words that a message shows


def feature_key(name: str) -> str:
    """Name of a feature's column in the frame of measurements, distinct from its other columns."""
    return f"feature {name}"


def pivot(
    table: TableFile,
    form: TableFormat,
    columns: Columns,
    frame: pd.DataFrame,
    variable: str,
    value: str,
) -> pd.DataFrame:
    """Pivot a long table to one row for each series and time, with a column for each feature."""
    for name in (variable, value):
        require_column(table, name)
    variables = table.text(variable)
    if absent := [name for name in columns.features if not (variables == name).any()]:
        raise DataError(
            f"{table.source}: {variable!r} is never {absent[0]!r}; the model was trained with it; "
            "if it was not measured, add a row of it without a value"
        )
    nameless = is_nameless(variables)
    unknown = ~variables.isin(columns.features) & ~nameless
    cells = table.rows[value]
    if form.value_columns is None and unknown.any():
        empty = is_missing(text_of(cells), form)
        reject_variable(table, form, columns, variable, variables, unknown, empty)
    if form.value_columns is not None and cells.dtype == object:  # other variables are not read
        cells = cells.where(~unknown, "")
    read = replace(table, rows=table.rows.assign(**{value: cells}))
    numbers, not_numeric = parse_numbers(read, value, form)
    if not_numeric.any():
        reject_words(read, form, value, variables, numbers, not_numeric)
    frame = frame.assign(variable=variables, value=numbers_of(read, value, form))
    for feature in columns.features:
        unobserved = frame["value"].isin(codes_of(feature, form)) & (variables == feature)
        frame["value"] = frame["value"].mask(unobserved)
    without = nameless & frame["value"].notna()
    if without.any():
        row = int(without.to_numpy().argmax())
        raise DataError(f"{table.at(row)}: {variable!r} is empty; every value needs its variable")
    known = frame[variables.isin(columns.features) & frame["value"].notna()]
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
    rows["label"] = labels_of(table, frame, keys[:2], "write one per time") if by_time else None
    return rows.join(wide).reset_index()


def reject_variable(
    table: TableFile,
    form: TableFormat,
    columns: Columns,
    variable: str,
    variables: pd.Series,
    unknown: pd.Series,
    empty: pd.Series,
) -> None:
    """Raise for a variable that the model does not know, or whose name means missing, such as NA.

    Args:
        variables: The variable of each row.
        unknown: Rows whose variable the model does not know.
        empty: Rows without a value; they are ignored if the variable's name means missing too.

    Raises:
        DataError: Names the first such row.
    """
    unsure = is_missing_name(variables, form)
    unknown &= ~(unsure & empty)
    if not unknown.any():
        return
    row = int(unknown.to_numpy().argmax())
    why = f"was not there when the model was trained, on {', '.join(columns.features)}"
    if unsure[row]:
        why = "is read as missing; call the variable by another name, such as 'Na' for 'NA'"
    raise DataError(f"{table.at(row)}: {variable!r} is {variables.iloc[row]!r}, which {why}")


def reject_words(
    table: TableFile,
    form: TableFormat,
    value: str,
    variables: pd.Series,
    numbers: pd.Series,
    not_numeric: pd.Series,
) -> None:
    """Raise if the first cell that is not a number is of a variable that has only words.

    Args:
        variables: The variable of each row.
        numbers, not_numeric: As `parse_numbers` returns them.

    Raises:
        DataError: Names all such variables, and the setting that leaves them out.
    """
    text = table.text(value)
    with_numbers = set(variables[numbers.notna()])
    with_units = set(variables[not_numeric & looks_numeric(text)])
    of_words = set(variables[not_numeric]) - with_numbers - with_units
    row = int(not_numeric.to_numpy().argmax())
    if table.is_frame or not with_numbers or variables[row] not in of_words:
        return
    words = ", ".join(map(repr, sorted(set(text[not_numeric & variables.isin(of_words)]))))
    asked = form.value_columns or sorted(with_numbers)
    setting = setting_of_list("value_columns", [name for name in asked if name not in of_words])
    raise DataError(
        f"{table.at(row)}: the values of {', '.join(map(repr, sorted(of_words)))} are words "
        f"({words if len(words) <= MAX_LENGTH else words[:MAX_LENGTH] + '...'}), and features are "
        f"numbers; to leave them out, set {setting}"
    )
