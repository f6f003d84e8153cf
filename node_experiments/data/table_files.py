"""Several files of one format as one table."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..errors import DataError, EmptyTableError
from .table_file import TableFile, read_cells, with_separators

__all__ = ["names_of_files", "read_tables"]

log = logging.getLogger(__name__)

SUFFIXES = (".gz", ".bz2", ".xz", ".zip")  # of compression, after that of the format


def read_tables(
    paths: Sequence[Path],
    source: str,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    thousands: str | None = None,
) -> TableFile:
    """Read files of one format as one table, with their rows in the order of the files.

    A column that some of the files lack is empty in their rows, and a file without a row is left
    out; a warning names it.

    Args:
        source: Name of the table in messages.
        delimiter, decimal, encoding, thousands: As in `read_table`, for all files alike.

    Raises:
        DataError: As in `read_table`; or files differ in their delimiters, or in their columns if
            one occurs twice.
    """
    tables, delimiters, empty = [], [], []
    for path in paths:
        try:
            table, between = read_cells(path, delimiter, encoding)
        except EmptyTableError:
            empty.append(path)
            if len(empty) == len(paths):
                raise
            continue
        tables.append(table)
        delimiters.append(between)
        if between != delimiters[0]:
            raise DataError(
                f"{path} and {tables[0].source} are not of one format (delimiter {between!r} and "
                f"{delimiters[0]!r}; '' is that of parquet); write them alike"
            )
    if empty:
        log.warning(
            "%s: %d of %d files have no row, such as %s, and are left out",
            source,
            len(empty),
            len(paths),
            empty[0],
        )
    return with_separators(_joined(tables, source), delimiters[0], decimal, thousands)


def _joined(tables: Sequence[TableFile], source: str) -> TableFile:
    names = list(dict.fromkeys(name for table in tables for name in table.names))
    if any(table.names != tables[0].names for table in tables):
        for table in tables:
            if twice := [name for name in table.names if table.names.count(name) > 1]:
                raise DataError(
                    f"{table.source}: the column {twice[0]!r} occurs more than once; give each "
                    "its own name"
                )
    for name in names:
        if lacking := [table.source for table in tables if name not in table.names]:
            log.warning(
                "%s: the column %r is not in %d of %d files, such as %s, and is empty there",
                source,
                name,
                len(lacking),
                len(tables),
                lacking[0],
            )
    rows = pd.concat([table.rows for table in tables], ignore_index=True)
    lines = [line for table in tables for line in table.lines or ()]
    return TableFile(
        source,
        rows.fillna("") if lines else rows,  # cells of text, which are empty in a missing column
        lines=lines or None,
        files=[file for table in tables for file in table.files or ()],
        times_in_index=any(table.times_in_index for table in tables),
    )


def names_of_files(files: Sequence[Path]) -> list[str]:
    """A name for each file: without the endings, and without the folder unless it tells two apart.

    >>> names_of_files([Path("lab/a.csv.gz"), Path("lab/b.csv.gz")])
    ['a', 'b']
    >>> names_of_files([Path("lab/a/log.csv"), Path("lab/b/log.csv")])
    ['a/log', 'b/log']

    Raises:
        DataError: Two files differ in their endings alone.
    """
    bare = {file: _without_endings(file).absolute() for file in dict.fromkeys(files)}
    names = {file: path.name for file, path in bare.items()}
    if len(set(names.values())) < len(names):
        folder = os.path.commonpath([path.parent for path in bare.values()])
        names = {file: path.relative_to(folder).as_posix() for file, path in bare.items()}
    seen: dict[str, Path] = {}
    for file, name in names.items():
        if name in seen:
            raise DataError(f"{seen[name]} and {file} have one name, {name!r}; rename one")
        seen[name] = file
    return [names[file] for file in files]


def _without_endings(file: Path) -> Path:
    """The path without the endings of its format and compression, which are words (not `.01`)."""
    if file.suffix.lower() in SUFFIXES:
        file = file.with_suffix("")
    return file.with_suffix("") if file.suffix[1:].isalpha() else file
