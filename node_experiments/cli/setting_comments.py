"""What the comment behind each setting says of it, in the source of its dataclass."""

from __future__ import annotations

import inspect
import io
import tokenize
from collections.abc import Mapping
from dataclasses import is_dataclass
from math import inf
from typing import Any, get_type_hints

import yaml

from ..config import RunConfig
from ..runner.compose import BY_NAME, schema_of

__all__ = ["comments", "explained"]

SOURCES = ("paper", "choice", "official_code")  # of a value; what the setting is was said before


def comments(schema: type) -> dict[str, str]:
    """The comments behind the fields of a dataclass and of those that it inherits from, by field.

    >>> from node_experiments.config.run import TrainerConfig
    >>> comments(TrainerConfig)["epochs"]
    'passes over the training data'
    """
    found: dict[str, str] = {}
    for each in reversed(schema.__mro__):
        if not is_dataclass(each):
            continue
        for name, text in comments_in(inspect.getsource(each)).items():
            before = found.get(name, "")
            meaning = before.partition(": ")[2] if before.startswith(SOURCES) else before
            adds = meaning and text.startswith(SOURCES) and meaning not in text
            found[name] = f"{before} ({text})" if adds else text
    return found


def comments_in(source: str) -> dict[str, str]:
    r"""The comments behind the annotated names of a class, by name.

    >>> comments_in("class A:\n    b: str = '#'  # a sign\n    c: int = 0\n")
    {'b': 'a sign'}
    """
    found: dict[str, str] = {}
    words: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE:
            words = []
        elif token.type != tokenize.COMMENT:
            words += token.string.split()
        elif words[1:2] == [":"]:
            found[words[0]] = token.string.lstrip("# ")
    return found


def explained(settings: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Every setting as a command line sets it, and what is said of it, by groups.

    Args:
        settings: A configuration whose dataset and model have names.
    """
    schemas: dict[str, type] = {"": RunConfig, **get_type_hints(RunConfig)}
    schemas |= {group: schema_of(group, settings[group]) for group in BY_NAME}
    found = {}
    for group, schema in schemas.items():
        if not is_dataclass(schema):
            continue
        said, prefix = comments(schema), f"{group}." if group else ""
        values = settings[group] if group else settings
        found[group] = [
            (f"{prefix}{name}={written(value)}", said.get(name, ""))
            for name, value in values.items()
            if name in schema.__dataclass_fields__ and (group or not isinstance(value, dict))
        ]
    return found


def written(value: Any) -> str:
    """A value in one line, as YAML has it.

    >>> written(["a", None, 1.5])
    '[a, null, 1.5]'
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=inf)
    return text.strip().removesuffix("...").strip()
