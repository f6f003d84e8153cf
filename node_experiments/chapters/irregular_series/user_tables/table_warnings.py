"""Warnings of columns that are read as features but may be meant as something else."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ....data.cell_text import text_of
from ....data.table_file import TableFile
from .long_table_warnings import warn_of_long_table, warn_of_units
from .measurements import Measurements
from .missing_codes import warn_of_codes
from .quality_flags import warn_of_flags
from .shell_settings import setting, setting_of_list
from .table_cells import parse_numbers
from .table_format import Columns, TableFormat
from .time_zones import warn_of_zones

__all__ = ["warn_of_columns", "warn_of_groups"]

log = logging.getLogger(__name__)

MIN_ROWS = 20  # rows from which on rising numbers are not by chance
GROUPS = re.compile(
    r".*(patient|subject|person|participant|animal|machine|device|hadm|household).*", re.IGNORECASE
)
TOTALS = re.compile(
    r"(sub|grand )?(total|sum)s?|summe|gesamt(summe)?|mean|average|avg\.?|mittel(wert)?|median"
    r"|std\.?|sd|stdev|min(imum)?|max(imum)?|count|anzahl|insgesamt",
    re.IGNORECASE,
)
LAST_ROWS = 5  # last rows that may be totals of the others
MAX_SERIES = 100  # series that are examined for features that are straight lines over the time
MAX_ROUNDING = 0.1  # largest rounding step of a straight line, as a fraction of its range
MIN_SERIES = 10  # series from which on a feature that is constant in each of them is not by chance


def warn_of_columns(
    table: TableFile, form: TableFormat, columns: Columns, seen: Measurements
) -> None:
    """Warn of features that count rows or repeat times, of static properties, and of codes.

    Args:
        table: The training table.
        seen: The measurements read from it.
    """
    found = not columns.is_long and form.value_columns is None
    counts = [name for name in columns.features if found and counts_rows(table, name, form)]
    for name in counts:
        log.warning(
            "%s: the feature %r counts the rows, of the table or of each series, and is easy "
            "to predict; if it is an index, name the features with dataset.value_columns",
            table.source,
            name,
        )
    if columns.is_long:
        warn_of_units(table, form, columns)
    warn_of_totals(table, form)
    warn_of_flags(table, form, columns)
    warn_of_zones(table, form, columns)
    features = list(zip(columns.features, seen.values.T, strict=True))
    for name, values in features if found else ():
        known = values[np.isfinite(values)]
        if len(known) > 1 and (known == known[0]).all():
            log.warning(
                "%s: the feature %r is %g in every row; it is easy to predict, and makes the "
                "errors look smaller: name the features that matter with dataset.value_columns",
                table.source,
                name,
                known[0],
            )
    if found:
        warn_of_long_table(table, form, columns)
        warn_of_unchanging(table, form, columns, seen)
        warn_of_linear_features(table.source, columns, seen, counts)
    warn_of_codes(table.source, features, zeros=True)
    static = zip(static_numbers(form, columns), seen.static.T, strict=True)
    warn_of_codes(table.source, ((n, v) for n, v in static if n is not None), zeros=False)


def static_numbers(form: TableFormat, columns: Columns) -> list[str | None]:
    """The name of each numeric static column, and None for each category of the others."""
    return [
        None if word else name
        for name in form.static_columns
        for word in columns.categories.get(name, ("",))
    ]


def counts_rows(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column holds whole numbers that rise from row to row, or by one in each series."""
    numbers, _ = parse_numbers(table, name, form)
    if len(numbers) < 3 or bool(numbers.isna().any()) or bool((numbers % 1 != 0).any()):
        return False
    steps = numbers.diff().iloc[1:]
    within = numbers.groupby(table.text(form.series_column)).diff().dropna()
    several = len(within) < len(numbers) - 1
    rises = len(numbers) >= MIN_ROWS and several and bool((steps > 0).all())
    return bool((steps == 1).all()) or rises or (len(within) >= MIN_ROWS and (within == 1).all())


def warn_of_unchanging(
    table: TableFile, form: TableFormat, columns: Columns, seen: Measurements
) -> None:
    """Warn of features that do not change within any series."""
    names = unchanging(seen, columns.features)
    if not names:
        return
    of_series = setting_of_list("static_columns", [*form.static_columns, *names])
    counts = {
        name: pd.Series(seen.values[:, columns.features.index(name)]).nunique() for name in names
    }
    classes = [n for n in names if 2 * counts[n] <= len(seen) and not GROUPS.fullmatch(n)]
    outcome = ""
    if classes and form.label_column is None:
        to_classify = setting("label_column", classes[0])
        outcome = f"; if {classes[0]!r} is the outcome, set {to_classify}"
    log.warning(
        "%s: features that do not change within any series: %s; if they are properties of the "
        "series, set %s%s",
        table.source,
        ", ".join(map(repr, names)),
        of_series,
        outcome,
    )


def warn_of_groups(table: TableFile, form: TableFormat) -> None:
    """Warn of a column whose name suggests that several series share, say, a patient."""
    names = [str(name) for name in table.rows.columns]
    special = (
        form.series_column, form.time_column, form.label_column, *form.static_columns,
        *(form.value_columns or ()),
    )  # fmt: skip
    series = table.text(form.series_column)
    for name in names:
        if name in special or names.count(name) > 1 or not GROUPS.fullmatch(name):
            continue
        groups = table.text(name).groupby(series)
        each = groups.first()
        few = 3 <= each.nunique() <= len(each) / 1.5
        if few and (groups.nunique() == 1).all() and (each != "").all():
            log.warning(
                "%s: the %d series have %d different %r, and series of one may be in training "
                "and in test; to keep them together, set %s",
                table.source,
                len(each),
                each.nunique(),
                name,
                setting("group_column", name),
            )


def warn_of_linear_features(
    source: str, columns: Columns, seen: Measurements, counts: Sequence[str]
) -> None:
    """Warn of features that are linear in time, and so may be the time itself.

    Args:
        counts: Features of which `warn_of_columns` has already warned.
    """
    pairs = zip(columns.features, seen.values.T, strict=True)
    linear = [
        name for name, values in pairs if name not in counts and is_linear_in_time(seen, values)
    ]
    if linear and len(linear) < len(columns.features):
        log.warning(
            "%s: features that are straight lines over the time of each series, like the time "
            "in another unit or from another start: %s; they are easy to predict: name the "
            "features that matter with dataset.value_columns",
            source,
            ", ".join(map(repr, linear)),
        )


def is_linear_in_time(seen: Measurements, values: np.ndarray) -> bool:
    """Whether values are linear in time with the same slope in all series, up to rounding.

    Only series with at least three values among the first `MAX_SERIES` are examined. They must
    have ten values in total that are not all equal.
    """
    counts = np.diff(seen.offsets)[:MAX_SERIES]
    series, rows = np.repeat(np.arange(len(counts)), counts), int(counts.sum())
    table = pd.DataFrame({"t": seen.times[:rows], "v": values[:rows], "s": series})
    table = table[np.isfinite(table["v"])]
    table = table[table.groupby("s")["v"].transform("count") >= 3]
    if len(table) < MIN_ROWS // 2:
        return False
    within = table[["t", "v"]] - table.groupby("s")[["t", "v"]].transform("first")
    longest = float(within["t"].max())
    if longest == 0 or (within["v"] == 0).all():
        return False
    moved = within[within["t"] > 0]
    slope = float((moved["t"] * moved["v"]).sum() / (moved["t"] ** 2).sum())
    steps = np.diff(np.unique(within["v"]))
    size = float(within["v"].abs().max())
    steps = steps[steps > 1e-9 * size]
    rounded = float(steps.min()) if len(steps) else size
    off = float((within["v"] - slope * within["t"]).abs().max())
    return off <= max(1.01 * rounded if rounded < MAX_ROUNDING * size else 0.0, 1e-6 * size)


def warn_of_totals(table: TableFile, form: TableFormat) -> None:
    """Warn of a series among the last rows that seems to be a total of the others."""
    cells = table.rows[form.series_column]
    for row, name in enumerate(text_of(cells.tail(LAST_ROWS)), max(0, len(cells) - LAST_ROWS)):
        if TOTALS.fullmatch(name) and (text_of(cells) == name).sum() == 1:
            log.warning(
                "%s: series %r has only this row, and seems to be a total or mean of the others "
                "rather than a series; if so, remove it",
                table.at(row),
                name,
            )


def unchanging(seen: Measurements, features: Sequence[str]) -> list[str]:
    """Features that differ between series, but not within any with two observations or more."""
    series = np.repeat(np.arange(len(seen)), np.diff(seen.offsets))
    groups = pd.DataFrame(seen.values).groupby(series)
    low, high, several = groups.min(), groups.max(), groups.count() > 1
    same = ((low == high) | ~several).all() & (several.sum() >= MIN_SERIES)
    differs = low[several].min() < high[several].max()
    return [
        name for name, found in zip(features, (same & differs).to_numpy(), strict=True) if found
    ]
