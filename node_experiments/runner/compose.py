"""The one conversion of Hydra's composed DictConfig to dataclasses, which all later code uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from ..chapters import check_fit, datasets, find_chapters, models
from ..chapters.chapter import Dataset, Model
from ..chapters.external import configs_of
from ..config.checks import ConfigError, UnknownSetting, nearest
from ..config.run import RunConfig
from ..errors import UserError, first_line

__all__ = [
    "check_size",
    "configs_folder",
    "describe_omegaconf_error",
    "invalid_groups",
    "key_of",
    "of_epochs",
    "plain_config",
    "schema_of",
    "to_yaml",
    "typed_config",
]

T = TypeVar("T")

# Integers beyond these are mistakes that would exhaust the memory or run forever. The first holds
# for seeds, and for settings in no group that is listed.
LARGEST_INTEGER = 2**31 - 1
LARGEST_IN_GROUP = {"model": 10**6, "dataset": 10**9, "trainer": 10**9, "solver": 10**9}

# The groups whose schema depends on the name that was chosen.
BY_NAME: dict[str, Callable[[], Mapping[str, Dataset | Model]]] = {
    "dataset": datasets,
    "model": models,
}


def configs_folder() -> Path:
    """`configs/` inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def chapter_folders() -> list[Path]:
    """The folders of configuration groups that external chapters bring with them."""
    return [folder for chapter in find_chapters() if (folder := configs_of(chapter)) is not None]


def of_epochs(fraction: float, *, _root_: DictConfig) -> int:
    """A fraction of `trainer.epochs`, for recipes, which write `${of_epochs:0.3}`.

    >>> of_epochs(0.3, _root_=OmegaConf.create({"trainer": {"epochs": 20}}))
    6
    """
    return round(float(fraction) * int(_root_.trainer.epochs))


def typed_config(composed: DictConfig) -> RunConfig:
    """Convert the composed configuration to dataclasses.

    Raises:
        ConfigError: An unknown key, a value of the wrong type, or one out of range.
    """
    reject_unknown_keys(composed, RunConfig)
    try:
        plain = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(describe_omegaconf_error(error)) from error
    assert isinstance(plain, dict)
    return plain_config({str(key): value for key, value in plain.items()})


def plain_config(content: dict[str, Any], of_checkpoint: bool = False) -> RunConfig:
    """Convert plain values, as in a checkpoint or a run folder, to dataclasses.

    Interpolations are not resolved: in a file that came from elsewhere they could read environment
    variables.

    Args:
        of_checkpoint: The model is that of a checkpoint, not of the command line.

    Raises:
        ConfigError: An unknown key, a value of the wrong type, one out of range, or an
            interpolation.
    """
    reject_interpolations(content)
    reject_unknown_keys(content, RunConfig)
    plain = dict(content)
    by_name = {group: plain.pop(group, None) for group in BY_NAME}
    config = convert(plain, RunConfig)
    schemas = {group: schema_of(group, node) for group, node in by_name.items()}
    if config.mode == "train" or of_checkpoint:
        check_fit(by_name["model"]["name"], by_name["dataset"]["name"])
    else:  # the checkpoint determines the model and its settings
        by_name["model"] = {"name": by_name["model"]["name"]}
    for group, node in by_name.items():
        reject_unknown_keys(node, schemas[group], f"{group}.")
        setattr(config, group, convert(node, schemas[group], group))
    return config


def schema_of(group: str, node: Any) -> type:
    """The dataclass of a group whose settings depend on its name.

    Raises:
        ConfigError: The node is not a group of settings, or its name is unknown.
    """
    if not isinstance(node, dict):
        raise ConfigError(
            f"{group}={node!r} must be a group of settings; choose one of configs/{group}/"
        )
    name = node.get("name")
    if not isinstance(name, str):
        raise ConfigError(f"{group}.name={name!r} must be one name; choose one with {group}=...")
    entries = BY_NAME[group]()
    if name not in entries:
        raise ConfigError(f"{group}.name={name!r} is unknown{nearest(name, entries)}")
    return entries[name].settings


def convert(node: dict[Any, Any], schema: type[T], group: str = "") -> T:
    """Convert a node to its dataclass; types are checked here, ranges by the dataclass."""
    kind: type = schema
    check_values(node, kind, f"{group}." if group else "")
    try:
        return cast("T", OmegaConf.to_object(OmegaConf.merge(defaults_of(kind), node)))
    except OmegaConfBaseException as error:
        raise ConfigError(describe_omegaconf_error(error, group)) from error


@cache
def defaults_of(schema: type) -> DictConfig:
    """The defaults of a dataclass as a DictConfig; merging copies it."""
    return cast("DictConfig", OmegaConf.structured(schema))


@cache
def types_of(schema: type) -> dict[str, Any]:
    """The type of each setting of a dataclass."""
    return get_type_hints(schema)


def describe_omegaconf_error(error: OmegaConfBaseException, group: str = "") -> str:
    """The first line of an OmegaConf error, after the key that it is about."""
    cause = error.__context__
    if isinstance(cause, InterpolationResolutionError) and isinstance(
        cause.__context__, UserError
    ):
        return str(cause.__context__)  # raised by one of our resolvers
    key = ".".join(filter(None, [group, key_of(error)]))
    return f"{key}: {first_line(error)}" if key else first_line(error)


def key_of(error: OmegaConfBaseException) -> str:
    """The full name of the setting that an OmegaConf error is about; empty if it names none."""
    key = error.full_key or error.key
    return "" if key is None else str(key)


def check_values(node: Mapping[Any, Any], schema: type, prefix: str = "") -> None:
    """Reject values that OmegaConf would convert silently or that are far out of range.

    Raises:
        ConfigError: A number is given for a boolean, or an integer is too large.
    """
    hints = types_of(schema)
    for key, value in node.items():
        hint = hints.get(str(key))
        if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
            check_values(value, hint, f"{prefix}{key}.")
        elif hint is bool and isinstance(value, int | float) and value not in (0, 1):
            raise ConfigError(f"{prefix}{key}={value} must be true or false")
        check_size(f"{prefix}{key}", value)


def check_size(key: str, value: Any) -> None:
    """Check that the integers of a value are not absurdly large.

    Raises:
        ConfigError: One is larger than its setting may ever be.
    """
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, int) and abs(number) > limit(key):
            raise ConfigError(
                f"{key}={shorten_integer(number)} is out of range: at most {limit(key)}"
            )


def limit(key: str) -> int:
    """The largest integer that a setting may hold, by its group and name."""
    group, _, name = key.rpartition(".")
    if "seed" in name:
        return LARGEST_INTEGER
    return LARGEST_IN_GROUP.get(group, LARGEST_INTEGER)


def shorten_integer(number: int) -> str:
    """An integer as text that fits into a message."""
    size = number.bit_length()
    return str(number) if size <= 128 else f"an integer of {size} bits"


def invalid_groups(content: Mapping[str, Any]) -> list[str]:
    """Names of the groups of settings that are not mappings in the content of a file."""
    groups = [entry.name for entry in fields(RunConfig) if callable(entry.default_factory)]
    given = (name for name in groups if content.get(name) is not None)
    return [name for name in given if not isinstance(content[name], dict)]


def reject_interpolations(content: Any, key: str = "") -> None:
    """Reject text that OmegaConf would resolve.

    Raises:
        ConfigError: There is an interpolation.
    """
    if isinstance(content, Mapping):
        for name, value in content.items():
            reject_interpolations(name, key)
            reject_interpolations(value, f"{key}.{name}" if key else str(name))
    elif isinstance(content, list | tuple):
        for value in content:
            reject_interpolations(value, key)
    elif isinstance(content, str) and "${" in content:
        raise ConfigError(f"{key}={content!r} holds an interpolation, which is not resolved here")


def reject_unknown_keys(node: Mapping[Any, Any], schema: type, prefix: str = "") -> None:
    """Reject keys that are not fields of the node's dataclass, including those added with `+`."""
    known = {f.name: f for f in fields(schema)}
    for key in map(str, node):
        if key not in known:
            name = f"{prefix}{key}"
            raise UnknownSetting(name, f"{name} is not a setting{nearest(key, known, prefix)}")
        inner = known[key].default_factory
        if isinstance(inner, type) and is_dataclass(inner):
            if not isinstance(node[key], Mapping):
                raise ConfigError(
                    f"{prefix}{key}={node[key]!r} must be a group of settings; "
                    f"choose one of configs/{key}/, or set {key}.<setting>"
                )
            reject_unknown_keys(node[key], inner, f"{prefix}{key}.")


def to_yaml(plain: dict[str, Any]) -> str:
    """A resolved configuration as the text of a YAML file."""
    return OmegaConf.to_yaml(OmegaConf.create(plain))
