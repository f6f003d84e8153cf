"""Labels and static columns: what a table holds beside the values of series."""

from __future__ import annotations

import logging

import pandas as pd

from ...data.table_file import TableFile
from ...errors import DataError
from .table_cells import numbers_of, text_of, unnamed_in, words_for_unknown
from .table_columns import LEARNED, require_column
from .table_format import Columns, TableFormat

__all__ = ["labels_of", "labels_of_rows", "labels_of_series", "number_as_name", "static_of_series"]

log = logging.getLogger(__name__)


def labels_of_rows(table: TableFile, form: TableFormat) -> pd.Series:
    """Labels as text or None; where all are numbers, 1 and 1.0 are one class."""
    assert form.label_column is not None
    if form.label_column not in table.rows.columns:
        return pd.Series(None, table.rows.index, dtype=object)
    require_column(table, form.label_column)
    text = text_of(table.rows[form.label_column]).astype(object)
    say_unknown(table, form.label_column, text, form)
    text = text.mask(unnamed_in(text, form), None)
    names = pd.Series(text.dropna().unique(), dtype=object)
    numbers = pd.to_numeric(names, errors="coerce").astype(float)
    if numbers.notna().all():
        text = text.map({name: number_as_name(name) for name in names})
    return text


def number_as_name(text: str) -> str:
    """A number as it is shortest written, with all its digits."""
    number = float(text)
    if number.is_integer():
        return f"{number:.0f}" if abs(number) < 2**53 else text
    return repr(number)


def labels_of_series(table: TableFile, frame: pd.DataFrame) -> dict[str, str]:
    """The one label of each series that has any."""
    remedy = "write one label, or set dataset.label_per=time if it changes over time"
    return labels_of(table, frame, ["series"], remedy).to_dict()


def labels_of(table: TableFile, frame: pd.DataFrame, keys: list[str], remedy: str) -> pd.Series:
    """The one label of each group of rows of the table that has any."""
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
    """One row for each series: numbers, and an indicator of each category of text."""
    series = text_of(table.rows[form.series_column])
    names = pd.Index(series.unique())
    parts = {}
    for name in form.static_columns:
        require_column(table, name, LEARNED)
        if name in columns.categories:
            text = text_of(table.rows[name])
            say_unknown(table, name, text, form)
            known = ~unnamed_in(text, form)
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


def say_unknown(table: TableFile, name: str, text: pd.Series, form: TableFormat) -> None:
    """Log words that count as unknown and may be names, as of the region NA.

    It is a warning where no other column has them, as programs write them into all that miss one.
    """
    found = words_for_unknown(text, form)
    if not found:
        return
    names = [other for other in table.names if other != name and table.names.count(other) == 1]
    others = (text_of(table.rows[other]).isin(found).any() for other in names)
    log.log(
        logging.INFO if any(others) else logging.WARNING,
        "%s: %s of %r counts as unknown (rows: %d); if it is a name, write another word",
        table.source,
        ", ".join(map(repr, found)),
        name,
        int(text.isin(found).sum()),
    )
