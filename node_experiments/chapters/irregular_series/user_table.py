"""The file that `dataset.path` names, and how its user says that it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...data.table_file import TableFile, read_table
from ...errors import DataError
from .settings import CSVConfig
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

SERIES = "series"  # the column of a table that has none
SAMPLE, SAMPLES = "sample:", Path(__file__).parent / "sample_files"


def user_file(settings: CSVConfig) -> Path:
    """The file of `dataset.path`; `sample:<name>` is one that ships with the package.

    Raises:
        DataError: No file is named, or a sample that does not exist.
    """
    if settings.path is None:
        raise DataError(
            "dataset=csv reads the file that dataset.path names; it has a row for every "
            f"observation, with the columns {settings.series_column!r}, {settings.time_column!r} "
            "and values; to try, node-run dataset=csv --sample > patients.csv"
        )
    if "://" in settings.path:
        raise DataError(
            f"dataset.path={settings.path!r} is an address; download the file, and name that"
        )
    if not settings.path.startswith(SAMPLE):
        return Path(settings.path).expanduser()
    path = SAMPLES / f"{settings.path.removeprefix(SAMPLE)}.csv"
    if not path.is_file():
        known = ", ".join(f"{SAMPLE}{file.stem}" for file in sorted(SAMPLES.glob("*.csv")))
        raise DataError(f"dataset.path={settings.path!r} is no sample; there are {known}")
    return path


def user_files(settings: CSVConfig) -> list[Path]:
    """What a run reads."""
    return [] if settings.path is None else [user_file(settings)]


def read_user_table(settings: CSVConfig) -> TableFile:
    """The table of `dataset.path`, as it is written.

    Raises:
        DataError: As in `user_file` and `read_table`.
    """
    return with_series(read_as_written(user_file(settings), settings), settings)


def read_as_written(path: Path, settings: CSVConfig) -> TableFile:
    """The table of a file that is written as the settings say.

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
    """The table with a column of series, also where all of its rows are one.

    Raises:
        DataError: It is said to have no such column, and has one.
    """
    if settings.series_column is not None:
        return table
    if SERIES in table.rows.columns:
        raise DataError(
            f"{table.source}: with dataset.series_column=null all rows are one series, and the "
            f"table has a column {SERIES!r}; rename it, or set dataset.series_column={SERIES}"
        )
    return replace(table, rows=table.rows.assign(**{SERIES: "all"}), made=(SERIES,))


def table_format(settings: CSVConfig) -> TableFormat:
    """How the user says that the table is written."""
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
    )
