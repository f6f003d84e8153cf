"""All that a command line can set: groups with their choices, and settings with their types."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

from ..config import RunConfig, alternatives, enumerated
from ..runner.choices import registered_choices
from ..runner.compose import BY_NAME

__all__ = [
    "choices",
    "holds_texts",
    "listing",
    "nearest_setting",
    "setting_types",
    "unknown_setting",
]

HYDRA_FOLDER = "hydra"  # a folder of Hydra's groups, not of ours
LISTING = "node-run experiment=<name> --help"


def choices(folders: Iterable[Path]) -> dict[str, list[str]]:
    """The choices of each group, from files in these folders and from code, all sorted by name."""
    found = {group: set(names) for group, names in registered_choices().items()}
    for folder in folders:
        for file in folder.rglob("*.yaml"):
            group = file.parent.relative_to(folder).as_posix()
            if group != "." and group.split("/")[0] != HYDRA_FOLDER:
                found.setdefault(group, set()).add(file.stem)
    return {group: sorted(names) for group, names in sorted(found.items())}


@cache
def setting_types() -> dict[str, set[Any]]:
    """The types of every setting, by full name such as `trainer.epochs`.

    A setting of several datasets or models may have a different type in each of them.
    """
    found: dict[str, set[Any]] = {}
    groups: list[tuple[str, Any]] = []
    for name, hint in get_type_hints(RunConfig).items():
        if dataclasses.is_dataclass(hint):
            groups.append((f"{name}.", hint))
        elif name not in BY_NAME:
            found[name] = {hint}
    groups += [
        (f"{group}.", one.settings) for group, named in BY_NAME.items() for one in named().values()
    ]
    for prefix, schema in groups:
        hints = get_type_hints(schema)
        for each in dataclasses.fields(schema):
            found.setdefault(prefix + each.name, set()).add(hints[each.name])
    return found


def holds_texts(key: str) -> bool:
    """Whether a setting is a list of strings, such as column names."""
    found = setting_types().get(key, set())
    return any(list[str] in (hint, *get_args(hint)) for hint in found)


def listing(group: str) -> str:
    """The command that lists the choices of a group."""
    return "node-run --list" if group == "experiment" else "node-run --help"


def nearest_setting(name: str) -> list[str]:
    """At most three settings with names similar to this one, which may lack its group.

    >>> nearest_setting("lr")
    ['optimizer.lr']
    >>> nearest_setting("solver.rtoll")[0]
    'solver.rtol'
    """
    last = name.rpartition(".")[2]
    same = [key for key in setting_types() if key.rpartition(".")[2] == last]
    if same:
        return sorted(same, key=lambda key: not key.startswith("trainer."))[:3]
    if "." in name:
        return difflib.get_close_matches(name, setting_types(), n=3, cutoff=0.7)
    lasts: dict[str, list[str]] = {}
    for key in setting_types():
        lasts.setdefault(key.rpartition(".")[2], []).append(key)
    near = difflib.get_close_matches(name, lasts, n=2, cutoff=0.7)
    return [key for last in near for key in lasts[last]][:3]


def unknown_setting(key: str, groups: Iterable[str]) -> str:
    """The message for a key that is neither a setting nor a group."""
    prefix, _, _ = key.rpartition(".")
    tops = sorted({each.partition(".")[0] for each in setting_types()} | set(groups))
    near = nearest_setting(key)
    if not prefix:
        near = [*difflib.get_close_matches(key, tops, n=1, cutoff=0.7), *near]
    hint = f"; did you mean {alternatives(list(dict.fromkeys(near)))}?" if near else ""
    of_group = [each for each in setting_types() if each.startswith(f"{prefix}.")]
    allowed = sorted(each.rpartition(".")[2] for each in of_group) if of_group else tops
    where = f"in {prefix}: " if of_group else ""
    return f"{key} is not a setting{hint} ({where}{enumerated(allowed, LISTING)})"
