"""The decimal and thousands separators of the numbers in a text table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pandas as pd

from ..errors import DataError

__all__ = ["decimal_separator", "without_thousands"]

WITH_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
THOUSAND = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
WITH_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
BLANKS = " \u00a0\u202f"  # those between digits of a number; two of them are non-breaking
CODES = (-99, -999)  # whole numbers that stand for missing values, also among decimals

Locate = Callable[[int], str]


def decimal_separator(rows: pd.DataFrame, delimiter: str, at: Locate) -> str:
    """The decimal separator of the numbers in the cells.

    Between semicolons, a comma is a decimal separator. Elsewhere the comma in a number such as
    1,234 may separate thousands; it is decimal if that of another number, such as 0,5, must be.

    Args:
        rows: Cells of text.
        at: Returns the location of a row, for messages.

    Raises:
        DataError: There are both separators, or 1,234 (between semicolons 1.234) may be a number
            above a thousand.
    """
    _reject_ambiguous_thousands(rows, at)
    commas = _numbers_with(rows, ",", WITH_COMMA)
    points = _numbers_with(rows, ".", WITH_POINT) if commas.size or delimiter == ";" else commas
    if commas.size and points.size:
        if delimiter == ",":
            return "."
        raise DataError(
            f"numbers are written with a comma ({at(commas.index[0])}) and with a point "
            f"({at(points.index[0])}); set dataset.decimal to one of them, or "
            "dataset.thousands to the one that separates thousands"
        )
    ambiguous = points if delimiter == ";" else commas
    if ambiguous.size and all(map(THOUSAND.fullmatch, ambiguous)):
        raise _ambiguous_number_error(ambiguous, at)
    if commas.size and all(map(THOUSAND.fullmatch, commas)):
        for cells, separated in _possible_thousands(rows):
            whole = _whole_numbers(cells)
            if whole[whole > 0].nunique() > 1 and whole.max() < 1000:
                raise _ambiguous_number_error(separated, at)
    return "," if commas.size else "."


def without_thousands(rows: pd.DataFrame, separator: str) -> pd.DataFrame:
    """The table without thousands separators in its numbers."""
    parts = f"[{BLANKS}]" if separator == " " else re.escape(separator)
    number = rf"[+-]?[1-9]\d{{0,2}}(?:{parts}\d{{3}})+(?:[.,]\d*)?"
    rows = rows.copy()
    for place in range(rows.shape[1]):
        cells = rows.iloc[:, place]
        if cells.dtype != object and not pd.api.types.is_string_dtype(cells):
            continue
        texts = cells.where(cells.map(lambda cell: isinstance(cell, str)), "").str.strip()
        parted = texts.str.fullmatch(number).astype(bool)
        rows.isetitem(place, cells.mask(parted, texts.str.replace(parts, "", regex=True)))
    return rows


def _reject_ambiguous_thousands(rows: pd.DataFrame, at: Locate) -> None:
    """Reject a column of whole numbers up to 999 that seem to go on above it: 939, 1,008.

    Raises:
        DataError: Quotes the first such number.
    """
    for cells, separated in _possible_thousands(rows):
        whole = _whole_numbers(cells)
        least = pd.to_numeric(separated.str.replace(r"[.,]", "", regex=True)).abs().min()
        if whole.size and 100 <= whole.max() < 1000 and least < 10 * whole.max():
            raise _ambiguous_number_error(separated, at)


def _possible_thousands(rows: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.Series]]:
    """Columns all of whose cells with a separator may be above a thousand, and these cells."""
    for place in range(rows.shape[1]):
        cells = rows.iloc[:, place]
        separated = cells[cells.str.contains("[.,]", regex=True)]
        if separated.size and all(map(THOUSAND.fullmatch, separated)):
            yield cells, separated


def _whole_numbers(cells: pd.Series) -> pd.Series:
    whole = pd.to_numeric(cells[cells.str.fullmatch(r"[+-]?\d+").astype(bool)])
    return whole[~whole.isin(CODES)].abs()


def _ambiguous_number_error(separated: pd.Series, at: Locate) -> DataError:
    """The error for the first of these cells, which has one separator before three digits."""
    match = re.search("[.,]", separated.iloc[0])
    assert match is not None
    return DataError(
        f"{at(separated.index[0])}: {separated.iloc[0]!r} is a number above a thousand, or one "
        f"with three decimals; set dataset.thousands={match[0]!r}, or dataset.decimal={match[0]!r}"
    )


def _numbers_with(rows: pd.DataFrame, separator: str, pattern: re.Pattern[str]) -> pd.Series:
    """The cells that are numbers with the given decimal separator, sorted by row."""
    found = []
    for place in range(rows.shape[1]):
        cells = rows.iloc[:, place]
        cells = cells[cells.str.contains(separator, regex=False)]
        found.append(cells[cells.str.fullmatch(pattern).astype(bool)])
    return pd.concat(found).sort_index(kind="stable")
