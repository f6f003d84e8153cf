"""Data files that ship with the package, each checked against its published hash."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import DataError

__all__ = ["shipped_file"]


def shipped_file(folder: Path, name: str) -> Path:
    """Path of a file in a folder with a list `SHA256SUMS`, after a check of its content.

    Raises:
        DataError: The file or the list is missing, or its hash is not the one in the list.
    """
    path = folder / name
    try:
        lines = (folder / "SHA256SUMS").read_text().splitlines()
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise DataError(f"{error.filename} is missing; install node-experiments again") from error
    sums = {file: sha256 for sha256, file in (line.split() for line in lines)}
    if found != sums[name]:
        raise DataError(
            f"{path} is truncated or altered: its hash is not that of SHA256SUMS; install "
            "node-experiments again"
        )
    return path
