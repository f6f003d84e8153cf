"""Columns that are read as features and may be meant as something else: said, never changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...data.table_file import TableFile
from .measurements import Measurements
from .table_cells import parsed
from .table_format import Columns, TableFormat

__all__ = ["warn_of_columns"]

log = logging.getLogger(__name__)

CODES = (-99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)
SERIES = 10  # from which on a value that never changes within any of them is no chance


def warn_of_columns(
    table: TableFile, form: TableFormat, columns: Columns, seen: Measurements
) -> None:
    """Warn of features that count the rows, of properties of a series, and of codes for nothing.

    Args:
        table: Of training.
        seen: What was read of it.
    """
    found = not columns.is_long and form.value_columns is None
    for name in columns.features if found else ():
        numbers, _ = parsed(table, name, form)
        if len(numbers) > 2 and bool((numbers.diff().iloc[1:] == 1).all()):
            log.warning(
                "%s: the feature %r counts the rows; if it is an index, name the features with "
                "dataset.value_columns",
                table.source,
                name,
            )
    for name in unchanging(seen, columns.features) if found else ():
        log.warning(
            "%s: the feature %r does not change within any series; if it is a property of the "
            "series, set dataset.static_columns=[%s]; if it is what came of it, "
            "dataset.label_column=%s",
            table.source,
            name,
            name,
            name,
        )
    for place, name in enumerate(columns.features):
        for code in codes_in(seen.values[:, place]):
            log.warning(
                "%s: %r is %g in some rows, far from all other values; if it means that nothing "
                "was observed, set dataset.missing=['%g']",
                table.source,
                name,
                code,
                code,
            )


def unchanging(seen: Measurements, features: Sequence[str]) -> list[str]:
    """Features that differ between series and never within one of two observations or more."""
    series = np.repeat(np.arange(len(seen)), np.diff(seen.offsets))
    groups = pd.DataFrame(seen.values).groupby(series)
    low, high, several = groups.min(), groups.max(), groups.count() > 1
    same = ((low == high) | ~several).all() & (several.sum() >= SERIES)
    differs = low[several].min() < high[several].max()
    return [
        name for name, found in zip(features, (same & differs).to_numpy(), strict=True) if found
    ]


def codes_in(values: np.ndarray) -> list[float]:
    """Numbers such as -999 that are further from all other values than these from each other."""
    found = []
    for code in CODES:
        others = values[np.isfinite(values) & (values != code)]
        if len(others) in (0, len(values)) or not (values == code).any():
            continue
        low, high = others.min(), others.max()
        if max(low - code, code - high) > max(2 * (high - low), abs(code) / 2):
            found.append(code)
    return found
