"""Warnings about a column that seems to hold several variables, or values in several units."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ....config.checks import first_names
from ....data.table_file import TableFile
from .shell_settings import setting
from .table_cells import parse_numbers
from .table_format import Columns, TableFormat
from .time_forms import like_dates
from .time_zones import ZONES

__all__ = ["warn_of_long_table", "warn_of_units"]

log = logging.getLogger(__name__)

UNITS = re.compile(r"(.*[ _])?units?|(value)?uom|unit_?of_?measure|einheit", re.IGNORECASE)
VALUES = re.compile(r".*(result|value|valuenum|wert|ergebnis|reading|measure).*", re.IGNORECASE)
IDS = re.compile(
    r"(?i:(.*[\W_])?(id|code|key)|(item|param|parameter|variable)(id|no|nr)?"
    r"|(sensor|channel|probe|replicate|trial|electrode|plate|tag|filter|(pass)?band)"
    r"([\W_]?(id|no|nr|name))?)"
    r"|.*[a-z](ID|Id|Code)"
)
MAX_ROWS = 20_000
MAX_DISTINCT = 50  # distinct words, or numbers used as names
SCALE = 3  # smallest ratio between the values of two variables
MIN_VALUES = 5  # fewest values of a variable that show its range


def warn_of_units(table: TableFile, form: TableFormat, columns: Columns) -> None:
    """Warn about variables of a long table whose values have several units."""
    variable = form.variable_column or "variable"
    for name in columns.ignored:
        if not UNITS.fullmatch(name) or list(table.rows.columns).count(name) > 1:
            continue
        units, variables = table.text(name), table.text(variable)
        for feature in columns.features:
            of_feature = sorted(set(units[variables == feature]) - {""})
            if len(of_feature) > 1:
                log.warning(
                    "%s: the values of %r have several units (%r: %s), and are read as if they "
                    "had one; convert them",
                    table.source,
                    feature,
                    name,
                    first_names(of_feature),
                )


def warn_of_long_table(table: TableFile, form: TableFormat, columns: Columns) -> None:
    """Warn about columns that seem to name the variable of another column's numbers.

    Only the first rows are checked.
    """
    table = replace(table, rows=table.rows.head(MAX_ROWS))
    names = changing_word_columns(table, form, columns)
    not_units = [name for name in names if not UNITS.fullmatch(name)]
    if len(columns.features) == 1:
        for name in not_units or names:
            log.warning(
                "%s: %r has several words in each series, and %r is the only feature; if they "
                "name the variable of each of its numbers, as in a long table, %s",
                table.source,
                name,
                columns.features[0],
                settings_of(name, columns.features[0]),
            )
    else:
        warn_of_scales(table, form, columns, not_units, names)
    for name in columns.features:
        others = [other for other in columns.features if other != name]
        if IDS.fullmatch(name) and others and are_identifiers(table, form, name):
            log.warning(
                "%s: the numbers of %r seem to be names, which change within series; if they name "
                "the variable of each value of %r, as in a long table, %s; if they tell several "
                "series apart, join them with %r; else name the features with "
                "dataset.value_columns",
                table.source,
                name,
                value_of(others),
                settings_of(name, value_of(others)),
                form.series_column,
            )


def warn_of_scales(
    table: TableFile,
    form: TableFormat,
    columns: Columns,
    not_units: Sequence[str],
    names: Sequence[str],
) -> None:
    """Warn about a feature whose scale depends on the words of another column, or about units."""
    for name in not_units:
        words = table.text(name)
        differ = [
            f for f in columns.features if scales_differ(parse_numbers(table, f, form)[0], words)
        ]
        if differ:
            log.warning(
                "%s: the scale of %r depends on the words of %r; if these name the variable of "
                "each number, as in a long table, %s",
                table.source,
                value_of(differ),
                name,
                settings_of(name, value_of(differ)),
            )
            return
    for name in not_units:
        if IDS.fullmatch(name):
            log.warning(
                "%s: the words of %r change within series, and are not read; if they name the "
                "variable of each value of %r, as in a long table, %s; if they tell several "
                "series apart, join them with %r",
                table.source,
                name,
                value_of(columns.features),
                settings_of(name, value_of(columns.features)),
                form.series_column,
            )
            return
    for name in names:
        if name not in not_units:
            log.warning(
                "%s: %r changes within series, and the values of a feature are read as if they "
                "had one unit; if another column names the variable of each value, as in a long "
                "table, set dataset.variable_column to it, and dataset.value_column to that of "
                "the values; else convert them",
                table.source,
                name,
            )


def settings_of(variable: str, value: str) -> str:
    return f"set {setting('variable_column', variable)} {setting('value_column', value)}"


def value_of(names: Sequence[str]) -> str:
    """The column that most likely holds the values."""
    return next((name for name in names if VALUES.fullmatch(name)), names[0])


def changing_word_columns(table: TableFile, form: TableFormat, columns: Columns) -> list[str]:
    """Columns of a few distinct words (not dates or time zones) that change within series."""
    names = [str(name) for name in table.rows.columns]
    series, found = table.text(form.series_column), []
    for name in columns.ignored:
        if names.count(name) > 1 or name == form.label_column:
            continue
        words = table.text(name)
        few = 2 <= words.nunique() <= min(MAX_DISTINCT, len(words) / 3)
        changes = few and words.groupby(series).nunique().median() >= 2
        if changes and not like_dates(words) and not ZONES.fullmatch(name):
            found.append(name)
    return found


def scales_differ(values: pd.Series, words: pd.Series) -> bool:
    """Whether the values of one word are all several times as large as those of another.

    >>> words = pd.Series(["K", "Na"] * 5)
    >>> scales_differ(pd.Series([4.0, 140, 4.1, 138] * 2 + [4.4, 141]), words)
    True
    >>> scales_differ(pd.Series([60.0, 120, 61, 130] * 2 + [65, 150]), words)
    False
    """
    groups = values.abs().groupby(words)
    of_words = pd.DataFrame({"low": groups.min(), "high": groups.max(), "count": groups.count()})
    known = of_words[of_words["count"] >= MIN_VALUES]
    if len(known) < 2:
        return False
    low = float(known["low"].max())
    return low > SCALE * float(known["high"].min()) and bool(np.isfinite(low))


def are_identifiers(table: TableFile, form: TableFormat, name: str) -> bool:
    """Whether a column has only a few distinct whole numbers, and several in most series."""
    numbers, _ = parse_numbers(table, name, form)
    if (
        (numbers.dropna() % 1 != 0).any()
        or (numbers < 0).any()
        or not 2 <= numbers.nunique() <= MAX_DISTINCT
    ):
        return False
    series = table.text(form.series_column)
    return bool(numbers.groupby(series).nunique().median() >= 2)
