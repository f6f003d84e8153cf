"""What each column of a table holds."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pandas as pd

from ...data.errors import DataError
from ...data.table_file import TableFile
from .table_cells import missing_in, parsed, reject_number, text_of
from .table_format import Columns, TableFormat

__all__ = ["check_names", "find_columns", "long_columns", "require_column"]

log = logging.getLogger(__name__)

INDEX_NAMES = ("", "index", "level_0", "row", "rownames", "row_names")
THOUSANDS = r"[+-]?\d{1,3}(?:[,.' \u00a0\u202f]\d{3})+(?:[.,]\d+)?"
LONG_NAMES = ("variable", "value")  # columns of pandas' own long format


def find_columns(table: TableFile, form: TableFormat) -> Columns:
    """Decide what each column of the training table holds.

    Raises:
        DataError: A column that is named and not there, a feature that is no number, or none.
    """
    names = [str(name) for name in table.rows.columns]
    variable, value = long_columns(names, form)
    special = {form.series_column, form.time_column, *form.static_columns}
    special |= {name for name in (form.label_column, variable, value) if name is not None}
    for name in (*special, *(form.value_columns or ())) if variable is None else special:
        require_column(table, name)
    kind = time_kind(table, form)
    others = [name for name in dict.fromkeys(names) if name not in special]
    if variable is not None:
        found = words_of(table, variable, form)
        features = found if form.value_columns is None else form.value_columns
        return Columns(features, tuple(others), True, kind, categories_of(table, form))
    ignored = []
    if form.value_columns is not None:
        features = form.value_columns
        ignored = [name for name in others if name not in features]
    else:
        kept = []
        for name in others:
            require_column(table, name)
            if is_index(name):
                ignored.append(name)
            elif holds_numbers(table, name, form):
                kept.append(name)
            else:
                ignored.append(name)
        features = tuple(kept)
    if not features:
        text = f" ({', '.join(map(repr, ignored))} hold none)" if ignored else ""
        raise DataError(
            f"{table.source}: no column is left that holds numbers{text}; name the columns with "
            "dataset.value_columns, or of a long table with dataset.variable_column"
        )
    log.info(
        "%s: features %s%s",
        table.source,
        ", ".join(features),
        f"; not read: {', '.join(map(repr, ignored))}" if ignored else "",
    )
    return Columns(features, tuple(ignored), False, kind, categories_of(table, form))


def long_columns(names: Sequence[str], form: TableFormat) -> tuple[str | None, str | None]:
    """The columns of variables and values of a long table; None of a wide one."""
    if form.variable_column is not None or form.value_column is not None:
        variable, value = LONG_NAMES
        return form.variable_column or variable, form.value_column or value
    if form.value_columns is None and set(LONG_NAMES) <= set(names):
        return LONG_NAMES
    return None, None


def require_column(table: TableFile, name: str) -> None:
    """Raise where a column is not there exactly once."""
    names = [str(column) for column in table.rows.columns]
    if names.count(name) != 1:
        found = "more than once" if name in names else "not"
        shown = ", ".join(map(repr, names))
        raise DataError(
            f"{table.source}: the column {name!r} is {found} there; found {shown[:300]}; name the "
            "columns with dataset.series_column, time_column, value_columns and label_column"
        )


def check_names(
    table: TableFile, form: TableFormat, columns: Columns, names: Sequence[str]
) -> None:
    """Every feature once, and no other numbers than those of training.

    A further column of text, such as remarks, is not read, and is named in a warning.
    """
    for feature in columns.features:
        require_column(table, feature)
    expected = {
        form.series_column, form.time_column, *columns.features, *columns.ignored,
        *form.static_columns, form.label_column, *(form.value_columns or ()),
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
            "%s: not read, for they were not there in training: %s",
            table.source,
            ", ".join(map(repr, texts)),
        )


def is_index(name: str) -> bool:
    """Whether a column is named as the index of a table is when it is written."""
    return name.lower() in INDEX_NAMES or name.lower().startswith("unnamed: ")


def is_text(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column holds anything but numbers and missing cells, or nothing at all."""
    numbers, bad = parsed(table, name, form)
    return bool(bad.any()) or not bool(numbers.notna().any())


def holds_numbers(table: TableFile, name: str, form: TableFormat) -> bool:
    """Whether a column is a feature: it has numbers; one of text alone, or of nothing, is none.

    Raises:
        DataError: It has both.
    """
    numbers, bad = parsed(table, name, form)
    if numbers.notna().any() and bad.any():
        reject_number(table, name, bad)
    if bad.any() and (grouped := text_of(table.rows[name]).str.fullmatch(THOUSANDS) & bad).any():
        row = int(grouped.to_numpy().argmax())
        raise DataError(
            f"{table.at(row)}: {name!r} is {table.rows[name].iloc[row]!r}, a number with a "
            "separator of thousands; write numbers without, or leave the column out with "
            "dataset.value_columns"
        )
    return bool(numbers.notna().any())


def time_kind(table: TableFile, form: TableFormat) -> str:
    cells = table.rows[form.time_column]
    if pd.api.types.is_datetime64_any_dtype(cells) or form.time_format is not None:
        return "date"
    if pd.api.types.is_timedelta64_dtype(cells):
        return "clock"
    _, bad = parsed(table, form.time_column, form)
    if not bad.all():
        return "number"
    first = text_of(cells)[bad].iloc[0]
    is_clock = ":" in first and first.replace(":", "").replace(".", "").isdigit()
    return "clock" if is_clock else "date"


def categories_of(table: TableFile, form: TableFormat) -> dict[str, tuple[str, ...]]:
    """The values of the static columns that are text."""
    found = {}
    for name in form.static_columns:
        _, bad = parsed(table, name, form)
        if bad.any():
            found[name] = words_of(table, name, form)
    return found


def words_of(table: TableFile, name: str, form: TableFormat) -> tuple[str, ...]:
    """The different words of a column, sorted."""
    words = pd.Series(text_of(table.rows[name]).unique(), dtype=object)
    return tuple(sorted(words[~missing_in(words, form)]))
