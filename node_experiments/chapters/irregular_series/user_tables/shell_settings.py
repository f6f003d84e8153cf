"""Settings of the dataset as a message proposes them: written so that a shell can take them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

__all__ = ["setting", "setting_of_list"]

# Words that Hydra reads as they are; it reads others as numbers, or not at all without quotes.
PLAIN = r"[A-Za-z0-9_./%+: -]+"
NO_TEXT = r"(?i:null|true|false|nan|inf|[+-]?[\d.]+(e[+-]?\d+)?)|.*:.*"
TAKEN_IN_QUOTES = r"[^\"$`\\!]*"  # by a shell, in double quotes


def setting(name: str, value: str) -> str:
    r"""A setting that is one word, quoted for Hydra and for a shell.

    >>> print(setting("time_column", "time of day"), setting("time_column", "Zeit (h)"))
    dataset.time_column='time of day' "dataset.time_column='Zeit (h)'"
    >>> print(setting("series_column", "'id'"))
    "dataset.series_column='\'id\''"
    """
    if re.fullmatch(PLAIN, value) and value == value.strip() and not re.fullmatch(NO_TEXT, value):
        return f"dataset.{name}={shlex.quote(value)}"
    written = f"dataset.{name}={in_quotes(value)}"
    return f'"{written}"' if re.fullmatch(TAKEN_IN_QUOTES, value) else shlex.quote(written)


def setting_of_list(name: str, items: Sequence[str]) -> str:
    """A setting that is a list.

    >>> setting_of_list("missing", ["n.d.", "not done"])
    "'dataset.missing=[n.d.,not done]'"
    """
    shown = [item if re.fullmatch(PLAIN, item) else in_quotes(item) for item in items]
    return shlex.quote(f"dataset.{name}=[{','.join(shown)}]")


def in_quotes(text: str) -> str:
    """Text in single quotes of Hydra, in which backslashes before a quote are doubled."""
    return "'" + re.sub(r"(\\*)('|$)", lambda m: 2 * m[1] + ("\\'" if m[2] else ""), text) + "'"
