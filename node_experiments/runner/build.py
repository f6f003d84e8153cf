"""Construction of what a configuration names: data, model, task and so on, from the chapters.

A configuration never names code to import: only what the chapters declare can be built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..chapters import check_fit, datasets, models, optimizers, schedulers, task_of
from ..chapters.chapter import call, resolve
from ..config import ConfigError, RunConfig, known
from ..config.run import OptimizerConfig, SchedulerConfig
from ..ode import Gradient, Solver, solve
from ..training.loop import Callback
from ..training.optimizers import make_optimizer, make_scheduler
from ..training.task import Task
from .build_solves import build_gradient, build_solver, compile_solves, regularize
from .data_files import resolved_dataset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "build_callbacks",
    "build_data",
    "build_figures",
    "build_gradient",
    "build_model",
    "build_optimizer",
    "build_scheduler",
    "build_solver",
    "build_task",
    "check_choices",
    "settings_read",
]


def build_data(
    config: RunConfig,
    device: torch.device,
    learned: dict[str, Any] | None = None,
    with_files: bool = True,
) -> Any:
    """Build the dataset with its batches on `device`.

    Args:
        learned: Facts about the training data in a checkpoint, such as names and scales; None
            in training, where they are learned, and for data from which nothing is learned.
        with_files: Read the data files; if false, `learned` replaces them for datasets that
            support it.
    """
    dataset, settings = datasets()[config.dataset.name], resolved_dataset(config)
    if learned is None:
        return call(dataset.build, settings=settings, seed=config.seed, device=device)
    if not with_files and dataset.learned is not None:
        return call(dataset.learned, settings=settings, learned=learned)
    return call(dataset.build, settings=settings, seed=config.seed, device=device, learned=learned)


def build_model(config: RunConfig, data: Any, device: torch.device) -> nn.Module:
    """Build the model on `device`, regularised and compiled as the configuration says.

    Raises:
        ConfigError: The model does not fit the dataset or the solver, or cannot be compiled.
    """
    check_fit(config.model.name, config.dataset.name)
    solver, gradient = build_solver(config.solver), build_gradient(config.gradient)
    build = models()[config.model.name].build
    built = call(build, settings=config.model, data=data, solver=solver, gradient=gradient)
    model: nn.Module = built.to(device)
    regularize(config, model)
    if config.trainer.compile:
        compile_solves(config, model, device)
    return model


def build_task(config: RunConfig, data: Any) -> Task:
    """Build the task, which says what is optimised and measured."""
    task = task_of(config.model.name, config.dataset.name)
    built: Task = call(task.build, settings=config.model, data=data)
    return built


def build_figures(config: RunConfig) -> Callable[[Any], dict[str, Figure]]:
    """Return a function from the trainer to the figures drawn at evaluations, by name."""
    task = task_of(config.model.name, config.dataset.name)
    names = (task.figures, datasets()[config.dataset.name].figures)
    draw = [resolve(name) for name in names if name is not None]

    def figures(trainer: Any) -> dict[str, Figure]:
        return {name: figure for each in draw for name, figure in each(trainer).items()}

    return figures


def build_callbacks(config: RunConfig, folder: Path) -> list[Callback]:
    """Build the task's callbacks, which store results of the model in the run folder."""
    name = task_of(config.model.name, config.dataset.name).callbacks
    return [] if name is None else call(name, folder=folder)


def settings_read() -> dict[str, dict[str, tuple[str, ...]]]:
    """The settings that each optimiser and each schedule reads, by group and name."""
    added_optimizers = {name: each.used_settings for name, each in optimizers().items()}
    added_schedulers = {name: each.used_settings for name, each in schedulers().items()}
    return {
        "optimizer": {**OptimizerConfig.SETTINGS, **added_optimizers},
        "scheduler": {**SchedulerConfig.SETTINGS, **added_schedulers},
    }


def check_optimizers(config: RunConfig) -> None:
    """Check the names of optimiser and schedule.

    Raises:
        ConfigError: One is unknown.
    """
    for group, names in settings_read().items():
        known(getattr(config, group).name, names, group)


def build_optimizer(config: RunConfig, model: nn.Module) -> Optimizer:
    """Build the optimiser of all parameters."""
    check_optimizers(config)
    settings, parameters = config.optimizer, model.parameters()
    if (own := optimizers().get(settings.name)) is None:
        return make_optimizer(parameters, **asdict(settings))
    built: Optimizer = call(own.build, parameters=parameters, settings=settings)
    return built


def build_scheduler(config: RunConfig, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
    """Build the learning-rate schedule over the whole training."""
    check_optimizers(config)
    settings = config.scheduler
    total_steps = config.trainer.epochs * steps_per_epoch
    if (own := schedulers().get(settings.name)) is None:
        return make_scheduler(
            optimizer,
            total_steps=total_steps,
            steps_per_epoch=steps_per_epoch,
            **asdict(settings),
        )
    built: LRScheduler = call(
        own.build,
        optimizer=optimizer,
        settings=settings,
        total_steps=total_steps,
        steps_per_epoch=steps_per_epoch,
    )
    return built


def check_choices(config: RunConfig) -> None:
    """Reject wrong choices as far as they can be recognised without data or a model.

    Raises:
        ConfigError: The model does not fit the dataset, or the solver, gradient method, optimiser
            or schedule is invalid.
    """
    check_fit(config.model.name, config.dataset.name)
    task_of(config.model.name, config.dataset.name)
    solver, gradient = build_solver(config.solver), build_gradient(config.gradient)
    if config.mode == "train":
        check_together(solver, gradient)
    check_optimizers(config)


def check_together(solver: Solver, gradient: Gradient) -> None:
    """Check solver and gradient method together on a one-dimensional ODE.

    A fixed-step solver takes a single step.

    Raises:
        ConfigError: The gradient method cannot differentiate the steps of this solver.
    """
    end = solver.step_size or 1e-3
    one = replace(solver, compile=False, num_steps=solver.num_steps and 1)
    y0 = torch.ones(1, 1, requires_grad=True)
    try:
        solve(lambda t, y: -y, y0, [0.0, end], one, gradient, throw=False)
    except ValueError as error:
        raise ConfigError(str(error)) from error
