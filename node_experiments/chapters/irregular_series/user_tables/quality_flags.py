"""Warning about a column that may say which values are bad; all values are read."""

from __future__ import annotations

import logging
import re

from ....data.table_file import TableFile
from .table_format import Columns, TableFormat

__all__ = ["warn_of_flags"]

log = logging.getLogger(__name__)

FLAGS = re.compile(
    r"(.*[\W_])?([a-z]*(quality|flags?)|qc|qual|status|valid(ity)?|good|bad|warning|error)"
    r"([\W_\d].*)?",
    re.IGNORECASE,
)
MOST = 0.5  # fraction of rows with the flag of good values


def warn_of_flags(table: TableFile, form: TableFormat, columns: Columns) -> None:
    """Warn of columns named like flags of the quality of values, if they change within series.

    One cell must be that of most rows, unlike those of a measurement such as `air_quality`.
    """
    names = [str(name) for name in table.rows.columns]
    chosen = columns.ignored
    if form.value_columns is None and not columns.is_long:
        chosen += columns.features
    series = table.text(form.series_column)
    for name in chosen:
        if not FLAGS.fullmatch(name) or names.count(name) > 1 or name == form.label_column:
            continue
        cells = table.text(name)
        if not (cells.groupby(series).nunique() > 1).any():
            continue
        if cells.value_counts(normalize=True).iloc[0] < MOST:
            continue
        log.warning(
            "%s: %r may say which values are bad, and all values are read; leave the cells of bad "
            "ones empty%s",
            table.source,
            name,
            ", and name the features with dataset.value_columns" * (name in columns.features),
        )
