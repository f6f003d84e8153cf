"""The cells of a table as text, numbers and times."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ...data.errors import DataError
from ...data.table_file import TableFile
from .table_format import MISSING, TableFormat

__all__ = ["missing_in", "numbers_of", "parsed", "reject_number", "text_of", "times_of"]


def text_of(cells: pd.Series) -> pd.Series:
    """Cells as text; of numbers and dates as they are usually written."""
    if pd.api.types.infer_dtype(cells, skipna=False) == "string":
        return cells.astype(object)
    whole = pd.api.types.is_float_dtype(cells) and bool((cells.dropna() % 1 == 0).all())
    if whole:
        cells = cells.astype("Int64")
    return cells.astype(object).where(cells.notna(), "").map(str).str.strip()


def missing_in(text: pd.Series, form: TableFormat) -> pd.Series:
    """Where a cell of text means that nothing was observed."""
    text = text.str.strip()
    return text.str.lower().isin(MISSING) | text.isin(form.missing)


def parsed(table: TableFile, name: str, form: TableFormat) -> tuple[pd.Series, pd.Series]:
    """The numbers of a column, NaN where there is none, and where a cell is no number."""
    cells = table.rows[name]
    codes = [number for marker in form.missing if (number := number_of(marker)) is not None]
    bad = pd.Series(False, cells.index)
    if pd.api.types.is_bool_dtype(cells) or pd.api.types.is_numeric_dtype(cells):
        values = cells.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        numbers = pd.Series(values, cells.index)
        return numbers.mask(numbers.isin(codes)), bad
    text = text_of(cells)
    plain = text.str.replace(",", ".", regex=False) if table.decimal == "," else text
    numbers = pd.to_numeric(plain, errors="coerce").astype(float)
    words = text[numbers.isna()]  # none in most files: words are looked at where there are some
    if len(words):
        missing, lower = missing_in(words, form), words.str.lower()
        booleans = missing | lower.isin(("true", "false"))
        if len(words) == len(cells) and booleans.all() and not missing.all():
            return (lower == "true").astype(float).mask(missing), bad
        bad[words.index] = ~missing
    return numbers.mask(numbers.isin(codes)), bad


def number_of(marker: str) -> float | None:
    try:
        return float(marker)
    except ValueError:
        return None


def reject_number(table: TableFile, name: str, bad: pd.Series) -> None:
    """Raise for the first cell that is marked as no number."""
    row = int(bad.to_numpy().argmax())
    cell = str(table.rows[name].iloc[row])[:30]
    raise DataError(
        f"{table.at(row)}: {name!r} is {cell!r}, which is no number; if it means that nothing was "
        f"observed, set dataset.missing=[{cell!r}]; if the column is no feature, name those with "
        "dataset.value_columns"
    )


def numbers_of(table: TableFile, name: str, form: TableFormat) -> pd.Series:
    """The numbers of a column, NaN where there is none.

    Raises:
        DataError: A cell that is neither a finite number nor missing.
    """
    numbers, bad = parsed(table, name, form)
    if bad.any():
        reject_number(table, name, bad)
    infinite = np.isinf(numbers.to_numpy())
    if infinite.any():
        raise DataError(f"{table.at(int(infinite.argmax()))}: {name!r} is infinite")
    return numbers


def times_of(table: TableFile, form: TableFormat, kind: str) -> pd.Series:
    """Numbers as they are, dates and clocks in whole nanoseconds.

    Raises:
        DataError: A time that is not of the kind of the others.
    """
    if kind == "number":
        return numbers_of(table, form.time_column, form)
    cells = table.rows[form.time_column]
    if kind == "clock":
        text = text_of(cells)
        full = text.where(text.str.count(":") != 1, text + ":00")
        times = pd.to_timedelta(full, errors="coerce")
    elif pd.api.types.is_datetime64_any_dtype(cells):
        times = cells
    else:
        times = pd.to_datetime(
            text_of(cells), format=form.time_format or "ISO8601", errors="coerce", utc=True
        )
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        remedy = (
            "write times as numbers or as dates of ISO 8601 (2024-03-31 14:05), or set "
            "dataset.time_format, such as '%d.%m.%Y %H:%M'"
        )
        raise DataError(
            f"{table.at(row)}: {form.time_column!r} is {str(cells.iloc[row])[:40]!r}, which is no "
            f"{'time of day' if kind == 'clock' else 'date'} like the others; {remedy}"
        )
    if kind == "date" and getattr(times.dt, "tz", None) is not None:
        times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    unit = "timedelta64[ns]" if kind == "clock" else "datetime64[ns]"
    return pd.Series(times.to_numpy().astype(unit).astype(np.int64))
