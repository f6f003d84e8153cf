"""Checks of a chapter from another package, so that a fault in it leaves out that chapter only."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

from ..config.checks import ConfigError
from ..config.run import OptimizerConfig, SchedulerConfig
from ..errors import first_line
from .chapter import Chapter, Dataset, Mode, Model, Optimizer, Schedule, Task

__all__ = ["check_chapter", "configs_of"]

KINDS: dict[str, type] = {
    "datasets": Dataset, "models": Model, "tasks": Task,
    "tables": str, "figures": str, "modes": Mode,
    "optimizers": Optimizer, "schedulers": Schedule,
}  # fmt: skip


def check_chapter(chapter: Any, others: Iterable[Chapter]) -> None:
    """Check a chapter before its entries are joined with those of others.

    Raises:
        ConfigError: It is no chapter, uses a name of another one for something else, or has an
            entry of a wrong type, settings without defaults, or configs that do not exist.
    """
    if not isinstance(chapter, Chapter):
        raise ConfigError(f"it is not a Chapter but a {type(chapter).__name__}")
    for attribute, kind in KINDS.items():
        for name, entry in getattr(chapter, attribute).items():
            for other in others:
                if name in getattr(other, attribute):
                    raise ConfigError(
                        f"the chapter {other.name!r} has {attribute} named {name!r}, too; rename "
                        "one of them"
                    )
            if not isinstance(entry, kind):
                raise ConfigError(
                    f"{name!r} of its {attribute} is a {type(entry).__name__}, not a "
                    f"{kind.__name__}"
                )
            if isinstance(entry, Dataset | Model):
                check_settings(name, entry)
            if isinstance(entry, Optimizer):
                check_names(name, entry, OptimizerConfig)
            if isinstance(entry, Schedule):
                check_names(name, entry, SchedulerConfig)
    configs_of(chapter)


def check_settings(name: str, entry: Dataset | Model) -> None:
    """Check that the settings of an entry have defaults, from which its choice is made.

    Raises:
        ConfigError: They are no dataclass, or lack a default or a setting that is said to be used.
    """
    if not is_dataclass(entry.settings):
        raise ConfigError(f"the settings of {name!r} are not a dataclass")
    try:
        entry.settings(**{"name": name})
        get_type_hints(entry.settings)
    except Exception as error:
        raise ConfigError(
            f"the settings of {name!r} have no valid defaults: {first_line(error)}"
        ) from error
    check_used(name, getattr(entry, "used_settings", None) or (), entry.settings)


def check_names(
    name: str,
    entry: Optimizer | Schedule,
    settings: type[OptimizerConfig] | type[SchedulerConfig],
) -> None:
    """Check the name of an optimiser or a schedule, and of the settings that it reads.

    Raises:
        ConfigError: This package has one of that name, or there is no such setting.
    """
    if name in settings.SETTINGS:
        raise ConfigError(f"{settings.GROUP}={name} is one of node_experiments; rename yours")
    check_used(name, entry.used_settings, settings)


def check_used(name: str, used: Collection[str], settings: type[Any]) -> None:
    """Check that the settings which an entry is said to use are fields of its dataclass.

    Raises:
        ConfigError: One is not.
    """
    known = [each.name for each in fields(settings)]
    if unknown := [each for each in used if each not in known]:
        raise ConfigError(
            f"the settings of {name!r} have no {unknown[0]!r}, which is to be used; they have "
            f"{', '.join(known)}"
        )


def configs_of(chapter: Chapter) -> Path | None:
    """The folder of configuration groups that a chapter brings with it; None if it has none.

    Raises:
        ConfigError: It names a folder that does not exist.
    """
    if chapter.configs is None:
        return None
    package, _, folder = chapter.configs.partition("/")
    spec = find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        if (path := Path(place) / folder).is_dir():
            return path
    raise ConfigError(
        f"the chapter {chapter.name!r} names the configs {chapter.configs!r}, but there is no "
        "such folder"
    )
