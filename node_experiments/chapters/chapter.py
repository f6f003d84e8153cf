"""A chapter of the literature as one object: the names that it defines, and their builders.

Builders are import strings, `package.module:function`, so that a run imports only what it uses.
Settings are dataclasses; the module that declares a chapter does not import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import signature
from typing import Any

from ..errors import UserError

__all__ = [
    "Chapter",
    "Dataset",
    "Mode",
    "Model",
    "Optimizer",
    "Predictor",
    "Schedule",
    "Task",
    "call",
    "resolve",
]


@dataclass(frozen=True)
class Dataset:
    """A dataset that a configuration can name.

    Attributes:
        settings: A dataclass with a field `name`; its defaults are those of the configuration.
        build: `(settings, seed, device) -> data`, where data has `train`, `validation` (or None)
            and `test` batches; `train` is ordered by its attribute `epoch`, as `SeededBatches` is.
        kind: The interface of the data, such as `images` or `points`; models list the kinds that
            they fit.
        recipe: The folder of `configs/recipe/` with the recipes for training on it.
        figures: `(trainer) -> {name: figure}`, drawn in addition to those of the task.
        files: `(settings) -> [path]`: the user's files that it reads, whose content identifies a
            run as its configuration does; None for data that the package makes or checks.
        check: `(settings)`, a quick validation of those files that does not import torch.
        learned: `(settings, learned) -> data`: the data that a model is built from, recovered from
            what a checkpoint keeps of its training data; the files need not exist.
        samples: Sample files that ship with the package: name -> `package/folder/file`;
            `--sample` prints the first.
    """

    settings: type[Any]
    build: str
    kind: str
    recipe: str = "plain"
    figures: str | None = None
    files: str | None = None
    check: str | None = None
    learned: str | None = None
    samples: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A model that a configuration can name.

    Attributes:
        settings: A dataclass with a field `name`; its defaults are those of the configuration.
        build: `(settings, data, solver, gradient) -> module`.
        tasks: For each kind of dataset that the model fits, the name of its task, or the import
            string of the builder of a task that needs nothing else.
        used_settings: The settings that this model reads, if several models share the dataclass;
            all if None.
        recipe: The folder of `configs/recipe/` to use instead of the dataset's.
    """

    settings: type[Any]
    build: str
    tasks: Mapping[str, str]
    used_settings: tuple[str, ...] | None = None
    recipe: str | None = None


@dataclass(frozen=True)
class Predictor:
    """Predictions by the models of a task, for `mode=predict` and `load(run).predict`.

    Attributes:
        run: `(trained, prediction.Request) -> prediction.Prediction`.
        used_settings: The `predict` settings that apply to this task, besides `out`.
    """

    run: str
    used_settings: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """The objective and metrics of a model, with its figures, callbacks and predictor.

    Attributes:
        build: `(settings of the model, data) -> training.task.Task`.
        figures: `(trainer) -> {name: figure}`, drawn at every evaluation; none if None.
        callbacks: `(run folder) -> [callback]`, which write additional files of a training run.
        predictor: None if there is nothing to predict.
    """

    build: str
    figures: str | None = None
    callbacks: str | None = None
    predictor: Predictor | None = None


@dataclass(frozen=True)
class Optimizer:
    """An optimiser that a configuration can name, in addition to those of torch.

    Attributes:
        build: `(parameters, settings) -> torch.optim.Optimizer`, settings an `OptimizerConfig`.
        used_settings: The fields of `OptimizerConfig` that it reads.
    """

    build: str
    used_settings: tuple[str, ...] = ("lr",)


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule that a configuration can name, likewise.

    Attributes:
        build: `(optimizer, settings, total_steps, steps_per_epoch) -> LRScheduler` of torch, which
            is stepped once per training step; settings are a `SchedulerConfig`.
        used_settings: The fields of `SchedulerConfig` that it reads.
    """

    build: str
    used_settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mode:
    """A value of `mode=` besides training and evaluation, which does something with a checkpoint.

    Attributes:
        check: `(configuration, device)`, which raises ConfigError before anything is written.
        run: `(trained, configuration, run folder, device)`, where `trained` has the `model`,
            its `data`, and its `origin`, the run that trained it.
    """

    check: str
    run: str


@dataclass(frozen=True)
class Chapter:
    """The datasets, models, tasks, reports and modes that a chapter adds to the command line.

    Attributes:
        name: Name of the chapter in messages.
        datasets, models, tasks: Entries by the name that a configuration gives them.
        figures: Figures of reports: name -> `(runs, title) -> figure`, runs as a DataFrame.
        tables: Tables of reports: name -> `(runs) -> reports.table.ReportTable`.
        modes: Likewise; see `config.run.MODES`.
        optimizers, schedulers: Entries by the name that `optimizer=` and `scheduler=` give them.
        configs: A folder of configuration groups in a package, such as `their_package/configs`,
            which is added to Hydra's search path; None if the chapter has none.
    """

    name: str
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, Mode] = field(default_factory=dict)
    optimizers: Mapping[str, Optimizer] = field(default_factory=dict)
    schedulers: Mapping[str, Schedule] = field(default_factory=dict)
    configs: str | None = None


def resolve(name: str) -> Any:
    """Return the object that an import string names.

    Args:
        name: `package.module:attribute`, or `package.module:dictionary:key`.

    Raises:
        UserError: It is no import string, or the module has no such attribute.
    """
    module, _, path = name.partition(":")
    if not path:
        raise UserError(f"{name!r} in a chapter is no import string: write package.module:name")
    attribute, *keys = path.split(":")
    imported = import_module(module)
    if not hasattr(imported, attribute):
        raise UserError(f"{name!r} in a chapter names nothing: {module} has no {attribute!r}")
    found = getattr(imported, attribute)
    for key in keys:
        found = found[key]
    return found


def call(name: str, **arguments: Any) -> Any:
    """Call the function that an import string names, and return its result.

    Args:
        arguments: Passed by position; their names are for the error message.

    Raises:
        UserError: The function takes other arguments.
    """
    function = resolve(name)
    try:
        signature(function).bind(*arguments.values())
    except TypeError as error:
        raise UserError(
            f"{name} is called with ({', '.join(arguments)}), but takes other arguments "
            f"({error}); see the classes of node_experiments/chapters/chapter.py"
        ) from error
    return function(*arguments.values())
