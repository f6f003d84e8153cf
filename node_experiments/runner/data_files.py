"""The user's files that a run reads: where they are, and whether they are still the same."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..chapters import datasets
from ..chapters.chapter import resolve
from ..config import ConfigError, RunConfig
from ..runs.directory import read_json

__all__ = [
    "PLACES",
    "check_files",
    "check_same_data",
    "file_names",
    "fingerprints",
    "located",
    "noted",
    "places_of",
    "same_data",
]

PLACES = ("path", "root")  # settings of datasets that name a file or a folder
Fingerprints = list[dict[str, Any]]


def places_of(settings: Any) -> dict[str, str]:
    """The absolute paths of those settings of a dataset that are relative ones."""
    found = {}
    for each in fields(settings):
        typed = getattr(settings, each.name) if each.name in PLACES else None
        if typed is not None and ":" not in typed.partition("/")[0]:
            path = Path(typed).expanduser().absolute()
            if str(path) != typed:
                found[each.name] = str(path)
    return found


def located(config: RunConfig) -> Any:
    """The settings of the dataset with paths that lead to the files from this directory too.

    What was typed is kept where it names the same file; else it is the file that it named when
    and where the run was started.
    """
    settings = config.dataset
    for name, absolute in config.places.items():
        typed, then = Path(getattr(settings, name)).expanduser(), Path(absolute)
        if typed.absolute() != then and (then.exists() or not typed.exists()):
            settings = replace(settings, **{name: absolute})
    return settings


def fingerprints(config: RunConfig) -> Fingerprints:
    """Path, size and SHA-256 of each file, or folder of text files, that the user brings.

    There are none of data of the package.
    """
    files = datasets()[config.dataset.name].files
    if files is None:
        return []
    found: Fingerprints = []
    for path in resolve(files)(located(config)):
        if path.is_file():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            found.append({"path": str(path.absolute()), "bytes": len(content), "sha256": digest})
        elif path.is_dir():
            total, size = hashlib.sha256(), 0
            for file in sorted(path.glob("*.txt")):
                content = file.read_bytes()
                size += len(content)
                total.update(f"{file.name} {hashlib.sha256(content).hexdigest()}\n".encode())
            found.append(
                {"path": str(path.absolute()), "bytes": size, "sha256": total.hexdigest()}
            )
    return found


def check_files(config: RunConfig) -> None:
    """Let the dataset say what is wrong with the user's files, before torch is imported.

    Raises:
        DataError: Something is.
    """
    check = datasets()[config.dataset.name].check
    if check is not None:
        resolve(check)(located(config))


def noted(content: Any) -> Fingerprints | None:
    """The fingerprints that a file holds; None where it holds nothing that reads as such."""
    if isinstance(content, list) and all(
        isinstance(each, dict) and isinstance(each.get("sha256"), str) and "path" in each
        for each in content
    ):
        return content
    return None


def same_data(before: Fingerprints | None, now: Fingerprints) -> bool:
    """Whether files have the same content; what was not noted before counts as the same."""
    if before is None:
        return True
    return [each["sha256"] for each in before] == [each["sha256"] for each in now]


def check_same_data(config: RunConfig, folder: Path) -> None:
    """Reject to resume a run whose data have changed since it was started.

    Raises:
        ConfigError: They have, or their files are gone.
    """
    before = noted(read_json(folder / "run_info.json").get("data"))
    now = fingerprints(config)
    if not before or same_data(before, now):
        return
    if len(now) < len(before):
        raise ConfigError(
            f"the data of the run {folder} are missing: it read {file_names(before)}; put them "
            "back, or say where they are now with dataset.path=<file> or dataset.root=<folder>"
        )
    raise ConfigError(
        f"the data of the run {folder} have changed: {file_names(now)} is not what it read when "
        f"it was started, {file_names(before)}; put that back, or start a new run elsewhere"
    )


def file_names(files: Fingerprints) -> str:
    """Files with the start of their SHA-256, for a message."""
    shown = [f"{each['path']} (sha256 {each['sha256'][:8]})" for each in files[:3]]
    return ", ".join([*shown, *(["..."] if len(files) > 3 else [])]) or "no file"
