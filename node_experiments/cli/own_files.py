"""The file of a user's own configurations that a fault is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ..config import ConfigError

__all__ = ["file_that_sets", "naming_own_file"]

PACKAGE = "@package _global_"


@contextmanager
def naming_own_file(folders: Iterable[Path], overrides: Iterable[str]) -> Iterator[None]:
    """Name the file that sets an unknown setting, where the command line does not.

    Raises:
        ConfigError: What was raised inside, with the name of the file.
    """
    try:
        yield
    except Exception as error:
        from .hydra_errors import describe_error, unknown_key

        given = dict(word.lstrip("+~").partition("=")[::2] for word in overrides)
        key = unknown_key(error)
        if key is None or key in given or (file := file_that_sets(key, folders, given)) is None:
            raise
        raise ConfigError(f"{file}: {describe_error(error)}") from error


def file_that_sets(key: str, folders: Iterable[Path], chosen: Mapping[str, str]) -> Path | None:
    """The file, of the configurations that were chosen, which sets a key; None if none does.

    Args:
        key: Dotted name of a setting, or of what was meant to be one.
        folders: Folders of configurations, each of which holds a folder per group.
        chosen: The choice in each group that was made on the command line.
    """
    for folder in folders:
        for group, choice in chosen.items():
            file = folder / group / f"{choice}.yaml"
            if key in keys_of(file, group):
                return file
    return None


def keys_of(file: Path, group: str) -> set[str]:
    """The dotted names that a file sets; none if it cannot be read."""
    try:
        text = file.read_text()
        content = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError):
        return set()
    prefix = "" if PACKAGE in text else f"{group}."
    return set(dotted(content, prefix)) if isinstance(content, dict) else set()


def dotted(content: Mapping[Any, Any], prefix: str) -> Iterator[str]:
    """Yield the names of settings and of groups of them."""
    for name, value in content.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from dotted(value, f"{prefix}{name}.")
