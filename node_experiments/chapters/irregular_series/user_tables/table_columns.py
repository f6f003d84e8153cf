"""Roles of the columns of a table: features, properties of series, and columns not to read."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from difflib import get_close_matches

import pandas as pd

from ....data.table_file import TableFile
from ....errors import DataError, Faults
from .dates_in_order import warn_of_dates_in_order
from .numeric_dates import warn_of_numeric_dates
from .separate_dates import check_separate_dates
from .table_cells import (
    NUMBER,
    is_missing_name,
    looks_numeric,
    names_of_series,
    nonempty_column,
    parse_numbers,
    reject_line_of_units,
    reject_number,
    variables_of,
)
from .table_format import MISSING, Columns, TableFormat
from .table_guesses import require_series_and_times
from .table_times import kind_of_times, times_of

__all__ = ["TRAINED_WITH_IT", "check_names", "find_columns", "long_columns", "require_column"]

log = logging.getLogger(__name__)

INDEX_NAMES = ("", "index", "level_0", "row", "rownames", "row_names")
LONG_NAMES = ("variable", "value")  # columns of pandas' own long format
NAME_THEM = (
    "name the columns with dataset.series_column, time_column, value_columns and label_column"
)
RENAME_THEM = "call the columns as they were called in training, with .rename(columns=...)"
TRAINED_WITH_IT = (
    "the model was trained with it, and reads the columns of later files by their names; if it "
    "was not measured, add it with empty cells"
)


def find_columns(table: TableFile, form: TableFormat) -> Columns:
    """Determine the role of each column of the training table.

    Raises:
        DataError: A named column is missing, a feature is not numeric, or there are no features.
    """
    names = [str(name) for name in table.rows.columns]
    variable, value = long_columns(names, form)
    roles = (
        form.series_column, form.time_column, form.label_column, form.group_column, variable,
        value,
    )  # fmt: skip
    special = [name for name in roles if name is not None] + list(form.static_columns)
    values = list(form.value_columns or ())
    for together in (special + values, []) if variable is None else (special, values):
        if twice := [name for name in together if together.count(name) > 1]:
            raise DataError(
                f"{table.source}: {twice[0]!r} is named twice; name a column in only one of "
                "dataset.series_column, time_column, label_column, group_column, "
                "static_columns and value_columns"
            )
    require_series_and_times(table, form)
    reject_line_of_units(table, form)
    for name in special + values if variable is None else special:
        require_column(table, name)
    faults, kind, times = Faults(), "number", pd.Series(dtype=float)
    with faults:
        names_of_series(table, form)
    with faults:  # so that errors in times and in values are reported together
        nonempty_column(table, form.time_column, "time", MISSING)
        kind = kind_of_times(table, form)
        times = times_of(table, form, kind)
    others = [name for name in dict.fromkeys(names) if name not in special]
    if variable is not None and value is not None:
        faults.raise_them()
        check_times(table, form, kind, times, others)
        found = variables_of(table, variable, value, form)
        features = found if form.value_columns is None else form.value_columns
        if never := [name for name in features if name not in found]:
            raise DataError(
                f"{table.source}: {variable!r} is never {never[0]!r}; found {', '.join(found)}"
            )
        check_forecast_names(table, form, features)
        log_columns(table, features, others)
        return Columns(features, tuple(others), True, kind, categories_of(table, form))
    ignored = []
    if form.value_columns is not None:
        features = form.value_columns
        ignored = [name for name in others if name not in features]
        faults.raise_them()
        check_times(table, form, kind, times, ignored)
    else:
        kept: list[str] = []
        for name in others:
            with faults:
                require_column(table, name)
                is_feature = holds_numbers(table, name, form) and not (
                    is_index(name) and numbers_rows(table, name, form)
                )
                (kept if is_feature else ignored).append(name)
        faults.raise_them()
        features = tuple(kept)
        check_times(table, form, kind, times, others)
    if not features:
        text = f" (not read: {', '.join(map(repr, ignored))})" if ignored else ""
        raise DataError(
            f"{table.source}: no column is left that holds numbers{text}; name the columns with "
            "dataset.value_columns, or in a long table with dataset.variable_column"
        )
    check_forecast_names(table, form, features)
    log_columns(table, features, ignored)
    return Columns(features, tuple(ignored), False, kind, categories_of(table, form))


def check_times(
    table: TableFile, form: TableFormat, kind: str, times: pd.Series, others: Sequence[str]
) -> None:
    """Reject or warn of dates that are written as numbers, and of times split over two columns.

    Args:
        times: Times as `times_of` reads them.
        others: Columns that may hold the other part of the times.
    """
    if kind == "number":
        warn_of_numeric_dates(table, form, times)
        warn_of_dates_in_order(table, form, times)
    check_separate_dates(table, form, kind, times, [n for n in others if not is_index(n)])


def long_columns(names: Sequence[str], form: TableFormat) -> tuple[str | None, str | None]:
    """The variable and value columns of a long table; None and None for a wide one."""
    if form.variable_column is not None or form.value_column is not None:
        variable, value = LONG_NAMES
        return form.variable_column or variable, form.value_column or value
    if set(LONG_NAMES) <= set(names) and not set(form.value_columns or ()) & set(names):
        return LONG_NAMES
    return None, None


def log_columns(table: TableFile, features: Sequence[str], ignored: Sequence[str]) -> None:
    """Log the features, and the columns that are not read."""
    log.info(
        "%s: features %s%s",
        table.source,
        ", ".join(features),
        f"; not read: {', '.join(map(repr, ignored))}" if ignored else "",
    )


def require_column(table: TableFile, name: str, remedy: str = NAME_THEM) -> None:
    """Raise unless a column occurs exactly once; the remedy ends the message."""
    names = [str(column) for column in table.rows.columns]
    if names.count(name) == 1:
        return
    shown = ", ".join(map(repr, table.names))[:300]
    if table.is_frame and remedy == NAME_THEM:
        remedy = RENAME_THEM
    if name in names:
        raise DataError(
            f"{table.source}: the column {name!r} occurs more than once; found {shown}; give each "
            "its own name"
        )
    if any(re.fullmatch(NUMBER, each) for each in names):
        remedy = "the first line must name the columns, and seems to be a row of data"
    elif near := get_close_matches(name.lower(), [each.lower() for each in names], 1, 0.8):
        found = next(each for each in names if each.lower() == near[0])
        remedy = f"is it {found!r}? {remedy}"
    raise DataError(f"{table.source}: the column {name!r} is not there; found {shown}; {remedy}")


def check_forecast_names(table: TableFile, form: TableFormat, features: Sequence[str]) -> None:
    """Reject feature names that clash with those of the other columns of forecasts."""
    taken = [f"{name}{end}" for name in features for end in ("_q05", "_q95")]
    taken += [form.series_column, form.time_column]
    if clash := [name for name in features if name in taken]:
        raise DataError(
            f"{table.source}: forecasts have columns {', '.join(map(repr, clash))} besides those "
            "of this name in the table; rename them, or name the features with "
            "dataset.value_columns"
        )


def check_names(
    table: TableFile, form: TableFormat, columns: Columns, names: Sequence[str]
) -> None:
    """Check that a later table has every feature once, and no numeric column new since training.

    New text columns, such as remarks, are not read; a warning names them.
    """
    for feature in columns.features:
        require_column(table, feature, TRAINED_WITH_IT)
    expected = {
        form.series_column, form.time_column, *columns.features, *columns.ignored,
        *form.static_columns, form.label_column, form.group_column, *(form.value_columns or ()),
    }  # fmt: skip
    if form.value_columns is not None:
        return
    extra = [n for n in dict.fromkeys(names) if n not in expected and not is_index(n)]
    texts = [name for name in extra if names.count(name) > 1 or is_text(table, name, form)]
    if numbers := [name for name in extra if name not in texts]:
        raise DataError(
            f"{table.source}: the column {numbers[0]!r} was not there when the model was trained "
            f"on {', '.join(columns.features)}; remove it"
        )
    if texts:
        log.warning(
            "%s: not read, since they were not there in training: %s",
            table.source,
            ", ".join(map(repr, texts)),
        )


def is_index(name: str) -> bool:
    """Whether a column has a name that programs give to the index when they write a table."""
    return name.lower() in INDEX_NAMES or name.lower().startswith("unnamed: ")


def numbers_rows(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column has no name, or whole numbers that differ or rise within each series."""
    if name == "" or name.lower().startswith("unnamed: "):
        return True
    numbers, _ = parse_numbers(table, name, form)
    steps = numbers.groupby(table.text(form.series_column)).diff().dropna()
    return bool((numbers % 1 == 0).all()) and (numbers.is_unique or bool((steps > 0).all()))


def is_text(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column holds something other than numbers and missing cells, or nothing at all."""
    numbers, bad = parse_numbers(table, name, form)
    return bool(bad.any()) or not bool(numbers.notna().any())


def holds_numbers(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column holds numbers, and no text; empty columns and columns of text do not.

    Raises:
        DataError: It holds both, or most of its words are meant as numbers, such as `36.5 C`.
    """
    numbers, bad = parse_numbers(table, name, form)
    if not bad.any():
        return bool(numbers.notna().any())
    if numbers.notna().any():
        reject_number(table, name, bad, form)
    meant = bad & looks_numeric(table.text(name))
    if 2 * meant.sum() >= bad.sum():
        reject_number(table, name, meant, form)
    return False


def categories_of(table: TableFile, form: TableFormat) -> dict[str, tuple[str, ...]]:
    """The distinct values of each static column of text."""
    found = {}
    for name in form.static_columns:
        numbers, bad = parse_numbers(table, name, form)
        if not bad.any():
            continue
        if numbers.notna().sum() > bad.sum():
            reject_number(table, name, bad, form, "a static column is of numbers or of words")
        words = found[name] = words_of(table, name, form)
        series = table.rows[form.series_column].nunique()
        if 2 * len(words) > max(series, 20):
            raise DataError(
                f"{table.source}: the static column {name!r} has {len(words)} different words in "
                f"{series} series, from which nothing can be learned for others; leave it out, or "
                "write numbers"
            )
    return found


def words_of(table: TableFile, name: str, form: TableFormat) -> tuple[str, ...]:
    """The distinct words of a column, sorted."""
    words = pd.Series(table.text(name).unique(), dtype=object)
    return tuple(sorted(words[~is_missing_name(words, form)]))
