"""Checks of overrides before anything is composed.

Composition sees values as the schema converts them, and groups as Hydra finds them; these checks
see them as they were typed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from hydra.core.override_parser.types import ChoiceSweep, Glob, Override, QuotedString, RangeSweep
from omegaconf import BooleanNode, FloatNode, IntegerNode, StringNode, ValidationError

from ..config import ConfigError, folder_name, nearest, shorten
from ..runner.compose import check_size
from .settings import holds_texts, listing, setting_types, unknown_setting

__all__ = ["check_overrides", "check_settings_of", "check_sweep"]

GLOBAL = ("experiment", "sweep", "debug")  # groups whose files may set anything
SEARCHPATH = "hydra.searchpath"
NODES: dict[Any, Callable[[Any], object]] = {
    int: IntegerNode,
    float: FloatNode,
    str: StringNode,
    bool: BooleanNode,
}
WORDS = {int: "an integer", float: "a number", str: "text", bool: "true or false"}
TRUTH = {"true", "false", "yes", "no", "on", "off", "y", "n", "0", "1"}


def check_overrides(
    overrides: Iterable[Override],
    groups: Mapping[str, Collection[str]],
    folders: Sequence[Path],
    multirun: bool,
) -> None:
    """Check keys, choices, and values against the types of their settings.

    Args:
        groups: The choices of each group.
        folders: The folders of configurations, the user's first.
        multirun: Each override may hold several values.

    Raises:
        ConfigError: An override is wrong; the message is about the first one that is.
    """
    given = list(overrides)
    optional = groups_that_may_be_null(folders)
    elsewhere = any(override.key_or_group == SEARCHPATH for override in given)
    for override in given:
        key = override.key_or_group
        if key.partition(".")[0].partition("/")[0] == "hydra":
            check_hydra(override)
            continue
        if override.is_sweep_override() and not multirun:
            if holds_texts(key):
                typed = str(override.input_line).partition("=")[2]
                raise ConfigError(
                    f"{override.input_line} holds several values; write a list: {key}=[{typed}]"
                )
            raise ConfigError(
                f"{override.input_line} is a sweep over several values: add -m to run one job for "
                "each of them, or put quotes around a value that holds a comma"
            )
        if key == "sweep" and override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line} asks for several sweeps at once: each says what varies; "
                "start them one after the other"
            )
        if override.is_delete() and key in groups and key not in optional:
            raise ConfigError(
                f"{override.input_line} deletes what every run needs; choose another one instead, "
                f"with {key}=<name> (node-run --help lists them); only {', '.join(optional)} may "
                "be deleted"
            )
        if is_empty(override, groups.get(key, ())):
            raise ConfigError(f"{override.input_line} holds no value: the sweep would have no job")
        if key == "name":
            # In a sweep, the names of all its jobs.
            for name in map(str, filter(None, values(override))):
                if "${" not in name:
                    folder_name(name)
        if override.package is not None or override.is_delete():
            continue  # rare, and left to Hydra
        if key in groups:
            for value in values(override):
                check_choice(key, value, None if elsewhere else groups[key], optional)
                check_package(key, str(value), folders)
        elif any(group.startswith(f"{key}/") for group in groups):
            continue  # chooses a group inside a group
        elif not is_setting(key):
            raise ConfigError(unknown_setting(key, [g for g in groups if "/" not in g]))
        elif key in setting_types():
            for value in values(override):
                check_value(key, value)


def values(override: Override) -> Iterator[Any]:
    """Yield the value of an override, or each value of a list of choices."""
    value = override._value
    several = value.list if isinstance(value, ChoiceSweep) else [value]
    for one in several:
        if isinstance(one, QuotedString):
            yield one.text
        elif not override.is_sweep_override() or isinstance(value, ChoiceSweep):
            yield one


def is_empty(override: Override, names: Collection[str]) -> bool:
    """Whether a sweep has no value.

    Args:
        names: Names from which `glob()` chooses.
    """
    value = override._value
    if isinstance(value, RangeSweep):
        return not any(True for _ in value.range())
    return isinstance(value, Glob) and not value.filter(list(names))


def is_setting(key: str) -> bool:
    """Whether a key is a setting, a group of settings, or an item of a list in one."""
    known = setting_types()
    parts = key.split(".")
    inner = any(".".join(parts[:n]) in known for n in range(1, len(parts) + 1))
    return inner or any(name.startswith(f"{key}.") for name in known)


def groups_that_may_be_null(folders: Iterable[Path]) -> list[str]:
    """Groups in which the root configuration chooses nothing, so that null is allowed."""
    files = [folder / "config.yaml" for folder in folders]
    for file in filter(Path.is_file, files):
        defaults = yaml.safe_load(file.read_bytes())["defaults"]
        entries = [entry for entry in defaults if isinstance(entry, dict)]
        return [name for entry in entries for name, choice in entry.items() if choice is None]
    return []


def check_choice(
    group: str, value: Any, names: Collection[str] | None, optional: Collection[str]
) -> None:
    """Check the choice made in a group.

    Args:
        names: The choices of the group; None if there may be others.
        optional: The groups in which nothing need be chosen.

    Raises:
        ConfigError: The choice is not a name, or not one that the group has.
    """
    if value is None and group in optional:
        return
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    if not isinstance(value, str) or not value:
        raise ConfigError(
            f"{group}={text} chooses nothing: choose one of configs/{group}/, as in "
            f"solver=dopri5; only {', '.join(optional)} may be null"
        )
    if names is not None and "${" not in value and value not in names:
        raise ConfigError(
            f"{group}={shorten(value)} is unknown{nearest(value, names, listing=listing(group))}"
        )


def check_package(group: str, name: str, folders: Iterable[Path]) -> None:
    """Check that the file of an experiment or a sweep applies to the whole configuration.

    Raises:
        ConfigError: It lacks the line that tells Hydra so.
    """
    if group not in GLOBAL:
        return
    files = [folder / group / f"{name}.yaml" for folder in folders]
    file = next((file for file in files if file.is_file()), None)
    if file is not None and "@package _global_" not in file.read_text(errors="replace"):
        raise ConfigError(f"{file} needs the first line '# @package _global_' to set other groups")


def check_value(key: str, value: Any) -> None:
    """Check a value against the types of the settings of this name.

    Raises:
        ConfigError: It fits none of them, or is an integer out of range.
    """
    if isinstance(value, str) and "${" in value:
        return
    check_size(key, value)
    hints = setting_types()[key]
    if not any(fits(value, hint) for hint in hints):
        text = "null" if value is None else shorten(str(value))
        kinds = [in_words(hint) for hint in hints]
        may_be_null = any(type(None) in kinds_of(hint) for hint in hints)
        wanted = " or ".join(dict.fromkeys(kinds)) + (", or null" if may_be_null else "")
        example = ""
        if holds_texts(key) and not isinstance(value, list | dict | None):
            example = f"; write {key}=[{text}]"
        if key == "dataset.path" and isinstance(value, list):
            example = f"; several files are named by a pattern, as in '{key}=runs/*.csv'"
        raise ConfigError(f"{key}={text} must be {wanted}{example}")


def fits(value: Any, hint: Any) -> bool:
    """Whether OmegaConf accepts a value for this type; for a boolean, only what reads as one."""
    if hint is Any:  # checked by the code that reads it
        return True
    kinds = kinds_of(hint)
    if value is None:
        return type(None) in kinds
    if (item := item_type(hint)) is not None:
        return isinstance(value, list) and all(fits(one, item) for one in value)
    if isinstance(value, list | dict) or (bool in kinds and str(value).lower() not in TRUTH):
        return False
    try:
        next(NODES[kind] for kind in kinds if kind in NODES)(value)
    except (ValidationError, OverflowError):
        return False
    return True


def in_words(hint: Any) -> str:
    """A type in words, without mention of null."""
    if (item := item_type(hint)) is not None:
        return f"a list, each item {WORDS[item]}"
    return WORDS[kinds_of(hint)[0]]


def kinds_of(hint: Any) -> tuple[Any, ...]:
    """The types of a union; a single type, or a list, alone."""
    return (hint,) if get_origin(hint) is list else get_args(hint) or (hint,)


def item_type(hint: Any) -> Any:
    """The type of the items of a list, which may also be null; None if it is no list."""
    return next((get_args(kind)[0] for kind in kinds_of(hint) if get_origin(kind) is list), None)


def check_settings_of(
    group: str, name: str, settings: type, given: Mapping[str, Override], place: str
) -> None:
    """Reject settings that the checkpoint's dataset or model does not have.

    Raises:
        ConfigError: There is one; the message names the checkpoint, which may not be the one that
            was meant.
    """
    own = {each.name for each in fields(settings)}
    for key in given:
        prefix, _, setting = key.partition(".")
        others = key in setting_types() and setting.partition(".")[0] not in own
        if prefix == group and others:
            raise ConfigError(
                f"{key} is a setting of another {group}: the checkpoint {place} was trained with "
                f"{group}={name}; name another one (node-report list)"
            )


def check_sweep(params: Mapping[Any, Any] | None) -> None:
    """Check the values that the file of a sweep varies.

    Raises:
        ConfigError: A setting that is no list is given one, which is a single value.
    """
    for key, value in (params or {}).items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            hints = setting_types().get(str(key), set())
            if hints and not any(fits(list(value), hint) for hint in hints):
                values = ",".join(map(str, value))
                raise ConfigError(
                    f"hydra.sweeper.params.{key}=[{values}] is one value, a list; for a job with "
                    f"each of its items write {key}: {values}"
                )


def check_hydra(override: Override) -> None:
    """Check settings of Hydra that Hydra does not check itself.

    Raises:
        ConfigError: A number of trials is negative, a directory is empty or ambiguous, or an entry
            of the search path does not exist.
    """
    value = None if override.is_sweep_override() else override.value()
    directory = override.key_or_group in ("hydra.run.dir", "hydra.sweep.dir")
    if directory and override.is_sweep_override():
        raise ConfigError(f"{override.input_line} names several directories; give one")
    if directory and value in ("", None):
        raise ConfigError(f"{override.key_or_group}= is empty; name a directory, or leave it out")
    if override.key_or_group == "hydra.sweeper.n_trials" and isinstance(value, int) and value < 0:
        raise ConfigError(f"hydra.sweeper.n_trials={value} must be at least 0")
    if override.key_or_group == SEARCHPATH and isinstance(value, list):
        for place in value:
            if not exists(str(place)):
                raise ConfigError(
                    f"hydra.searchpath holds {shorten(str(place))}, which does not exist; give "
                    "file://<directory> or pkg://<package>"
                )


def exists(place: str) -> bool:
    """Whether an entry of Hydra's search path is a directory or a package that can be found."""
    scheme, _, name = place.rpartition("://")
    if scheme in ("", "file"):
        return Path(name).is_dir()
    if scheme != "pkg":
        return True  # a scheme of a plugin
    try:
        spec = importlib.util.find_spec(name.partition("/")[0])
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.submodule_search_locations is not None
