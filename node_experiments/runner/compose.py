"""From what Hydra composed to dataclasses, once; nothing below sees a DictConfig."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ..chapters import (
    check_fit,
    datasets,
    find_chapters,
    models,
)
from ..chapters.chapter import (
    Dataset,
    Model,
)
from ..config.checks import (
    ConfigError,
    nearest,
)
from ..config.run import RunConfig

__all__ = ["configs_folder", "schema_of", "to_yaml", "typed_config"]

T = TypeVar("T")

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
    """The folders of configuration groups that chapters from outside bring with them.

    Raises:
        ConfigError: A chapter names one that does not exist.
    """
    found = []
    for chapter in find_chapters():
        if chapter.configs is not None:
            package, _, folder = chapter.configs.partition("/")
            spec = find_spec(package)
            path = Path(str(spec and spec.origin)).parent / folder
            if not path.is_dir():
                raise ConfigError(
                    f"the chapter {chapter.name!r} names the configs {chapter.configs!r}, and "
                    f"there is no folder {path}"
                )
            found.append(path)
    return found


def typed_config(composed: DictConfig, of_checkpoint: bool = False) -> RunConfig:
    """The composed configuration as dataclasses.

    Args:
        of_checkpoint: Its model is that of a checkpoint, and not of the command line.

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
    schemas = {group: schema_of(group, node) for group, node in by_name.items()}
    if config.mode == "train" or of_checkpoint:
        check_fit(by_name["model"]["name"], by_name["dataset"]["name"])
    else:  # the model, with its settings, is that of the checkpoint
        by_name["model"] = {"name": by_name["model"]["name"]}
    for group, node in by_name.items():
        refuse_unknown_keys(node, schemas[group], f"{group}.")
        setattr(config, group, convert(node, schemas[group], group))
    return config


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
    entries = BY_NAME[group]()
    if not isinstance(name, str) or name not in entries:
        raise ConfigError(f"{group}.name={name!r} is unknown{nearest(str(name), entries)}")
    return entries[name].settings


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


def to_yaml(plain: dict[str, Any]) -> str:
    """A resolved configuration as the text of a YAML file."""
    return OmegaConf.to_yaml(OmegaConf.create(plain))
