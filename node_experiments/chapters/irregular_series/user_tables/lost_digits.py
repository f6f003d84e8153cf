"""Times with more digits than a double holds, such as nanoseconds since 1970."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pandas as pd

from ....data.table_file import TableFile
from ....errors import DataError
from .table_cells import MINUS
from .table_format import TableFormat

__all__ = ["reject_lost_digits"]

LARGEST_WHOLE = 2.0**53
ALWAYS_HELD = 16  # characters: a point and the 15 digits that every double holds
MATTERS = 1e-3  # least error of a time, in median times between two rows of a series
WHOLE = r"[+-]?\d+"


def reject_lost_digits(table: TableFile, form: TableFormat, times: pd.Series) -> None:
    """Raise for a time whose last digits a double loses, if they matter.

    They do above 2^53, and below if the error is seen in the times between the rows of a series.

    Args:
        times: The times as doubles; NaN where they could not be read.

    Raises:
        DataError: Shows the first such time.
    """
    text = table.text(form.time_column)
    large = times.abs() > LARGEST_WHOLE
    long = np.fromiter(map(len, text), int, len(text)) > ALWAYS_HELD
    doubtful = (long & times.notna()) | large
    if not doubtful.any():
        return
    gap = median_gap(table, form, times)
    doubtful &= large | (np.spacing(times.abs()) / 2 > MATTERS * gap)
    for row in np.flatnonzero(doubtful).tolist():
        cell, time = text.iloc[row], float(times.iloc[row])
        exact = Decimal(cell.replace(",", ".").replace(MINUS, "-"))
        error = float(abs(exact - Decimal(time)))
        # A program that writes a double as 1.711893600000001e+18 has no more digits either.
        same = not re.fullmatch(WHOLE, cell) and exact == Decimal(repr(time))
        if error == 0 or same:
            continue
        if large.iloc[row]:
            raise DataError(
                f"{table.at(row)}: the time {cell} is above 2^53, where not every whole number "
                "can be told from the next; count from some start, or write dates (with pandas, "
                "to_datetime(..., unit='ns'))"
            )
        if error > MATTERS * gap:
            raise DataError(
                f"{table.at(row)}: the time {cell} has more digits than a number of double "
                f"precision, which would be off by {error:.2g}, and rows are {gap:.2g} apart; "
                "count from some start, or write dates"
            )


def median_gap(table: TableFile, form: TableFormat, times: pd.Series) -> float:
    """Median time between two rows of a series at different times; infinite without any."""
    series = table.text(form.series_column).to_numpy()
    frame = pd.DataFrame({"series": series, "time": times.to_numpy()}).sort_values("time")
    gaps = frame.groupby("series")["time"].diff()
    return float(gaps[gaps > 0].median()) if (gaps > 0).any() else np.inf
