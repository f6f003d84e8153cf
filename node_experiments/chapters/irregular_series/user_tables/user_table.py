"""The user's file or files, `dataset.path`, and their format as the settings describe it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ....config.checks import first_names
from ....data.table_file import TableFile
from ....data.table_files import names_of_files, read_tables
from ....errors import DataError
from ....files import matching_files, user_path
from ..settings import CSVConfig
from .table_format import FILE, TableFormat

__all__ = [
    "SAMPLES",
    "hash_of_files",
    "read_as_written",
    "read_user_table",
    "table_format",
    "user_file",
    "user_files",
    "with_series",
]

log = logging.getLogger(__name__)

SERIES = "series"  # name of the series column that is added to a table without one
SAMPLE, SAMPLES = "sample:", Path(__file__).parents[1] / "sample_files"


def user_file(settings: CSVConfig) -> Path:
    """The path that `dataset.path` names; `sample:<name>` is one that ships with the package.

    It may have wildcards that several files match.

    Raises:
        DataError: The path is not set, is a URL, or names a sample that does not exist.
    """
    if settings.path is None:
        raise DataError(
            "dataset=csv reads the file that dataset.path names; it has a row for every "
            f"observation, with the columns {settings.series_column!r}, {settings.time_column!r} "
            "and values; to try one, node-run dataset=csv --sample > patients.csv"
        )
    if "://" in settings.path:
        raise DataError(
            f"dataset.path={settings.path!r} is a URL; download the file, and name its path"
        )
    if not settings.path.startswith(SAMPLE):
        return user_path(settings.path)
    path = SAMPLES / f"{settings.path.removeprefix(SAMPLE)}.csv"
    if not path.is_file():
        known = ", ".join(f"{SAMPLE}{file.stem}" for file in sorted(SAMPLES.glob("*.csv")))
        raise DataError(f"dataset.path={settings.path!r} is not a sample; there are {known}")
    return path


def user_files(settings: CSVConfig) -> list[Path]:
    """The user's files that a run reads."""
    return [] if settings.path is None else matching_files(user_file(settings))


def hash_of_files(files: Sequence[Path]) -> str:
    """Hash of the content of a file, or of those of several."""
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256(str(digests).encode()).hexdigest()


def read_user_table(settings: CSVConfig) -> TableFile:
    """Read the table of `dataset.path`.

    Raises:
        DataError: As in `user_file` and `read_table`.
    """
    return with_series(read_as_written(user_file(settings), settings), settings)


def read_as_written(path: Path, settings: CSVConfig) -> TableFile:
    """Read the table in a file, or in all that match, in the format that the settings describe.

    Raises:
        DataError: As in `read_tables`.
    """
    files = matching_files(path)
    return read_tables(
        files,
        str(files[0]) if len(files) == 1 else f"{path} ({len(files)} files)",
        settings.delimiter,
        settings.decimal,
        settings.encoding,
        settings.thousands,
    )


def with_series(table: TableFile, settings: CSVConfig) -> TableFile:
    """The table with the columns of series and groups that are not cells of it.

    If all rows are one series (`series_column=null`), it has a name. If series or groups are the
    files (`series_column=file`), they have the names of these, unless a column is named `file`.

    Raises:
        DataError: `series_column` is null, but the table has a column `series`; or two files have
            one name.
    """
    by_file = FILE in (settings.series_column, settings.group_column)
    if by_file and FILE not in table.rows.columns and table.files is not None:
        names = names_of_files(table.files)
        table = replace(table, rows=table.rows.assign(**{FILE: names}), added=(FILE,))
    if settings.series_column is not None:
        warn_of_shared_series(table, settings.series_column)
        return table
    if SERIES in table.rows.columns:
        raise DataError(
            f"{table.source}: with dataset.series_column=null all rows are one series, and the "
            f"table has a column {SERIES!r}; rename it, or set dataset.series_column={SERIES}"
        )
    rows = table.rows.assign(**{SERIES: "all"})
    return replace(table, rows=rows, added=(*table.added, SERIES))


def warn_of_shared_series(table: TableFile, column: str) -> None:
    """Warn about series of which several files have rows."""
    if len(set(table.files or ())) < 2 or table.names.count(column) != 1:
        return
    files = pd.Series(table.files).groupby(table.text(column).to_numpy()).nunique()
    if shared := [name for name in files.index[files > 1] if name]:
        log.warning(
            "%s: series that are in several files are read as one series each: %s; if they are "
            "different ones, give them different names",
            table.source,
            first_names(shared),
        )


def table_format(settings: CSVConfig) -> TableFormat:
    """The format of the table as the settings describe it."""
    values = settings.value_columns
    return TableFormat(
        series_column=settings.series_column or SERIES,
        time_column=settings.time_column,
        value_columns=None if values is None else tuple(values),
        static_columns=tuple(settings.static_columns),
        label_column=settings.label_column,
        label_per=settings.label_per,
        variable_column=settings.variable_column,
        value_column=settings.value_column,
        missing=tuple(settings.missing),
        duplicates=settings.duplicates,
        time_format=settings.time_format,
        group_column=settings.group_column,
        every_row=settings.task == "classification" and settings.label_per == "time",
    )
