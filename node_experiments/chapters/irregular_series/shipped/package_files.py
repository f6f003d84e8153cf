"""Tables that are part of the package, each checked against its hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ....data.table_file import TableFile, read_table
from ....errors import DataError
from ..settings import CSVConfig
from ..user_table import read_as_written

__all__ = ["FILES", "own_or_shipped", "shipped_path", "shipped_table"]

FILES = Path(__file__).parent / "files"


def shipped_path(name: str) -> Path:
    """A file of `files/`.

    Raises:
        DataError: It is missing or not the one whose hash is in SHA256SUMS.
    """
    path = FILES / name
    lines = (FILES / "SHA256SUMS").read_text().splitlines()
    sums = {file: hash_ for hash_, file in (line.split() for line in lines)}
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; install node-experiments again") from error
    if found != sums[name]:
        raise DataError(
            f"{path} is truncated or altered: its hash is not that of SHA256SUMS; install "
            "node-experiments again"
        )
    return path


def shipped_table(name: str) -> TableFile:
    """The rows of a shipped CSV file, as text."""
    return read_table(shipped_path(name), delimiter=",", decimal=".", encoding="utf-8")


def own_or_shipped(settings: CSVConfig, name: str) -> tuple[TableFile, str]:
    """The table of `dataset.path`, else the shipped one, and the hash of its file.

    Raises:
        DataError: As in `read_table` and `shipped_path`.
    """
    path = shipped_path(name)
    if settings.path is not None:
        path = Path(settings.path).expanduser()
    table = read_as_written(path, settings)
    return table, hashlib.sha256(path.read_bytes()).hexdigest()
