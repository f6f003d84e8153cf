"""Cells of a table as text."""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["text_of"]


def text_of(cells: pd.Series) -> pd.Series:
    """Cells as text; numbers and dates in their usual form, missing cells as ''."""
    if cells.dtype == object and pd.api.types.infer_dtype(cells, skipna=False) == "string":
        return pd.Series(list(map(str.strip, cells)), cells.index, dtype=object, name=cells.name)
    if pd.api.types.is_float_dtype(cells):
        numbers = cells.dropna()
        if bool(((numbers % 1 == 0) & (numbers.abs() < 2**53)).all()):
            cells = cells.astype("Int64")
    return cells.astype(object).where(cells.notna(), "").map(as_text).str.strip()


def as_text(cell: Any) -> str:
    """A cell as text; bytes, which some programs write into parquet files, are read as UTF-8."""
    return cell.decode(errors="replace") if isinstance(cell, bytes) else str(cell)
