"""Run folders: the process that uses one, its status, and earlier starts of the same run.

Imports no torch, so that a job that is done already is recognised at once.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from ..config import ConfigError, config_hash
from ..files import read_file
from .result import ResultError, read_result

__all__ = [
    "ENDED",
    "FORECASTS",
    "LOCK",
    "claimed",
    "folder_of_checkpoint",
    "is_claimed",
    "read_choices",
    "read_config",
    "read_json",
    "remove_leftovers",
    "started_before",
    "status",
    "this_process",
]

LOCK = ".lock"
FORECASTS = "forecasts.npz"  # predictions of held-out test values
ENDED = ("completed", "diverged")  # running it again would give the same

# The parser in C reads some hundred configurations per second.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def this_process() -> str:
    """The ID of this process and the name of its machine."""
    return f"{os.getpid()} on {os.uname().nodename}"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Claim a folder for the work of this process; a claim dies with its process.

    Raises:
        ConfigError: Another process has claimed it, or it cannot be written.
    """
    try:
        # An existing lock can be opened even where no other file can be written.
        tempfile.TemporaryFile(dir=folder).close()
        lock = (folder / LOCK).open("a+")
    except OSError as error:
        raise ConfigError(
            f"the run folder {folder} cannot be written: {error.strerror}; make it writable, or "
            "start the run elsewhere with outputs= or hydra.run.dir="
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise ConfigError(
                f"the run folder {folder} is in use by process {lock.read().strip() or '?'}; "
                "wait for it, end it, or choose another hydra.run.dir"
            ) from None
        lock.truncate(0)
        lock.write(this_process())
        lock.flush()
        remove_leftovers(folder)
        try:
            yield
        finally:
            remove_leftovers(folder)


def is_claimed(folder: Path) -> bool:
    """Whether a running process has claimed the folder."""
    if not (folder / LOCK).is_file():
        return False
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def remove_leftovers(folder: Path) -> None:
    """Delete files that a killed process had not finished writing."""
    for place in (folder, folder / "checkpoints", folder / "figures"):
        for path in place.glob(".*.partial"):
            with suppress(OSError):  # another user's file, which must not make ours fail
                path.unlink()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if there is none."""
    try:
        content = json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved settings of a run; empty when they cannot be read."""
    try:
        content = yaml.load(read_file(folder / "config.yaml"), Loader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def read_choices(folder: Path) -> dict[str, str | None]:
    """The choice of a run in each configuration group; empty when they cannot be read."""
    choices = read_json(folder / "run_info.json").get("choices")
    if not isinstance(choices, dict):
        return {}
    return {name: value for name, value in choices.items() if isinstance(value, str | None)}


def folder_of_checkpoint(checkpoint: str) -> Path:
    """The run folder of a checkpoint, which is given as a folder or as a file in it."""
    path = Path(checkpoint)
    return path if path.is_dir() else path.parent.parent


def status(folder: Path) -> str:
    """Status: one of `ENDED`, interrupted, failed, running, damaged, unfinished (or never ran)."""
    if is_claimed(folder):
        return "running"
    try:
        result = read_result(folder)
    except ResultError:
        return "damaged"
    return "unfinished" if result is None else result.status


def started_before(
    folder: Path, own_hash: str, siblings: bool, is_same: Callable[[Path], bool]
) -> Path:
    """Folder of a run of this configuration that has ended, else was started, else `folder`.

    Of the runs that were started, one with a checkpoint is preferred to one without.

    Args:
        siblings: Also look in the folders beside `folder`.
        is_same: Whether the run in one of those folders read the same data.

    Raises:
        ConfigError: `folder` holds a run of another configuration.
    """
    own = hash_of(folder)
    if own is not None and own != own_hash:
        raise ConfigError(
            f"{folder} holds a run of another configuration; choose another folder, or delete it"
        )
    if own == own_hash or not siblings:
        return folder
    left = [
        path.parent
        for path in sorted(folder.parent.glob(f"*/{LOCK}"), reverse=True)
        if not is_claimed(path.parent)
    ]
    for path in left:
        remove_leftovers(path)
    same = [path for path in left if hash_of(path) == own_hash and is_same(path)]
    completed = [path for path in same if status(path) in ENDED]
    saved = [path for path in same if any((path / "checkpoints").glob("*.pt"))]
    return next(iter(completed + saved + same), folder)


def hash_of(folder: Path) -> str | None:
    """The configuration hash of the run in a folder, if one was started there."""
    found = read_json(folder / "run_info.json").get("config_hash")
    if found is None and (config := read_config(folder)):
        # It was killed after it wrote one of the two files.
        try:
            found = config_hash(config)
        except (AttributeError, KeyError, TypeError, ValueError):
            return None  # damaged, or of another program: not a run of ours
    return None if found is None else str(found)
