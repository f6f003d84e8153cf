"""Text files in a folder, or in the archive in which they are published."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError, first_line

__all__ = ["find_source", "text_files", "text_lines"]

ARCHIVES = (".tar.gz", ".zip")


def find_source(root: Path, name: str, where_from: str) -> Path:
    """The folder `name` in `root`, or the archive `name.tar.gz` or `name.zip`.

    Raises:
        DataError: None of them exists; the message says where to get it.
    """
    for path in (root / name, *(root / f"{name}{ending}" for ending in ARCHIVES)):
        if path.exists():
            return path
    raise DataError(
        f"{root} has no folder {name} and no {name}.tar.gz or {name}.zip; get it from "
        f"{where_from}, put it there, or set dataset.root to the folder where it is"
    )


def text_files(source: Path) -> Iterator[tuple[str, str]]:
    """Location (for messages) and text of each `.txt` file in a folder or archive, sorted.

    Raises:
        DataError: The archive is truncated or invalid, or has no such file.
    """
    found = False
    try:
        for where, content in sorted(_contents(source)):
            found = True
            try:
                yield where, content.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{where} is not a text file ({error})") from error
    except (EOFError, OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{source} is truncated or not an archive ({first_line(error)}); get it again"
        ) from error
    if not found:
        raise DataError(f"{source} holds no .txt file; get it again")


def wanted(name: str) -> bool:
    """Whether a name is that of a text file, but not of one that macOS hides in archives."""
    return name.endswith(".txt") and not name.rsplit("/", 1)[-1].startswith(".")


def _contents(source: Path) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for path in source.iterdir():
            if wanted(path.name):
                yield str(path), path.read_bytes()
    elif source.suffix == ".zip":
        with zipfile.ZipFile(source) as archive:
            for name in archive.namelist():
                if wanted(name):
                    yield f"{source}:{name}", archive.read(name)
    else:
        with tarfile.open(source) as archive:
            for member in archive:
                if member.isfile() and wanted(member.name):
                    file = archive.extractfile(member)
                    assert file is not None
                    yield f"{source}:{member.name}", file.read()


def text_lines(path: Path, where_from: str) -> Iterator[tuple[int, str]]:
    """Nonempty lines of a text file, stripped, with their numbers from 1; `.gz` is unpacked.

    Raises:
        DataError: The file is missing, truncated, or not text.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.strip()
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; {where_from}") from error
    except (EOFError, OSError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(
            f"{path} is truncated or not text ({first_line(error)}); get it again"
        ) from error
