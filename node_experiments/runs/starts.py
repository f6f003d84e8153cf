"""Starts of runs: one at a time for the same run, and none that leaves an empty directory."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..files import read_file
from .directory import LOCK, is_claimed, this_process

__all__ = [
    "discard",
    "is_only_started",
    "mark_start",
    "one_at_a_time",
    "remove_failed_starts",
    "remove_run_files",
]

# All files that exist before a run writes anything about itself.
OF_A_START = {LOCK, ".hydra", "node-run.log"}
HOUR = 3600.0


def mark_start(folder: Path) -> None:
    """Record which process starts a run in a new directory."""
    with suppress(OSError), (folder / LOCK).open("x") as lock:
        lock.write(this_process())


def discard(folder: Path) -> None:
    """Remove a directory in which nothing ran; files of a run are never touched."""
    if not is_only_started(folder):
        return
    with suppress(OSError):
        if read_file(folder / LOCK).decode(errors="replace") not in ("", this_process()):
            return  # started by another process
    with suppress(OSError):
        remove_start(folder)
        for parent in list(folder.parents)[:2]:  # of the name, and `outputs`, if now empty
            if parent.resolve() == Path.cwd():
                break
            parent.rmdir()


def remove_start(folder: Path) -> None:
    """Remove a directory that holds only what the start of a run leaves.

    Raises:
        OSError: It cannot be removed, or holds more.
    """
    for name in (LOCK, "node-run.log"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    folder.rmdir()


def remove_run_files(folder: Path) -> None:
    """Remove what a run with wrong input wrote into its directory; `discard` removes the rest.

    The fault was found before anything was trained, so that there is nothing to resume.
    """
    for path in folder.iterdir():
        if path.name in (LOCK, ".hydra"):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_only_started(folder: Path) -> bool:
    """Whether a directory holds nothing but what the start of a run leaves."""
    try:
        names = {path.name for path in folder.iterdir()}
        empty = (
            not (folder / "node-run.log").exists() or not (folder / "node-run.log").stat().st_size
        )
    except OSError:
        return False
    return names <= OF_A_START and empty


def remove_failed_starts(parent: Path, except_for: Path) -> None:
    """Remove directories of runs beside this one that were killed before they wrote anything.

    Args:
        except_for: The directory of this run.
    """
    for hydra in parent.glob("*/.hydra"):
        folder = hydra.parent
        if folder.resolve() == except_for.resolve() or not is_only_started(folder):
            continue
        if not is_claimed(folder) and not may_be_running(folder):
            with suppress(OSError):
                remove_start(folder)
    for lock in parent.glob(f".{'[0-9a-f]' * 12}.lock"):
        remove_if_dead(lock)


def remove_if_dead(lock: Path) -> None:
    """Remove a lock file of `one_at_a_time` whose process was killed.

    A process that has just opened it, and waits for it, sees that it is gone and makes another.
    """
    with suppress(OSError), lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.unlink()


def may_be_running(folder: Path) -> bool:
    """Whether the process that started a run in a directory may still be running."""
    with suppress(OSError, ValueError, OverflowError):
        number, _, node = read_file(folder / LOCK).decode().split(maxsplit=2)
        if node == os.uname().nodename:
            return is_alive(int(number))
    # No process is named, or its machine cannot be asked: a start takes less than an hour.
    with suppress(OSError):
        return time.time() - folder.stat().st_mtime < HOUR
    return True


def is_alive(process: int) -> bool:
    """Whether a process with this ID runs on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def one_at_a_time(lock: Path | None, waits: Callable[[str], object]) -> Iterator[None]:
    """Make processes that start the same run proceed one after the other.

    Args:
        lock: A file that exists while one of them works; None for a run that is not shared.
        waits: Called with the name of the working process, before this one waits for it.
    """
    if lock is None:
        yield
        return
    while True:
        with lock.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                waits(file.read())
                fcntl.flock(file, fcntl.LOCK_EX)
            if not is_file_at(file, lock):
                continue  # the previous process removed it
            try:
                file.truncate(0)
                file.write(this_process())
                file.flush()
                yield
            finally:
                lock.unlink(missing_ok=True)
            return


def is_file_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
