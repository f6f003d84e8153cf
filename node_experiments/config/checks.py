"""Checks that reject a configuration in one line, which says what is allowed."""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..errors import UserError

__all__ = [
    "ConfigError",
    "UnknownSetting",
    "alternatives",
    "at_least",
    "check_augment",
    "check_length",
    "enumerated",
    "first_names",
    "folder_name",
    "known",
    "nearest",
    "not_negative",
    "positive",
    "require",
    "shorten",
]


class ConfigError(UserError):
    """A configuration that cannot be run; the message is one line for the user."""


class UnknownSetting(ConfigError):
    """A name that is not that of a setting.

    Attributes:
        key: The dotted name.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


# Represents values in messages of one line.
SHORT_REPR = reprlib.Repr()
SHORT_REPR.maxstring = SHORT_REPR.maxother = 80

LONGEST_NAME, LONGEST_PATH = 255, 3500  # bytes; leaves room for the files of a run
MOST_LISTED = 15  # names in a message; a command lists them if there are more
SHOWN = 5  # names of columns or series in a message


def nearest(
    name: str, allowed: Iterable[str], prefix: str = "", listing: str = "node-run --help"
) -> str:
    """The end of a message: the most similar allowed names, and all names if they are few.

    Args:
        prefix: Text before each of the similar names.
        listing: The command that lists all names if they are many.

    >>> nearest("smke", ["paper", "quick", "smoke"])
    '; did you mean smoke? (allowed: paper, quick, smoke)'
    >>> nearest("ode_rn", [f"ode_rnn_{n}" for n in range(20)])
    '; did you mean ode_rnn_9, ode_rnn_8 or ode_rnn_7? (node-run --help lists them)'
    """
    names = list(allowed)
    near = [prefix + each for each in similar_names(name, names)]
    hint = f"; did you mean {alternatives(near)}?" if near else ""
    return f"{hint} ({enumerated(names, listing)})"


def alternatives(words: Sequence[str]) -> str:
    """Words joined as alternatives: `a, b or c`."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def similar_names(name: str, names: Sequence[str], count: int = 3) -> list[str]:
    """Names spelled similarly to this one, then names that contain it."""
    near = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    # Too many names contain a given two letters.
    parts = [each for each in names if len(name) > 2 and name.lower() in each.lower()]
    return list(dict.fromkeys([*near, *parts]))[:count]


def enumerated(names: Sequence[str], listing: str) -> str:
    """All allowed names, or the command that lists them if they are many."""
    if len(names) > MOST_LISTED:
        return f"{listing} lists them"
    return f"allowed: {', '.join(names)}"


def first_names(names: Sequence[str]) -> str:
    """The first names, and the number of the others.

    >>> first_names("abcdefg")
    'a, b, c, d, e and 2 others'
    """
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} others"


def shorten(text: str, length: int = 80) -> str:
    """Text cut to a length that fits into a message.

    >>> shorten("abcdef", 3)
    'abc...'
    """
    return text if len(text) <= length else f"{text[:length]}..."


def known(name: str, registry: Collection[str], group: str) -> None:
    """Reject a name that the registry does not have.

    Raises:
        ConfigError: The name is unknown; the message suggests similar ones.
    """
    if name not in registry:
        raise ConfigError(f"{group}.name={name!r} is unknown{nearest(name, registry)}")


def folder_name(name: str) -> str:
    """Check and return the name of a run, which is also that of a folder inside `outputs`.

    Raises:
        ConfigError: It is not the name of a single folder.
    """
    odd = "/" in name or "\\" in name or not name.isprintable()
    if not name.strip() or name in (".", "..") or odd:
        raise ConfigError(
            f"name={name!r} must be the name of one folder, printable and without / and \\; "
            "outputs=<folder> says where that folder lies"
        )
    check_length("name", name)
    return name


def check_length(key: str, path: str) -> None:
    """Reject a path that is too long for file systems, before any part of it is created.

    Raises:
        ConfigError: The path, or a name in it, is too long.
    """
    size = len(path.encode(errors="replace"))
    longest = max(len(part.encode(errors="replace")) for part in path.split("/"))
    if longest > LONGEST_NAME or size > LONGEST_PATH:
        raise ConfigError(
            f"{key}={SHORT_REPR.repr(path)} is too long: at most {LONGEST_NAME} bytes per name, "
            f"and {LONGEST_PATH} in all"
        )


def require(ok: bool, config: Any, name: str, allowed: str) -> None:
    """Reject a value out of range.

    Raises:
        ConfigError: `ok` is false.
    """
    if not ok:
        found = SHORT_REPR.repr(getattr(config, name))
        raise ConfigError(f"{config.GROUP}.{name}={found} must be {allowed}")


def at_least(config: Any, least: int, *names: str) -> None:
    """Reject values below the least one; `positive` and `not_negative` likewise."""
    for name in names:
        require(getattr(config, name) >= least, config, name, f"at least {least}")


def positive(config: Any, *names: str) -> None:
    """Reject values that are not finite numbers above 0."""
    for name in names:
        require(0 < getattr(config, name) < math.inf, config, name, "a number > 0")


def not_negative(config: Any, *names: str) -> None:
    """Reject values that are not finite numbers of at least 0."""
    for name in names:
        require(0 <= getattr(config, name) < math.inf, config, name, "a number >= 0")


def check_augment(config: Any) -> None:
    """Reject an unreasonable number of augmented dimensions (Dupont et al. 2019)."""
    require(0 <= config.augment <= 1000, config, "augment", "from 0 to 1000")
