"""The user's file, `dataset.path`, and its format as the settings describe it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ....data.table_file import TableFile, read_table
from ....errors import DataError
from ....files import user_path
from ..settings import CSVConfig
from .table_format import TableFormat

__all__ = [
    "SAMPLES",
    "read_as_written",
    "read_user_table",
    "table_format",
    "user_file",
    "user_files",
    "with_series",
]

SERIES = "series"  # name of the series column that is added to a table without one
SAMPLE, SAMPLES = "sample:", Path(__file__).parents[1] / "sample_files"


def user_file(settings: CSVConfig) -> Path:
    """The file that `dataset.path` names; `sample:<name>` is one that ships with the package.

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
    return [] if settings.path is None else [user_file(settings)]


def read_user_table(settings: CSVConfig) -> TableFile:
    """Read the table of `dataset.path`.

    Raises:
        DataError: As in `user_file` and `read_table`.
    """
    return with_series(read_as_written(user_file(settings), settings), settings)


def read_as_written(path: Path, settings: CSVConfig) -> TableFile:
    """Read the table in a file, in the format that the settings describe.

    Raises:
        DataError: As in `read_table`.
    """
    return read_table(
        path,
        settings.delimiter,
        settings.decimal,
        settings.encoding,
        thousands=settings.thousands,
    )


def with_series(table: TableFile, settings: CSVConfig) -> TableFile:
    """The table with a series column, which is added if all of its rows are one series.

    Raises:
        DataError: `series_column` is null, but the table has a column `series`.
    """
    if settings.series_column is not None:
        return table
    if SERIES in table.rows.columns:
        raise DataError(
            f"{table.source}: with dataset.series_column=null all rows are one series, and the "
            f"table has a column {SERIES!r}; rename it, or set dataset.series_column={SERIES}"
        )
    return replace(table, rows=table.rows.assign(**{SERIES: "all"}), added=(SERIES,))


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
