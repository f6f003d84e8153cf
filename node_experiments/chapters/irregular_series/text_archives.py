"""Text files in a folder, or in an archive as it was published."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ...errors import DataError

__all__ = ["find_source", "text_files", "text_lines"]

ARCHIVES = (".tar.gz", ".zip")


def find_source(root: Path, name: str, where_from: str) -> Path:
    """The folder `name` in `root`, or the archive `name.tar.gz` or `name.zip`.

    Raises:
        DataError: None of them is there; the message says where to get it.
    """
    for path in (root / name, *(root / f"{name}{ending}" for ending in ARCHIVES)):
        if path.exists():
            return path
    raise DataError(
        f"{root} has no folder {name} and no {name}.tar.gz or {name}.zip; get it from "
        f"{where_from}, put it there, or set dataset.root to the folder where it is"
    )


def text_files(source: Path) -> Iterator[tuple[str, str]]:
    """Where each `.txt` file of a folder or archive is, for messages, and its text, by name.

    Raises:
        DataError: An archive that is truncated or none, or without any such file.
    """
    found = False
    try:
        for where, content in sorted(_contents(source)):
            found = True
            try:
                yield where, content.decode()
            except UnicodeDecodeError as error:
                raise DataError(f"{where} is no text file ({error})") from error
    except (EOFError, OSError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{source} is truncated or not of its format ({first_line(error)}); get it again"
        ) from error
    if not found:
        raise DataError(f"{source} holds no .txt file; get it again")


def first_line(error: Exception) -> str:
    """What an error says, on one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def wanted(name: str) -> bool:
    """A text file, and none of those that macOS hides in archives."""
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
    """The lines of a text file that are not empty, numbered from 1; `.gz` is unpacked.

    Raises:
        DataError: The file is missing, truncated, or no text.
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
            f"{path} is truncated or no text ({first_line(error)}); get it again"
        ) from error
