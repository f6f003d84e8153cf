"""Reading of files, and writing of files that are either whole or do not exist."""

from __future__ import annotations

import errno
import fnmatch
import glob
import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

__all__ = [
    "matching_files",
    "read_file",
    "user_path",
    "would_match",
    "write_atomically",
    "write_json",
]

# Temporary files are private to their owner; the final files follow the user's umask.
UMASK = os.umask(0)
os.umask(UMASK)


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path that a user typed; `~` is the home folder, unless it starts a name (`~$file.csv`)."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # there is no user of that name
        return Path(path)


def matching_files(path: Path) -> list[Path]:
    """The files that match a path with wildcards (`*`, `?`, `[a-c]`, `**`), sorted.

    The path itself if it exists, has no wildcards, or nothing matches.
    """
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = map(Path, glob.iglob(_pattern(path), recursive=True))
    return sorted(each for each in found if each.is_file()) or [path]


def would_match(file: Path, path: Path) -> bool:
    """Whether a file would be among those that match a path with wildcards, if it existed.

    >>> would_match(Path("runs/new.csv"), Path("runs/*.csv"))
    True
    >>> would_match(Path("runs/new/a.csv"), Path("runs/*.csv"))
    False
    >>> would_match(Path("runs/new/a.csv"), Path("**/*.csv"))
    True
    """
    if path.exists() or not glob.has_magic(str(path)):
        return False
    name, pattern = os.path.abspath(file), _pattern(Path(os.path.abspath(path)))
    if "**" in pattern:  # which matches any folders, as `*` does here
        return fnmatch.fnmatchcase(name, pattern.replace("**/", "*"))
    return Path(name).match(pattern)


def _pattern(path: Path) -> str:
    """The path as a pattern, with those of its first folders that exist as they are written."""
    folder = next(parent for parent in path.parents if parent.exists())
    return os.path.join(glob.escape(str(folder)), path.relative_to(folder))


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: It cannot be read, or is not a file: reading a pipe would wait for a writer.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Not a file", str(path))
    return path.read_bytes()


def write_atomically(
    path: Path, write: Callable[[IO[bytes]], object], keep: Path | None = None
) -> None:
    """Write to a temporary name beside `path`, flush it to disk, and rename it.

    A device is written to directly: renaming a file to `/dev/null` would replace it.

    Args:
        keep: The file that `path` held before is renamed to this.
    """
    if path.is_char_device() or path.is_block_device():
        with path.open("wb") as device:
            write(device)
        return
    handle, temporary = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}.", suffix=".partial"
    )
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~UMASK)
        if keep is not None and path.exists():
            path.replace(keep)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON; numbers that JSON cannot represent become null."""
    text = json.dumps(_finite(content), indent=2, ensure_ascii=False) + "\n"
    # Bytes of a file name that are not UTF-8 become escapes, which JSON can hold.
    content_bytes = text.encode(errors="backslashreplace")
    write_atomically(path, lambda file: file.write(content_bytes))


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
