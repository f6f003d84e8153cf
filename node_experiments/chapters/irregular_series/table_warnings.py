"""Columns that are read as features and may be meant as something else: said, never changed."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...config.checks import some_of
from ...data.table_file import TableFile
from .measurements import Measurements
from .table_cells import parsed, text_of
from .table_format import Columns, TableFormat

if TYPE_CHECKING:
    from .series_schema import SeriesSchema

__all__ = ["warn_of_columns", "warn_of_far_series", "warn_of_groups", "warn_of_long_series"]

log = logging.getLogger(__name__)

CODES = (-99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0)
FAR = 10  # standard deviations of the training values, or their ranges
LONG = 3  # times the longest training series
ALONE = 20  # times the median of the training series
ZEROS = (0.02, 0.5)  # of the values: fewer are seldom, and more are meant
ROWS = 20  # from which on numbers that rise with the rows are no chance
UNITS = re.compile(r"(.*[ _])?units?|(value)?uom|unit_?of_?measure|einheit", re.IGNORECASE)
GROUPS = re.compile(
    r".*(patient|subject|person|participant|animal|machine|device|hadm|household).*", re.IGNORECASE
)
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
        if counts_rows(table, name, form):
            log.warning(
                "%s: the feature %r counts the rows, of the table or of each series, and is easy "
                "to predict; if it is an index, name the features with dataset.value_columns",
                table.source,
                name,
            )
    if columns.is_long:
        warn_of_units(table, form, columns)
    for place, name in enumerate(columns.features) if found else ():
        values = seen.values[:, place]
        values = values[np.isfinite(values)]
        if len(values) > 1 and (values == values[0]).all():
            log.warning(
                "%s: the feature %r is %g in every row; it is easy to predict, and makes the "
                "errors look smaller: name the features that matter with dataset.value_columns",
                table.source,
                name,
                values[0],
            )
    for name in words_beside_numbers(table, form, columns) if found else ():
        log.warning(
            "%s: %r has several words in each series, and %r is the only feature; if they say "
            "what its numbers are of, as in a long table, set dataset.variable_column=%s "
            "dataset.value_column=%s",
            table.source,
            name,
            columns.features[0],
            shlex.quote(name),
            shlex.quote(columns.features[0]),
        )
    if found:
        warn_of_unchanging(table, form, columns, seen)
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
        if share := zeros_apart(seen.values[:, place]):
            log.warning(
                "%s: %.0f %% of the values of %r are 0, far from all others; if they mean that "
                "nothing was observed, leave these cells empty, or set dataset.missing=[0], which "
                "holds for the values of every feature",
                table.source,
                100 * share,
                name,
            )


def counts_rows(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether whole numbers rise from row to row, or by one in each series."""
    numbers, _ = parsed(table, name, form)
    if len(numbers) < 3 or bool(numbers.isna().any()) or bool((numbers % 1 != 0).any()):
        return False
    steps = numbers.diff().iloc[1:]
    within = numbers.groupby(text_of(table.rows[form.series_column])).diff().dropna()
    several = len(within) < len(numbers) - 1
    rises = len(numbers) >= ROWS and several and bool((steps > 0).all())
    return bool((steps == 1).all()) or rises or (len(within) >= ROWS and (within == 1).all())


def warn_of_units(table: TableFile, form: TableFormat, columns: Columns) -> None:
    """Warn of a variable of a long table whose values have several units."""
    variable = form.variable_column or "variable"
    for name in columns.ignored:
        if not UNITS.fullmatch(name) or list(table.rows.columns).count(name) > 1:
            continue
        units, named = text_of(table.rows[name]), text_of(table.rows[variable])
        for feature in columns.features:
            of_feature = sorted(set(units[named == feature]) - {""})
            if len(of_feature) > 1:
                log.warning(
                    "%s: the values of %r have several units (%r: %s), and are read as if they "
                    "had one; convert them",
                    table.source,
                    feature,
                    name,
                    some_of(of_feature),
                )


def warn_of_unchanging(
    table: TableFile, form: TableFormat, columns: Columns, seen: Measurements
) -> None:
    """Warn of features that do not change within any series."""
    names = unchanging(seen, columns.features)
    if not names:
        return
    of_series = shlex.quote(f"dataset.static_columns=[{','.join([*form.static_columns, *names])}]")
    counts = {
        name: pd.Series(seen.values[:, columns.features.index(name)]).nunique() for name in names
    }
    classes = [n for n in names if 2 * counts[n] <= len(seen) and not GROUPS.fullmatch(n)]
    outcome = ""
    if classes and form.label_column is None:
        outcome = f"; if {classes[0]!r} is what came of it, set " + shlex.quote(
            f"dataset.label_column={classes[0]}"
        )
    log.warning(
        "%s: features that do not change within any series: %s; if they are properties of the "
        "series, set %s%s",
        table.source,
        ", ".join(map(repr, names)),
        of_series,
        outcome,
    )


def warn_of_groups(table: TableFile, form: TableFormat) -> None:
    """Warn of a column by whose name several series are of one patient, machine or the like."""
    names = [str(name) for name in table.rows.columns]
    special = (
        form.series_column, form.time_column, form.label_column, *form.static_columns,
        *(form.value_columns or ()),
    )  # fmt: skip
    series = text_of(table.rows[form.series_column])
    for name in names:
        if name in special or names.count(name) > 1 or not GROUPS.fullmatch(name):
            continue
        groups = text_of(table.rows[name]).groupby(series)
        each = groups.first()
        few = 3 <= each.nunique() <= len(each) / 1.5
        if few and (groups.nunique() == 1).all() and (each != "").all():
            log.warning(
                "%s: the %d series are of %d different %r, and series of one may be in training "
                "and in test; to keep them together, set %s",
                table.source,
                len(each),
                each.nunique(),
                name,
                shlex.quote(f"dataset.group_column={name}"),
            )


def warn_of_far_series(
    source: str, schema: SeriesSchema, seen: Measurements, longest: float
) -> None:
    """Warn of values and times that are far from those that a model was trained on.

    Args:
        source: The table, for the message.
        longest: Time of the longest training series, scaled as for the model.
    """
    for place, name in enumerate(schema.columns.features):
        shift, scale = schema.shift[place], schema.scale[place]
        values = seen.values[:, place]
        values = values[np.isfinite(values)]
        if (shift, scale) == (0.0, 1.0) or not len(values):  # not scaled, or none there
            continue
        extreme = float(values[np.abs(values - shift).argmax()])
        # Where values are far from 0, they are so in one unit only.
        times_as_large = abs(float(np.median(values)) / shift) if abs(shift) > 2 * scale else 1.0
        if abs(extreme - shift) > FAR * scale or not 1 / FAR < times_as_large < FAR:
            log.warning(
                "%s: %r is %g in some rows, far from what the model was trained on (around %.3g, "
                "give or take %.2g); is its unit the same, or does it mean that nothing was "
                "observed (dataset.missing)?",
                source, name, extreme, shift, scale,
            )  # fmt: skip
    span = float(seen.times.max()) / schema.time_scale if len(seen.times) else 0.0
    if span > LONG * longest > 0:
        log.warning(
            "%s: series are up to %.3g times as long as any that the model was trained on; is the "
            "unit of %r the same?",
            source,
            span / longest,
            schema.form.time_column,
        )


def warn_of_long_series(
    source: str, schema: SeriesSchema, seen: Measurements, training: Sequence[int]
) -> None:
    """Warn of a series that makes time 1 far longer than all others are.

    Args:
        source: The table, for the message.
        training: Numbers of the series that train.
    """
    series = np.repeat(np.arange(len(seen)), np.diff(seen.offsets))
    times = schema.times.of(seen)  # the longest training series is 1
    spans = pd.Series(times).groupby(series).agg(np.ptp).to_numpy()[list(training)]
    several = spans[spans > 0]
    if len(several) < 3 or several.max() < ALONE * np.median(several):
        return
    longest = training[int(spans.argmax())]
    rows = np.flatnonzero(series == longest)
    gap = rows[1:][np.diff(seen.times[rows]).argmax()]
    log.warning(
        "%s: series %r is %.3g times as long as half of the training series, and its length is "
        "time 1 for the model; if the time at %s or before it is wrong, correct it; else set "
        "dataset.time_scale to the length of the others",
        source,
        seen.names[longest],
        several.max() / np.median(several),
        seen.where(int(gap)),
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


def words_beside_numbers(table: TableFile, form: TableFormat, columns: Columns) -> list[str]:
    """Columns of a few words that change within series, where all numbers are in one column."""
    if len(columns.features) != 1:
        return []
    names = [str(name) for name in table.rows.columns]
    series, found = text_of(table.rows[form.series_column]), []
    for name in columns.ignored:
        if names.count(name) > 1 or name == form.label_column:
            continue
        words = text_of(table.rows[name])
        few = 2 <= words.nunique() <= min(50, len(words) / 3)
        if few and words.groupby(series).nunique().median() >= 2:
            found.append(name)
    return found


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


def zeros_apart(values: np.ndarray) -> float:
    """The share of zeros if they lie apart from other values, as those of a pulse; else 0.

    >>> zeros_apart(np.array([0.0, 61, 0, 64, 66, 70, 0, 71, 75, 80, 82, 90, 95, 97, 99]))
    0.2
    >>> zeros_apart(np.array([0.0, 1, 2, 0, 3, 4, 5, 0, 6, 7, 8, 9, 10]))  # counts
    0.0
    """
    values = np.abs(values[np.isfinite(values)])
    others = np.unique(values[values > 0])
    share = int((values == 0).sum()) / max(len(values), 1)
    if len(others) < 10 or not ZEROS[0] <= share <= ZEROS[1]:
        return 0.0
    apart = others[0] > max(np.median(others) / 4, 5 * np.median(np.diff(others)))
    return share if apart else 0.0
