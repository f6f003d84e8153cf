"""One line for what Hydra, OmegaConf and their plugins raise: by its type, never by its text."""

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
from ..errors import UserError
from ..runner.compose import configs_folder
from .settings import listing, setting_types, unknown_setting

__all__ = ["describe"]

# A part of the name of a plugin, or of its configuration -> the extra that installs it.
EXTRAS = {
    "joblib": "sweep",
    "submitit": "slurm",
    "ray": "ray",
    "optuna": "optuna",
    "tpe": "optuna",
}


def describe(error: BaseException) -> str:
    """One line on an error: what was wrong, what is allowed or near, and what to do."""
    chain = list(causes(error))
    for each in chain:
        if line := of_one(each):
            return line
    first = next((each for each in chain if str(each).strip()), error)
    lines = [line.strip() for line in str(first).splitlines() if line.strip()]
    if isinstance(first, HydraException):
        return " ".join(lines[:2]) or type(error).__name__
    return lines[0] if lines else type(error).__name__


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it. OmegaConf drops `__cause__`; what it handled is still there."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def of_one(error: BaseException) -> str | None:
    """The line for an error that needs no traceback, else None."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return missing_file(error, str(error.missing_cfg_file))
    if isinstance(error, ImportError) and (extra := extra_for(str(error.name or error))):
        return needs(extra)
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}, line {mark.line + 1}, is no YAML: {error.problem}"
    if type(error).__module__.startswith("sqlalchemy"):
        reason = getattr(error, "orig", None) or error
        return f"hydra.sweeper.storage is no database that can be used: {reason}"
    if isinstance(error, OmegaConfBaseException):
        return of_omegaconf(error)
    return None


def missing_file(error: MissingConfigException, file: str) -> str | None:
    """The line for a choice that a group does not have."""
    group, _, name = file.rpartition("/")
    if group.startswith("hydra/") and (extra := extra_for(name)):
        return needs(extra)
    if group.startswith("recipe/"):
        return unknown_recipe(group.removeprefix("recipe/"), name)
    if group and error.options is not None:
        near = nearest(name, sorted(error.options), listing=listing(group))
        return f"{group}={name} is unknown{near}"
    return None


def unknown_recipe(recipe: str, protocol: str) -> str:
    """The line for a folder of recipes that does not exist, or lacks a protocol."""
    recipes = sorted(path.name for path in (configs_folder() / "recipe").iterdir())
    if recipe in recipes:
        return f"protocol={protocol} has no file in configs/recipe/{recipe}/"
    return f"recipe={recipe} is unknown{nearest(recipe, recipes)}"


def extra_for(name: str) -> str | None:
    """The extra that brings what is missing, when a preset of ours names it."""
    return next((extra for part, extra in EXTRAS.items() if part in name.lower()), None)


def needs(extra: str) -> str:
    """The line for a plugin that is not installed."""
    return f'this needs an extra of the package: pip install "node-experiments[{extra}]"'


def of_omegaconf(error: OmegaConfBaseException) -> str | None:
    """The line for a value or a key that does not fit the schema."""
    key = error.full_key or (str(error.key) if error.key is not None else "")
    if isinstance(error, InterpolationResolutionError) and error.__context__ is not None:
        return None  # what the resolver met says more
    if isinstance(error, ConfigAttributeError | ConfigKeyError) and key:
        group = key.partition(".")[0]
        if group == "hydra":
            return f"{key} is not a setting of Hydra; --cfg hydra prints those that there are"
        if key in setting_types():
            return (
                f"{key} is a setting of another {group}; choose that one with {group}=..., or, "
                "where there is a checkpoint=, a run that has it (node-report list)"
            )
        return unknown_setting(key, ())
    first_line = str(error.msg or error).splitlines()[0] if str(error) else type(error).__name__
    return f"{key}: {first_line}" if key else first_line
