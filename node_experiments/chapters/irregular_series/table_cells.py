"""The cells of a table as text, numbers and times."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from ...data.table_file import TableFile
from ...errors import DataError
from .table_format import MISSING, NAMELESS, NAMES, TableFormat

__all__ = [
    "NUMBER",
    "filled",
    "has_words",
    "measured",
    "missing_in",
    "nameless_in",
    "names_of_series",
    "numbers_of",
    "parsed",
    "reject_line_of_units",
    "reject_number",
    "text_of",
    "unnamed_in",
    "variables_of",
    "words_for_unknown",
]

NUMBER = r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?"
# Words of two values: the first is 1 and the second 0.
YES_OR_NO = (("true", "false"), ("yes", "no"), ("y", "n"), ("on", "off"))
MINUS = "\u2212"  # as word processors and plots write it
MAY_BE_NAMES = ("na", "n/a")  # of a region or country, or of what does not apply
SODIUM = "Na"  # nobody writes so that there is no value
UNIT = r"[^\d\s.,;:/+-][^\d\s]{0,11}"
FEATURES = "if the column is no feature, name those that are with dataset.value_columns"
NOTHING = "is no number; if it means that nothing was observed, "
# Cells that people mean as numbers, and what to do about each.
THOUSANDS = r"[+-]?\d{1,3}(?:[,.' \u00a0\u202f]\d{3})+(?:[.,]\d+)?"
DECIMAL_COMMA = r"[+-]?\d*,\d+"
LIMIT = rf"(?:[<>~≤≥±]|<=|>=) ?{NUMBER}(?: ?{UNIT})?"
SIZE = r"(?:\d[\d.,' \u00a0\u202f]*|[.,]\d+)"
NEGATIVE = rf"{SIZE} ?[-\u2212]|\( ?[-+]?{SIZE} ?\)"
FLAG = r"[*!†‡§#^]{1,3}|[\[(]?(?:HH?|LL?|[Hh]igh|[Ll]ow)[\])]?[*!]?|\((?:[a-z]|[*+!])\)"
REMEDIES = {
    NEGATIVE: (
        "is no number; some programs write a negative number so: write the minus before it "
        "(-{size}) where it is one, and the number alone where it is none"
    ),
    rf"{NUMBER} {{0,3}}(?:{FLAG})|[*!†‡§#^]{{1,3}} ?{NUMBER}": (
        "is a number with a flag or a unit; write the number alone, and a flag into another "
        "column, or a unit into the column's name"
    ),
    THOUSANDS: "is a number with a separator of thousands; set {thousands}",
    DECIMAL_COMMA: "has a decimal comma; write points, or set dataset.decimal=','",
    r"[+-]?\d*\.\d+": "has a point, and the decimals of this table are written with a comma",
    LIMIT: (
        "is a limit and no number; write the number that is to stand for it, or set "
        "dataset.missing=[{cell!r}]"
    ),
    rf"{NUMBER} ?/ ?{NUMBER}(?: ?{UNIT})?": ("holds two numbers; write them into two columns"),
    rf"{NUMBER}\s*{UNIT}(?: {UNIT})?|{NUMBER}\s+\S{{1,12}}|[$€£¥] ?{NUMBER}": (
        "is a number with a unit; write the number alone, and the unit into the column's name"
    ),
    NUMBER: "is written with other digits than 0 to 9; write those",
}
REMEDIES_IN_FRAMES = REMEDIES | {
    THOUSANDS: (
        "is a number with a separator of thousands; remove it with .str.replace({sign!r}, '')"
    ),
    DECIMAL_COMMA: "has a decimal comma; make it a point with .str.replace(',', '.')",
    LIMIT: "is a limit and no number; write the number that is to stand for it, or None",
}


def text_of(cells: pd.Series) -> pd.Series:
    """Cells as text; of numbers and dates as they are usually written."""
    if cells.dtype == object and pd.api.types.infer_dtype(cells, skipna=False) == "string":
        return cells
    whole = pd.api.types.is_float_dtype(cells) and bool((cells.dropna() % 1 == 0).all())
    if whole:
        cells = cells.astype("Int64")
    return cells.astype(object).where(cells.notna(), "").map(as_text).str.strip()


def as_text(cell: Any) -> str:
    """A cell as text; bytes, as some programs write them into parquet files, as UTF-8."""
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)


def names_of_series(table: TableFile, form: TableFormat) -> pd.Series:
    """The series of each row.

    Raises:
        DataError: A row has none.
    """
    return filled(table, form.series_column, "series", NAMELESS)


def filled(table: TableFile, name: str, role: str, nothing: Collection[str]) -> pd.Series:
    """A column of text in which no cell is empty.

    Args:
        nothing: How an empty cell may be written, in small letters.

    Raises:
        DataError: One is.
    """
    cells = text_of(table.rows[name])
    empty = cells.str.lower().isin(nothing)
    if empty.any():
        row = int(empty.to_numpy().argmax())
        reject_line_of_units(table, row)
        cell = repr(cells.iloc[row]) if cells.iloc[row] else "empty"
        raise DataError(f"{table.at(row)}: {name!r} is {cell}; every row needs its {role}")
    return cells


def missing_in(text: pd.Series, form: TableFormat) -> pd.Series:
    """Where a cell of text means that nothing was observed."""
    text = text.str.strip()
    return text.str.lower().isin(MISSING) | text.isin(form.missing)


def nameless_in(text: pd.Series) -> pd.Series:
    """Where a cell names nothing, neither a series nor a variable: one may be called NA."""
    return text.str.strip().str.lower().isin(NAMELESS)


def unnamed_in(text: pd.Series, form: TableFormat) -> pd.Series:
    """Where a cell of names, such as classes, has none."""
    plain = text.str.strip()
    may_be_one = plain.str.lower().isin(NAMES) | (plain == SODIUM)
    return missing_in(text, form) & ~(may_be_one & ~text.isin(form.missing))


def words_for_unknown(text: pd.Series, form: TableFormat) -> list[str]:
    """Words of a column that count as unknown and may be names, sorted: NA, and not `nan`."""
    found = text[text.str.lower().isin(MAY_BE_NAMES) & unnamed_in(text, form)]
    return sorted(set(found) - set(form.missing))


def variables_of(table: TableFile, name: str, value: str, form: TableFormat) -> tuple[str, ...]:
    """The different variables that a column of a long table names, sorted.

    One called NA is one where it has values.
    """
    names, empty = text_of(table.rows[name]), missing_in(text_of(table.rows[value]), form)
    named = ~nameless_in(names) & ~(unnamed_in(names, form) & empty)
    return tuple(sorted(names[named].unique()))


def parsed(table: TableFile, name: str, form: TableFormat) -> tuple[pd.Series, pd.Series]:
    """The numbers of a column, NaN where there is none, and where a cell is no number."""
    cells = table.rows[name]
    codes = [number for marker in form.missing if (number := number_of(marker)) is not None]
    bad = pd.Series(False, cells.index)
    is_number = pd.api.types.is_any_real_numeric_dtype(cells)
    if is_number or pd.api.types.is_bool_dtype(cells):
        values = cells.astype("Float64").to_numpy(np.float64, na_value=np.nan)
        numbers = pd.Series(values, cells.index)
        return numbers.mask(numbers.isin(codes)), bad
    text = text_of(cells)
    plain = text
    if table.decimal == ",":  # a point may then be one of thousands
        plain = text.mask(text.str.contains(".", regex=False)).str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(plain, errors="coerce").astype(float)
    words = text[numbers.isna()]  # none in most files: words are looked at where there are some
    if len(words) and words.str.contains(MINUS, regex=False).any():
        plain = plain[words.index].str.replace(MINUS, "-", regex=False)
        numbers = numbers.fillna(pd.to_numeric(plain, errors="coerce").astype(float))
        words = text[numbers.isna()]
    if len(words):
        missing, lower = missing_in(words, form), words.str.lower()
        known = set(lower[~missing])
        pair = next((pair for pair in YES_OR_NO if known <= set(pair)), None)
        if len(words) == len(cells) and known and pair is not None:
            return (lower == pair[0]).astype(float).mask(missing), bad
        bad[words.index] = ~missing
    return numbers.mask(numbers.isin(codes)), bad


def has_words(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column holds words, also those that are read as numbers, such as yes and no."""
    text = text_of(table.rows[name])
    return not text[~missing_in(text, form)].str.fullmatch(NUMBER).all()


def number_of(marker: str) -> float | None:
    try:
        return float(marker)
    except ValueError:
        return None


def measured(text: pd.Series) -> pd.Series:
    """Where a cell is a number with something around it: a unit, a limit, two numbers."""
    return text.str.fullmatch("|".join(f"(?:{pattern})" for pattern in REMEDIES)).astype(bool)


def reject_number(table: TableFile, name: str, bad: pd.Series, otherwise: str = FEATURES) -> None:
    """Raise for the first cell that is marked as no number, with what to do about it.

    Args:
        otherwise: What ends the message; nothing when empty.
    """
    row = int(bad.to_numpy().argmax())
    cell = str(table.rows[name].iloc[row])[:30]
    what = f"{NOTHING}set dataset.missing=[{cell!r}]"
    remedies = REMEDIES
    if table.is_frame:
        what, remedies, otherwise = f"{NOTHING}write None", REMEDIES_IN_FRAMES, ""
    reject_line_of_units(table, row)
    for pattern, words in remedies.items():
        if re.fullmatch(pattern, cell):
            sign = re.sub(r"[\d+-]", "", cell)[:1]
            size = re.sub(r"[^\d.,]", "", cell)
            sign = " " if sign.isspace() else sign
            thousands = f"dataset.thousands={sign!r}"
            thousands = f'"{thousands}"' if sign == " " else thousands  # as a shell takes it
            what = words.format(cell=cell, sign=sign, size=size, thousands=thousands)
            break
    more = int(bad.sum()) - 1
    cells = f"{more} more cells of {name!r} are no numbers"
    if more == 1:
        cells = f"1 more cell of {name!r} is no number"
    others, end = f" ({cells})" if more else "", f"; {otherwise}" if otherwise else ""
    raise DataError(f"{table.at(row)}: {name!r} is {cell!r}, which {what}{end}{others}")


def reject_line_of_units(table: TableFile, row: int) -> None:
    """Raise where the row is the first one, and has no number while the second one has."""
    if row > 0 or len(table.rows) < 2:
        return
    has_number = [
        pd.to_numeric(table.rows.iloc[place], errors="coerce").notna().any() for place in (0, 1)
    ]
    if has_number == [False, True]:
        raise DataError(f"{table.at(0)} has no number at all; if it is a line of units, remove it")


def numbers_of(table: TableFile, name: str, form: TableFormat) -> pd.Series:
    """The numbers of a column, NaN where there is none.

    Raises:
        DataError: A cell that is neither a finite number nor missing.
    """
    numbers, bad = parsed(table, name, form)
    if bad.any():
        reject_number(table, name, bad, FEATURES if form.value_columns is None else "")
    infinite = np.isinf(numbers.to_numpy())
    if infinite.any():
        raise DataError(
            f"{table.at(int(infinite.argmax()))}: {name!r} is infinite; leave the cell empty if "
            "nothing was observed"
        )
    return numbers
