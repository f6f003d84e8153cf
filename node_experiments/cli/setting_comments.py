"""Descriptions of settings, read from the comments behind the fields of their dataclasses."""

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

__all__ = ["comments", "described_settings"]

FOR_TOOLS = ("fmt:", "noqa", "type:", "pragma:")  # beginnings of comments for tools, not readers


def comments(schema: type) -> dict[str, str]:
    """The comments behind the fields of a dataclass, including inherited ones, by field.

    A class that overrides a field may replace its comment.

    >>> from node_experiments.config.run import TrainerConfig
    >>> comments(TrainerConfig)["epochs"]
    'passes over the training data'
    """
    found: dict[str, str] = {}
    for each in reversed(schema.__mro__):
        if is_dataclass(each):
            found |= comments_in(inspect.getsource(each))
    return found


def comments_in(source: str) -> dict[str, str]:
    r"""The comments behind the annotated names of a class, by name; not those for formatters.

    >>> comments_in("class A:\n    b: str = '#'  # a sign\n    c: int = 0  # fmt: skip\n")
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
            text = token.string.lstrip("# ")
            if not text.startswith(FOR_TOOLS):
                found[words[0]] = text
    return found


def described_settings(settings: Mapping[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Every setting as written on a command line, with its description, by group.

    Args:
        settings: A configuration whose dataset and model have names.
    """
    schemas: dict[str, type] = {"": RunConfig, **get_type_hints(RunConfig)}
    schemas |= {group: schema_of(group, settings[group]) for group in BY_NAME}
    found = {}
    for group, schema in schemas.items():
        if not is_dataclass(schema):
            continue
        descriptions, prefix = comments(schema), f"{group}." if group else ""
        values = settings[group] if group else settings
        found[group] = [
            (f"{prefix}{name}={written(value)}", descriptions.get(name, ""))
            for name, value in values.items()
            if name in schema.__dataclass_fields__ and (group or not isinstance(value, dict))
        ]
    return found


def written(value: Any) -> str:
    """A value as one line of YAML.

    >>> written(["a", None, 1.5])
    '[a, null, 1.5]'
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=inf)
    return text.strip().removesuffix("...").strip()
