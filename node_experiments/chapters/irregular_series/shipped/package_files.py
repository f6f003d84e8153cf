"""Tables that ship with the package, each checked against its hash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ....data.shipped_files import shipped_file
from ....data.table_file import TableFile, read_table
from ..settings import CSVConfig
from ..user_tables.user_table import (
    hash_of_files,
    read_as_written,
    user_file,
    user_files,
    with_series,
)

__all__ = ["FILES", "own_or_shipped", "shipped_path", "shipped_table"]

FILES = Path(__file__).parent / "files"


def shipped_path(name: str) -> Path:
    """Path of a file in `files/`, after a check of its content.

    Raises:
        DataError: As in `shipped_file`.
    """
    return shipped_file(FILES, name)


def shipped_table(name: str) -> TableFile:
    """The rows of a shipped CSV file, as text."""
    return read_table(shipped_path(name), delimiter=",", decimal=".", encoding="utf-8")


def own_or_shipped(settings: CSVConfig, name: str) -> tuple[TableFile, str]:
    """The table of `dataset.path`, or the shipped one by default, and the hash of its file.

    Settings on how a file is written, such as `dataset.delimiter`, are for the user's files: that
    of `dataset.path`, and those to predict from. The shipped file is read as it is written.

    Raises:
        DataError: As in `user_file` and `read_table`, or `shipped_path` for the shipped file.
    """
    if settings.path is None:
        # Messages name it without the folder in which the package is installed.
        files, table = [shipped_path(name)], shipped_table(name)
        table = replace(table, source=name, files=None)
    else:
        files = user_files(settings)
        table = read_as_written(user_file(settings), settings)
    return with_series(table, settings), hash_of_files(files)
