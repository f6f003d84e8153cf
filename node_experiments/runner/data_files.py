"""The user's data files that a run reads: their locations, and whether they have changed."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..chapters import datasets
from ..chapters.chapter import resolve
from ..config import ConfigError, RunConfig
from ..files import matching_files, user_path
from ..runs.directory import read_json

__all__ = [
    "PATH_SETTINGS",
    "absolute_paths",
    "check_files",
    "check_same_data",
    "file_names",
    "fingerprints",
    "parse_fingerprints",
    "recorded_fingerprints",
    "resolved_dataset",
    "same_data",
]

PATH_SETTINGS = ("path", "root")  # settings of datasets that name a file or a folder
Fingerprints = list[dict[str, Any]]


def absolute_paths(settings: Any) -> dict[str, str]:
    """Absolute paths for those settings of a dataset that are relative paths."""
    found = {}
    for each in fields(settings):
        typed = getattr(settings, each.name) if each.name in PATH_SETTINGS else None
        if typed is not None and ":" not in typed.partition("/")[0]:
            path = user_path(typed).absolute()
            if str(path) != typed:
                found[each.name] = str(path)
    return found


def resolved_dataset(config: RunConfig) -> Any:
    """The settings of the dataset, with paths that are valid from the current directory.

    A path that still names the same file is kept as typed; any other is replaced by the absolute
    path that it stood for when the run was started.
    """
    settings = config.dataset
    for name, absolute in config.places.items():
        typed, then = user_path(getattr(settings, name)), Path(absolute)
        if typed.absolute() != then and (is_there(then) or not is_there(typed)):
            settings = replace(settings, **{name: absolute})
    return settings


def is_there(path: Path) -> bool:
    """Whether a path exists, or a file that matches it."""
    return matching_files(path)[0].exists()


def fingerprints(config: RunConfig) -> Fingerprints:
    """Path, size and SHA-256 of each file, or folder of text files, that the user provides.

    Data that the package provides have no fingerprints.
    """
    files = datasets()[config.dataset.name].files
    if files is None:
        return []
    found: Fingerprints = []
    for path in resolve(files)(resolved_dataset(config)):
        if path.is_file():
            content = path.read_bytes()
            digest, size = sha256(content), len(content)
        elif path.is_dir():
            lines, size = "", 0
            for file in sorted(path.glob("*.txt")):
                content = file.read_bytes()
                size += len(content)
                lines += f"{file.name} {sha256(content)}\n"
            digest = sha256(lines.encode())
        else:
            continue
        found.append({"path": str(path.absolute()), "bytes": size, "sha256": digest})
    return found


def sha256(content: bytes) -> str:
    """The SHA-256 of a file's content in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def check_files(config: RunConfig) -> None:
    """Let the dataset check the user's files before torch is imported.

    Raises:
        DataError: A file is missing, damaged or unsuitable.
    """
    check = datasets()[config.dataset.name].check
    if check is not None:
        resolve(check)(resolved_dataset(config))


def parse_fingerprints(content: Any) -> Fingerprints | None:
    """The fingerprints in the content of a file; None if it is not a list of fingerprints."""
    if isinstance(content, list) and all(
        isinstance(each, dict) and isinstance(each.get("sha256"), str) and "path" in each
        for each in content
    ):
        return content
    return None


def recorded_fingerprints(folder: Path) -> Fingerprints | None:
    """The fingerprints of the data that the run in a folder read; None if none are recorded."""
    return parse_fingerprints(read_json(folder / "run_info.json").get("data"))


def same_data(before: Fingerprints | None, now: Fingerprints) -> bool:
    """Whether files have the same content; True if nothing was recorded before."""
    if before is None:
        return True
    return [each["sha256"] for each in before] == [each["sha256"] for each in now]


def check_same_data(config: RunConfig, folder: Path) -> None:
    """Check that the data of a run have not changed since it was started.

    Raises:
        ConfigError: They have changed, or files are missing.
    """
    before = recorded_fingerprints(folder)
    now = fingerprints(config)
    if not before or same_data(before, now):
        return
    if len(now) < len(before):
        raise ConfigError(
            f"the data of the run {folder} are missing: it read {file_names(before, now)}; put them "
            "back, or say where they are now with dataset.path=<file> or dataset.root=<folder>"
        )
    raise ConfigError(
        f"the data of the run {folder} have changed: {file_names(now, before)} is not what it "
        f"read when it was started, {file_names(before, now)}; put that back, or start a new run elsewhere"
    )


def file_names(files: Fingerprints, others: Fingerprints) -> str:
    """Names of files with the first digits of their SHA-256; those not among others come first."""
    known = {each["sha256"] for each in others}
    first = sorted(files, key=lambda each: each["sha256"] in known)[:3]
    shown = ", ".join(f"{each['path']} (sha256 {each['sha256'][:8]})" for each in first)
    more = len(files) - len(first)
    return (f"{shown} and {more} more" if more else shown) or "no file"
