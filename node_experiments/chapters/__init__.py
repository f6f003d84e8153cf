"""Registry of chapters: those of this package and those of other installed packages.

Each is an entry point of the group `node_experiments.chapters`: its name is that of the chapter,
its value the import string of a `Chapter`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ..config.checks import ConfigError, nearest
from ..errors import UserError, first_line
from .chapter import Chapter, Dataset, Mode, Model, Optimizer, Schedule, Task
from .external import check_chapter

__all__ = [
    "check_fit",
    "datasets",
    "find_chapters",
    "models",
    "modes",
    "optimizers",
    "report_figures",
    "schedulers",
    "tables",
    "task_of",
    "tasks",
]

GROUP = "node_experiments.chapters"
BUILT_IN = (
    "toy",
    "image_classification",
    "normalizing_flows",
    "latent_ode",
    "irregular_series",
    "pharmacokinetics",
    "gallery",
)

log = logging.getLogger("node_experiments")


@cache
def find_chapters() -> tuple[Chapter, ...]:
    """All chapters, the built-in ones first; others with a fault are logged and left out."""
    own = [EntryPoint(name, f"{__name__}.{name}.chapter:CHAPTER", GROUP) for name in BUILT_IN]
    chapters: list[Chapter] = [entry.load() for entry in own]
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            check_chapter(chapter := entry.load(), chapters)
        except Exception as error:
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            log.warning("the chapter %s is left out: %s%s", entry.name, kind, first_line(error))
            continue
        chapters.append(chapter)
    return tuple(chapters)


@cache
def datasets() -> Mapping[str, Dataset]:
    """The datasets of all chapters, by name."""
    return merge_entries("datasets")


@cache
def models() -> Mapping[str, Model]:
    """The models of all chapters, by name."""
    return merge_entries("models")


@cache
def tasks() -> Mapping[str, Task]:
    """The tasks of all chapters, by name."""
    return merge_entries("tasks")


def tables() -> Mapping[str, str]:
    """The report tables of all chapters: name -> import string."""
    return merge_entries("tables")


def report_figures() -> Mapping[str, str]:
    """The report figures of all chapters: name -> import string."""
    return merge_entries("figures")


def modes() -> Mapping[str, Mode]:
    """The modes of all chapters, by name."""
    return merge_entries("modes")


def optimizers() -> Mapping[str, Optimizer]:
    """The optimisers that chapters add, by name."""
    return merge_entries("optimizers")


def schedulers() -> Mapping[str, Schedule]:
    """The learning-rate schedules that chapters add, by name."""
    return merge_entries("schedulers")


def merge_entries(attribute: str) -> dict[str, Any]:
    """Merge the mappings that all chapters have under one attribute; no two share a name."""
    return {
        name: entry
        for chapter in find_chapters()
        for name, entry in getattr(chapter, attribute).items()
    }


def check_fit(model: str, dataset: str) -> None:
    """Check that a model fits the kind of a dataset.

    Raises:
        ConfigError: It does not; the message lists what fits the dataset and the model.
    """
    kind, fitting = datasets()[dataset].kind, models()[model].tasks
    if kind in fitting:
        return
    for_dataset = [name for name, entry in models().items() if kind in entry.tasks]
    for_model = [name for name, entry in datasets().items() if entry.kind in fitting]
    near = [name for name in for_dataset if model in name]
    hint = f"; did you mean model={near[0]}?" if near else ""
    raise ConfigError(
        f"model.name={model!r} does not fit dataset.name={dataset!r}{hint} "
        f"(models for {dataset}: {', '.join(for_dataset) or 'none'}; "
        f"datasets for {model}: {', '.join(for_model) or 'none'}); node-run --list {dataset} has "
        "experiments that combine them"
    )


def task_of(model: str, dataset: str) -> Task:
    """Return the task of a model on a dataset that it fits.

    Raises:
        ConfigError: The model names a task that no chapter has.
    """
    name = models()[model].tasks[datasets()[dataset].kind]
    if ":" in name:
        return Task(name)
    if name not in tasks():
        raise ConfigError(
            f"the task {name!r} of model {model!r} is unknown{nearest(name, tasks())}"
        )
    return tasks()[name]
