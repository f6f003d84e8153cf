"""A chapter of the literature as one object: its names, and what builds the thing each one names.

Builders are import strings, `package.module:function`, so that a run imports what it uses and
nothing else. Settings are dataclasses; the module that declares a chapter imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import signature
from typing import Any

from ..errors import UserError

__all__ = ["Chapter", "Dataset", "Mode", "Model", "Predictor", "Task", "call", "resolve"]


@dataclass(frozen=True)
class Dataset:
    """A dataset that a configuration can name.

    Attributes:
        settings: A dataclass with a field `name`; its defaults are those of the configuration.
        build: `(settings, seed, device) -> data`, where data has `train`, `validation` (or None)
            and `test` batches; those of `train` follow an attribute `epoch`, as `SeededBatches`.
        kind: The interface of the data, by which models say what they fit: `images`, `points` etc.
        recipe: The folder of `configs/recipe/` by which models are trained on it.
        figures: `(trainer) -> {name: figure}`, drawn beside those of the task.
        files: `(settings) -> [path]`: the user's files that are read, whose content is that of a
            run as much as its configuration; none for data that the package makes or checks.
        check: `(settings)`, which rejects those files in little time: it imports no torch.
        learned: `(settings, learned) -> data`: what a model is built from, by what a checkpoint
            keeps of its training data, where the files need not be there.
        samples: Files that ship with the package: name -> `package/folder/file`; the first is
            printed by `--sample`.
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
            string of what builds a task that has nothing else.
        reads: The settings that this model reads, of a dataclass that several share; all if None.
        recipe: The folder of `configs/recipe/` in place of the dataset's.
    """

    settings: type[Any]
    build: str
    tasks: Mapping[str, str]
    reads: tuple[str, ...] | None = None
    recipe: str | None = None


@dataclass(frozen=True)
class Predictor:
    """What `mode=predict` and `load(run).predict` do with the models of a task.

    Attributes:
        run: `(trained, prediction.Request) -> prediction.Prediction`.
        reads: The settings of `predict` that mean something for this task, beside `out`.
    """

    run: str
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """What is optimised and measured.

    Attributes:
        build: `(settings of the model, data) -> training.task.Task`.
        figures: `(trainer) -> {name: figure}`, drawn at every evaluation; none if None.
        callbacks: `(run directory) -> [callback]`, which write further files of a training run.
        predictor: None where there is nothing to predict.
    """

    build: str
    figures: str | None = None
    callbacks: str | None = None
    predictor: Predictor | None = None


@dataclass(frozen=True)
class Mode:
    """What else than training and evaluation `mode=` can do with a checkpoint.

    Attributes:
        check: `(configuration, device)`, which raises ConfigError before anything is written.
        run: `(trained, configuration, run directory, device)`, where `trained` has the `model`,
            its `data`, and the `origin`: the run that trained it.
    """

    check: str
    run: str


@dataclass(frozen=True)
class Chapter:
    """What a chapter adds to the command line.

    Attributes:
        name: Of the chapter, in messages.
        datasets, models, tasks: By the name that a configuration gives them.
        figures: Figures of reports: name -> `(runs, title) -> figure`, runs as a DataFrame.
        tables: Tables of reports: name -> `(runs) -> reports.table.ReportTable`.
        modes: By the name that a configuration gives them; see `config.run.MODES`.
        configs: A folder of configuration groups in a package, such as `their_package/configs`,
            that is added to Hydra's search path; None for chapters without.
    """

    name: str
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, str] = field(default_factory=dict)
    modes: Mapping[str, Mode] = field(default_factory=dict)
    configs: str | None = None


def resolve(name: str) -> Any:
    """The object that an import string names.

    Args:
        name: `package.module:attribute`, or `package.module:dictionary:key`.
    """
    module, attribute, *keys = name.split(":")
    found = getattr(import_module(module), attribute)
    for key in keys:
        found = found[key]
    return found


def call(name: str, **arguments: Any) -> Any:
    """What the function that an import string names returns.

    Args:
        arguments: Given by their places; their names are for the message.

    Raises:
        UserError: It takes other arguments.
    """
    function = resolve(name)
    try:
        signature(function).bind(*arguments.values())
    except TypeError as error:
        raise UserError(
            f"{name} is called with ({', '.join(arguments)}), and takes others ({error}); see "
            "the classes of node_experiments/chapters/chapter.py"
        ) from error
    return function(*arguments.values())
