"""One-line messages for errors of Hydra, OmegaConf and plugins, chosen by type, never by text."""

from __future__ import annotations

from collections.abc import Iterator

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)
from yaml.error import MarkedYAMLError

from ..config import nearest
from ..config.checks import UnknownSetting
from ..errors import UserError
from ..runner.compose import configs_folder, describe_omegaconf_error, key_of
from .settings import listing, setting_types, unknown_setting

__all__ = ["describe_error", "unknown_key"]

# Part of the name of a plugin or of its configuration -> the extra that installs it.
EXTRAS = {
    "joblib": "sweep",
    "submitit": "slurm",
    "ray": "ray",
    "optuna": "optuna",
    "tpe": "optuna",
}


def describe_error(error: BaseException) -> str:
    """Describe an error in one line: what was wrong, what is allowed or similar, what to do."""
    chain = list(causes(error))
    for each in chain:
        if line := message_for(each):
            return line
    first = next((each for each in chain if str(each).strip()), error)
    lines = [line.strip() for line in str(first).splitlines() if line.strip()]
    if isinstance(first, HydraException):
        return " ".join(lines[:2]) or type(error).__name__
    return lines[0] if lines else type(error).__name__


def unknown_key(error: BaseException) -> str | None:
    """The name that an error says is not a setting; None if it is about something else."""
    for each in causes(error):
        if isinstance(each, UnknownSetting):
            return each.key
        if isinstance(each, ConfigAttributeError | ConfigKeyError):
            return key_of(each) or None
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and its causes. OmegaConf drops `__cause__` but keeps `__context__`."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def message_for(error: BaseException) -> str | None:
    """Message for an error that needs no traceback; None for any other."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return missing_file(error, str(error.missing_cfg_file))
    if isinstance(error, ImportError) and (extra := extra_for(str(error.name or error))):
        return missing_extra(extra)
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}, line {mark.line + 1}, is not valid YAML: {error.problem}"
    if type(error).__module__.startswith("sqlalchemy"):
        reason = getattr(error, "orig", None) or error
        return f"hydra.sweeper.storage is not a usable database: {reason}"
    if isinstance(error, OmegaConfBaseException):
        return omegaconf_message(error)
    return None


def missing_file(error: MissingConfigException, file: str) -> str | None:
    """Message for a choice that a group does not have."""
    group, _, name = file.rpartition("/")
    if group.startswith("hydra/") and (extra := extra_for(name)):
        return missing_extra(extra)
    if group.startswith("recipe/"):
        return unknown_recipe(group.removeprefix("recipe/"), name)
    if group and error.options is not None:
        near = nearest(name, sorted(error.options), listing=listing(group))
        return f"{group}={name} is unknown{near}"
    return None


def unknown_recipe(recipe: str, protocol: str) -> str:
    """Message for a recipe folder that does not exist, or lacks a protocol."""
    recipes = sorted(path.name for path in (configs_folder() / "recipe").iterdir())
    if recipe in recipes:
        return f"protocol={protocol} has no file in configs/recipe/{recipe}/"
    return f"recipe={recipe} is unknown{nearest(recipe, recipes)}"


def extra_for(name: str) -> str | None:
    """The extra that installs a missing plugin, if one of our presets uses it."""
    return next((extra for part, extra in EXTRAS.items() if part in name.lower()), None)


def missing_extra(extra: str) -> str:
    """Message for a plugin that is not installed."""
    return f'this needs an extra of the package: pip install "node-experiments[{extra}]"'


def omegaconf_message(error: OmegaConfBaseException) -> str | None:
    """Message for a value or a key that does not fit the schema."""
    key = key_of(error)
    if isinstance(error, InterpolationResolutionError) and error.__context__ is not None:
        return None  # the resolver's own error says more
    if isinstance(error, ConfigAttributeError | ConfigKeyError) and key:
        group = key.partition(".")[0]
        if group == "hydra":
            return f"{key} is not a setting of Hydra; --cfg hydra prints all of them"
        if key in setting_types():
            return (
                f"{key} is a setting of another {group}; choose that one with {group}=..., or, "
                "with checkpoint=, a run that has it (node-report list)"
            )
        return unknown_setting(key, ())
    return describe_omegaconf_error(error)
