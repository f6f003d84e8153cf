"""How a configuration is rejected: in one line, with what is allowed."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Iterable
from typing import Any

from ..errors import UserError

__all__ = ["ConfigError", "folder_name", "known", "nearest", "require"]


class ConfigError(UserError):
    """A configuration that cannot be run; the message is one line for the user."""


# A value in a message of one line.
SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 80


def nearest(name: str, allowed: Iterable[str], prefix: str = "") -> str:
    """The end of a message: the nearest allowed names, and all of them."""
    names = list(allowed)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(prefix + n for n in near)}?" if near else ""
    return f"{hint} (allowed: {', '.join(names)})"


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
    if not name.strip() or name in (".", "..") or "/" in name or "\\" in name:
        raise ConfigError(
            f"name={name!r} must be the name of one folder, without / and \\; "
            "outputs=<folder> says where that folder lies"
        )
    return name


def require(ok: bool, config: Any, name: str, allowed: str) -> None:
    """Reject a value out of range.

    Raises:
        ConfigError: `ok` is false.
    """
    if not ok:
        found = SHORT.repr(getattr(config, name))
        raise ConfigError(f"{config.GROUP}.{name}={found} must be {allowed}")
