"""The signs that the numbers of a text table are written with: of decimals, between thousands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pandas as pd

from ..errors import DataError

__all__ = ["decimal_sign", "without_thousands"]

WITH_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
THOUSAND = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
WITH_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
BLANKS = " \u00a0\u202f"  # those between digits of a number; two do not break a line
CODES = (-99, -999)  # whole numbers that stand for nothing, also among decimals

Place = Callable[[int], str]


def decimal_sign(rows: pd.DataFrame, delimiter: str, at: Place) -> str:
    """The sign of decimals that the cells are written with.

    Commas are it where semicolons are between the cells. Elsewhere a number such as 1,234 may
    have thousands, and is one of decimals where another one can be nothing else, such as 0,5.

    Args:
        rows: Cells of text.
        at: Where a row is, for a message.

    Raises:
        DataError: Both signs are, or 1,234, or 1.234 between semicolons, may be a number above a
            thousand.
    """
    _ask_for_thousands(rows, at)
    commas = _written(rows, ",", WITH_COMMA)
    points = _written(rows, ".", WITH_POINT) if commas.size or delimiter == ";" else commas
    if commas.size and points.size:
        if delimiter == ",":
            return "."
        raise DataError(
            f"numbers are written with a comma ({at(commas.index[0])}) and with a point "
            f"({at(points.index[0])}); set dataset.decimal to one of them, or "
            "dataset.thousands to the one that parts thousands"
        )
    either = points if delimiter == ";" else commas
    if either.size and all(map(THOUSAND.fullmatch, either)):
        raise _either(either, at)
    if commas.size and all(map(THOUSAND.fullmatch, commas)):
        for cells, signed in _thousands(rows):
            whole = _whole_numbers(cells)
            if whole[whole > 0].nunique() > 1 and whole.max() < 1000:
                raise _either(signed, at)
    return "," if commas.size else "."


def without_thousands(rows: pd.DataFrame, sign: str) -> pd.DataFrame:
    """The table, in whose numbers no sign is between the thousands."""
    parts = f"[{BLANKS}]" if sign == " " else re.escape(sign)
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


def _ask_for_thousands(rows: pd.DataFrame, at: Place) -> None:
    """Reject a column of whole numbers to 999 that seem to go on above a thousand: 939, 1,008.

    Raises:
        DataError: With the first such number.
    """
    for cells, signed in _thousands(rows):
        whole = _whole_numbers(cells)
        least = pd.to_numeric(signed.str.replace(r"[.,]", "", regex=True)).abs().min()
        if whole.size and 100 <= whole.max() < 1000 and least < 10 * whole.max():
            raise _either(signed, at)


def _thousands(rows: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.Series]]:
    """Columns all of whose signed cells may be numbers above a thousand, and these cells."""
    for place in range(rows.shape[1]):
        cells = rows.iloc[:, place]
        signed = cells[cells.str.contains("[.,]", regex=True)]
        if signed.size and all(map(THOUSAND.fullmatch, signed)):
            yield cells, signed


def _whole_numbers(cells: pd.Series) -> pd.Series:
    whole = pd.to_numeric(cells[cells.str.fullmatch(r"[+-]?\d+").astype(bool)])
    return whole[~whole.isin(CODES)].abs()


def _either(signed: pd.Series, at: Place) -> DataError:
    """What to say of the first of these cells, which has one sign before three digits."""
    sign = re.search("[.,]", signed.iloc[0])
    assert sign is not None
    return DataError(
        f"{at(signed.index[0])}: {signed.iloc[0]!r} is a number above a thousand, or one with "
        f"three decimals; set dataset.thousands={sign[0]!r}, or dataset.decimal={sign[0]!r}"
    )


def _written(rows: pd.DataFrame, sign: str, pattern: re.Pattern[str]) -> pd.Series:
    """The cells that are numbers with a sign of decimals, sorted by their rows."""
    found = []
    for place in range(rows.shape[1]):
        cells = rows.iloc[:, place]
        cells = cells[cells.str.contains(sign, regex=False)]
        found.append(cells[cells.str.fullmatch(pattern).astype(bool)])
    return pd.concat(found).sort_index(kind="stable")
