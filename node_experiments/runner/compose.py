"""From what Hydra composed to dataclasses, once; nothing below sees a DictConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..config.checks import (
    ConfigError,
    nearest,
)
from ..config.datasets import DATASETS
from ..config.models import MODELS
from ..config.run import RunConfig

__all__ = ["command_line_config", "configs_folder", "schema_of", "to_yaml", "typed_config"]

T = TypeVar("T")

# The groups whose schema depends on the name that was chosen.
BY_NAME: dict[str, dict[str, type]] = {"dataset": dict(DATASETS), "model": dict(MODELS)}


def configs_folder() -> Path:
    """`configs/` inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def typed_config(composed: DictConfig) -> RunConfig:
    """The composed configuration as dataclasses.

    Raises:
        ConfigError: An unknown key, a value of the wrong type, or one out of range.
    """
    refuse_unknown_keys(composed, RunConfig)
    try:
        plain = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(describe(error)) from error
    assert isinstance(plain, dict)
    by_name = {group: plain.pop(group) for group in BY_NAME}
    config = convert(plain, RunConfig)
    refuse_foreign_keys(by_name)
    for group, node in by_name.items():
        schema = schema_of(group, node)
        refuse_unknown_keys(node, schema, f"{group}.")
        setattr(config, group, convert(node, schema, group))
    return config


def command_line_config(composed: DictConfig) -> RunConfig:
    """The configuration of a command line as dataclasses.

    Where the model is that of a checkpoint, the one that was composed is a default, which need not
    fit a dataset that was chosen; what the recipe sets of it is left out.

    Raises:
        ConfigError: As `typed_config`.
    """
    if composed.get("mode") != "train" and isinstance(composed.get("model"), DictConfig):
        composed = composed.copy()
        composed.model = {"name": composed.model.get("name")}
    return typed_config(composed)


def schema_of(group: str, node: Any) -> type:
    """The dataclass of a group whose settings depend on its name.

    Raises:
        ConfigError: The node is no group of settings, or its name is unknown.
    """
    if not isinstance(node, dict):
        raise ConfigError(
            f"{group}={node!r} must be a group of settings; choose one of configs/{group}/"
        )
    name = node.get("name")
    if name not in BY_NAME[group]:
        raise ConfigError(f"{group}.name={name!r} is unknown{nearest(str(name), BY_NAME[group])}")
    return BY_NAME[group][name]


def convert(node: dict[Any, Any], schema: type[T], group: str = "") -> T:
    """A node as its dataclass; types are checked here, ranges by the dataclass itself."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), node)
        return cast("T", OmegaConf.to_object(merged))
    except OmegaConfBaseException as error:
        raise ConfigError(describe(error, group)) from error


def describe(error: OmegaConfBaseException, group: str = "") -> str:
    """The first line of an OmegaConf error, with the key it is about in front."""
    first_line = str(error).splitlines()[0]
    key = ".".join(filter(None, [group, error.full_key]))
    return f"{key}: {first_line}" if key else first_line


def refuse_unknown_keys(node: Mapping[Any, Any], schema: type, prefix: str = "") -> None:
    """Compare the keys of a node with the fields of its dataclass, also those added with `+`."""
    known = {f.name: f for f in fields(schema)}
    for key in map(str, node):
        if key not in known:
            raise ConfigError(f"{prefix}{key} is not a setting{nearest(key, known, prefix)}")
        inner = known[key].default_factory
        if isinstance(inner, type) and is_dataclass(inner):
            if not isinstance(node[key], Mapping):
                raise ConfigError(
                    f"{prefix}{key}={node[key]!r} must be a group of settings; "
                    f"choose one of configs/{key}/, or set {key}.<setting>"
                )
            refuse_unknown_keys(node[key], inner, f"{prefix}{key}.")


def refuse_foreign_keys(by_name: Mapping[str, Any]) -> None:
    """Refuse a dataset and a model of which one lacks what the recipe of the other sets."""
    chosen = " and ".join(f"{group}.name={node['name']!r}" for group, node in by_name.items())
    for group, schemas in BY_NAME.items():
        own = {f.name for f in fields(schema_of(group, by_name[group]))}
        others = {f.name for schema in schemas.values() for f in fields(schema)}
        for key in by_name[group]:
            if key in others - own:
                raise ConfigError(
                    f"{chosen} do not go together: {group}.{key}, which their recipe sets, is a "
                    f"setting of another {group}; choose {' or '.join(BY_NAME)} to fit the other"
                )


def to_yaml(plain: dict[str, Any]) -> str:
    """A resolved configuration as the text of a YAML file."""
    return OmegaConf.to_yaml(OmegaConf.create(plain))
