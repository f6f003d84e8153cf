"""How a configuration is rejected: in one line, with what is allowed."""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ..errors import UserError

__all__ = [
    "ConfigError",
    "alternatives",
    "at_least",
    "check_augment",
    "check_length",
    "enumerated",
    "folder_name",
    "known",
    "nearest",
    "not_negative",
    "positive",
    "require",
    "some_of",
]


class ConfigError(UserError):
    """A configuration that cannot be run; the message is one line for the user."""


# A value in a message of one line.
SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 80


LONGEST_NAME, LONGEST_PATH = 255, 3500  # bytes; with room for the files of a run
MOST_LISTED = 15  # names in a message; more are read better elsewhere
SHOWN = 5  # names of columns or series in a message


def nearest(
    name: str, allowed: Iterable[str], prefix: str = "", listing: str = "node-run --help"
) -> str:
    """The end of a message: the nearest allowed names, and all of them if they are few.

    Args:
        prefix: Stands before each of the nearest.
        listing: The command that lists them where they are many.

    >>> nearest("smke", ["paper", "quick", "smoke"])
    '; did you mean smoke? (allowed: paper, quick, smoke)'
    >>> nearest("ode_rn", [f"ode_rnn_{n}" for n in range(20)])
    '; did you mean ode_rnn_9, ode_rnn_8 or ode_rnn_7? (node-run --help lists them)'
    """
    names = list(allowed)
    near = [prefix + each for each in alike(name, names)]
    hint = f"; did you mean {alternatives(near)}?" if near else ""
    return f"{hint} ({enumerated(names, listing)})"


def alternatives(words: Sequence[str]) -> str:
    """Words as a choice: `a, b or c`."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def alike(name: str, names: Sequence[str], count: int = 3) -> list[str]:
    """The names that are spelled nearly like this one, then those that it is a part of."""
    near = difflib.get_close_matches(name, names, n=count, cutoff=0.5)
    # Of two letters there is a place in many names.
    parts = [each for each in names if len(name) > 2 and name.lower() in each.lower()]
    return list(dict.fromkeys([*near, *parts]))[:count]


def enumerated(names: Sequence[str], listing: str) -> str:
    """All allowed names, or where they are listed if they are many."""
    if len(names) > MOST_LISTED:
        return f"{listing} lists them"
    return f"allowed: {', '.join(names)}"


def some_of(names: Sequence[str]) -> str:
    """The first names, and how many others there are.

    >>> some_of("abcdefg")
    'a, b, c, d, e and 2 others'
    """
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} others"


def known(name: str, registry: Collection[str], group: str) -> None:
    """Reject a name that the registry does not have.

    Raises:
        ConfigError: With the nearest names, and all of them.
    """
    if name not in registry:
        raise ConfigError(f"{group}.name={name!r} is unknown{nearest(name, registry)}")


def folder_name(name: str) -> str:
    """The name of a run, which is also that of a folder inside `outputs`.

    Raises:
        ConfigError: It would lie elsewhere.
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
    """Reject a path that no file system has room for, before a part of it is made.

    Raises:
        ConfigError: A name in it is too long, or all of it.
    """
    size = len(path.encode(errors="replace"))
    longest = max(len(part.encode(errors="replace")) for part in path.split("/"))
    if longest > LONGEST_NAME or size > LONGEST_PATH:
        raise ConfigError(
            f"{key}={SHORT.repr(path)} is too long: at most {LONGEST_NAME} bytes a name, and "
            f"{LONGEST_PATH} in all"
        )


def require(ok: bool, config: Any, name: str, allowed: str) -> None:
    """Reject a value out of range.

    Raises:
        ConfigError: `ok` is false.
    """
    if not ok:
        found = SHORT.repr(getattr(config, name))
        raise ConfigError(f"{config.GROUP}.{name}={found} must be {allowed}")


def at_least(config: Any, least: int, *names: str) -> None:
    """Reject values below the least one; `positive` and `not_negative` likewise."""
    for name in names:
        require(getattr(config, name) >= least, config, name, f"at least {least}")


def positive(config: Any, *names: str) -> None:
    """Reject what is no finite number above 0."""
    for name in names:
        require(0 < getattr(config, name) < math.inf, config, name, "a number > 0")


def not_negative(config: Any, *names: str) -> None:
    """Reject what is no finite number from 0 on."""
    for name in names:
        require(0 <= getattr(config, name) < math.inf, config, name, "a number >= 0")


def check_augment(config: Any) -> None:
    """Reject a number of dimensions that no ODE is augmented by (Dupont et al. 2019)."""
    require(0 <= config.augment <= 1000, config, "augment", "from 0 to 1000")
