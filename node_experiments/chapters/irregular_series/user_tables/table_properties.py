"""Labels and static columns of a table."""

from __future__ import annotations

import logging

import pandas as pd

from ....data.table_file import TableFile
from ....errors import DataError
from .table_cells import codes_of, is_missing_name, numbers_of, shortest_text, words_for_unknown
from .table_columns import TRAINED_WITH_IT, require_column
from .table_format import Columns, TableFormat

__all__ = ["labels_of", "labels_of_rows", "labels_of_series", "static_of_series"]

log = logging.getLogger(__name__)


def labels_of_rows(table: TableFile, form: TableFormat) -> pd.Series:
    """The label of each row as text or None; if all are numbers, 1 and 1.0 are the same class."""
    assert form.label_column is not None
    if form.label_column not in table.rows.columns:
        return pd.Series(None, table.rows.index, dtype=object)
    require_column(table, form.label_column)
    text = table.text(form.label_column).astype(object)
    log_unknown_words(table, form.label_column, text, form)
    is_code = pd.to_numeric(text, errors="coerce").isin(codes_of(form.label_column, form))
    text = text.mask(is_missing_name(text, form) | is_code, None)
    names = pd.Series(text.dropna().unique(), dtype=object)
    numbers = pd.to_numeric(names, errors="coerce").astype(float)
    if numbers.notna().all():
        text = text.map({name: shortest_text(name) for name in names})
    return text


def labels_of_series(table: TableFile, frame: pd.DataFrame) -> dict[str, str]:
    """The label of each series that has one."""
    remedy = "write one label, or set dataset.label_per=time if it changes over time"
    return labels_of(table, frame, ["series"], remedy).to_dict()


def labels_of(table: TableFile, frame: pd.DataFrame, keys: list[str], remedy: str) -> pd.Series:
    """The label of each group of rows that has one; raise if a group has different labels."""
    labelled = frame[frame["label"].notna()]
    first = labelled.groupby(keys)["label"].transform("first")
    differs = labelled["label"] != first
    if differs.any():
        row = labelled[differs].iloc[0]
        raise DataError(
            f"{table.at(int(row['row']))}: series {row['series']!r} has the label "
            f"{row['label']!r} after {first[differs].iloc[0]!r}; {remedy}"
        )
    return labelled.groupby(keys)["label"].first()


def static_of_series(table: TableFile, form: TableFormat, columns: Columns) -> pd.DataFrame:
    """Static numbers, and an indicator of each category of text columns, one row per series."""
    series = table.text(form.series_column)
    names = pd.Index(series.unique())
    parts = {}
    for name in form.static_columns:
        require_column(table, name, TRAINED_WITH_IT)
        if name in columns.categories:
            text = table.text(name)
            log_unknown_words(table, name, text, form)
            known = ~is_missing_name(text, form)
            unknown = known & ~text.isin(columns.categories[name])
            if unknown.any():
                row = int(unknown.to_numpy().argmax())
                raise DataError(
                    f"{table.at(row)}: {name!r} is {text.iloc[row]!r}; when the model was trained "
                    f"it was one of {', '.join(columns.categories[name])}"
                )
            cells = {f"{name}={v}": (text == v).astype(float).where(known)
                     for v in columns.categories[name]}  # fmt: skip
        else:
            cells = {name: numbers_of(table, name, form)}
        for key, cell in cells.items():
            groups = cell.groupby(series)
            if (groups.nunique() > 1).any():
                changing = groups.nunique()
                raise DataError(
                    f"{table.source}: the static column {name!r} changes within series "
                    f"{changing.index[changing > 1][0]!r}; make it a feature"
                )
            parts[key] = groups.first().reindex(names)
    return pd.DataFrame(parts, index=names)


def log_unknown_words(table: TableFile, name: str, text: pd.Series, form: TableFormat) -> None:
    """Log words that count as unknown but may be names, such as a region called NA.

    This is a warning if no other column has them: a program that writes them for missing values
    would write them into all columns.
    """
    found = words_for_unknown(text, form)
    if not found:
        return
    names = [other for other in table.names if other != name and table.names.count(other) == 1]
    others = (table.text(other).isin(found).any() for other in names)
    log.log(
        logging.INFO if any(others) else logging.WARNING,
        "%s: %s of %r counts as unknown (rows: %d); if it is a name, write another word",
        table.source,
        ", ".join(map(repr, found)),
        name,
        int(text.isin(found).sum()),
    )
