"""From a name in a configuration to the thing it names.

A configuration never names code to import: what can be built is listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from .build_irregular import irregular_model, irregular_task
from .config import ConfigError, GradientConfig, RunConfig, SolverConfig, nearest
from .data.csv_series import csv_data
from .data.cubic_spiral import cubic_spiral_data
from .data.events import poisson_data
from .data.hopper import hopper_data
from .data.human_activity import human_activity_data
from .data.image_datasets import IMAGE_DATASETS, image_data
from .data.japanese_vowels import japanese_vowels_data
from .data.periodic import periodic_data
from .data.physionet2012 import physionet_data
from .data.spirals import spiral_data
from .figures.classification import classification_figures
from .figures.irregular_series import irregular_series_figures
from .figures.poisson import poisson_figures
from .figures.spirals import latent_ode_figures, reconstruction_frame, recurrent_figures
from .figures.trajectory import trajectory_figures, trajectory_frame
from .models.between_observations import GapField
from .models.image_classifiers import mlp, odenet, resnet, revnet, stem_only
from .models.irregular_series import AUTOREGRESSIVE, VARIATIONAL
from .models.latent_ode import LatentODE
from .models.latent_trajectory import LatentTrajectory
from .models.lm_resnet import LMResNet
from .models.ode_block import ODEBlock
from .models.poisson import PoissonLatentODE
from .models.recurrent import RecurrentForecaster
from .models.vector_field import NeuralODE
from .ode import Gradient, Solver
from .ode.gradients import GRADIENTS
from .tasks.base import Task
from .tasks.classification import Classification
from .tasks.forecasting import NextObservation
from .tasks.irregular_series import AutoregressiveSeriesTask, VariationalSeriesTask
from .tasks.latent_ode import LatentODETask
from .tasks.poisson import PoissonTask
from .tasks.trajectory import TrajectoryFit
from .tracking.animation import Animation
from .training.callbacks import Callback
from .training.optimizers import OPTIMIZERS, SCHEDULERS, make_optimizer, make_scheduler

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MODELS",
    "build_animation",
    "build_data",
    "build_figures",
    "build_gradient",
    "build_model",
    "build_optimizer",
    "build_scheduler",
    "build_solver",
    "build_task",
    "check_choices",
]

# Settings of the dataset, seed and device -> batches.
DATASETS: dict[str, Callable[[Any, int, torch.device], Any]] = {
    name: lambda c, seed, device: image_data(**asdict(c), seed=seed, device=device)
    for name in IMAGE_DATASETS
} | {
    "spirals": lambda c, seed, device: spiral_data(**asdict(c), seed=seed, device=device),
    "poisson": lambda c, seed, device: poisson_data(**asdict(c), seed=seed, device=device),
    "cubic_spiral": lambda c, seed, device: cubic_spiral_data(
        **asdict(c), seed=seed, device=device
    ),
    "periodic": lambda c, seed, device: periodic_data(**asdict(c), seed=seed, device=device),
    "hopper": lambda c, seed, device: hopper_data(**asdict(c), seed=seed, device=device),
    "japanese_vowels": lambda c, seed, device: japanese_vowels_data(
        **asdict(c), seed=seed, device=device
    ),
    "physionet2012": lambda c, seed, device: physionet_data(**asdict(c), seed=seed, device=device),
    "human_activity": lambda c, seed, device: human_activity_data(
        **asdict(c), seed=seed, device=device
    ),
    "csv": lambda c, seed, device: csv_data(**asdict(c), seed=seed, device=device),
}

# Settings of the model, data, solver and gradient -> network.
ModelFactory = Callable[[Any, Any, Solver, Gradient], nn.Module]
MODELS: dict[str, ModelFactory] = {
    "odenet": lambda c, data, solver, gradient: odenet(
        data.image_shape, data.classes, solver, gradient, c.stem, c.channels
    ),
    "resnet": lambda c, data, solver, gradient: resnet(
        data.image_shape, data.classes, c.stem, c.channels, c.blocks, c.shared
    ),
    "revnet": lambda c, data, solver, gradient: revnet(
        data.image_shape, data.classes, c.stem, c.channels, c.blocks, c.reconstruct
    ),
    "lm_resnet": lambda c, data, solver, gradient: LMResNet(
        data.image_shape[0], data.classes, c.widths, c.blocks, c.multistep
    ),
    "stem_only": lambda c, data, solver, gradient: stem_only(
        data.image_shape, data.classes, c.stem, c.channels
    ),
    "mlp": lambda c, data, solver, gradient: mlp(data.image_shape, data.classes, c.hidden),
    "latent_ode": lambda c, data, solver, gradient: LatentODE(
        data.dim,
        solver,
        gradient,
        c.latent,
        c.hidden,
        c.layers,
        c.activation,
        c.encoder_hidden,
        c.decoder_hidden,
        c.noise_std,
        data.mean_gap if c.reads_gaps else None,
        c.knots,
    ),
    "rnn": lambda c, data, solver, gradient: RecurrentForecaster(
        data.dim, data.mean_gap, False, c.hidden, c.noise_std, c.rollout
    ),
    "rnn_dt": lambda c, data, solver, gradient: RecurrentForecaster(
        data.dim, data.mean_gap, True, c.hidden, c.noise_std, c.rollout
    ),
    "poisson_latent_ode": lambda c, data, solver, gradient: PoissonLatentODE(
        data.span,
        data.mean_count,
        solver,
        gradient,
        c.latent,
        c.hidden,
        c.layers,
        c.activation,
        c.encoder_hidden,
        c.knots,
    ),
    "neural_ode": lambda c, data, solver, gradient: NeuralODE(
        data.dim, solver, gradient, c.hidden
    ),
} | dict.fromkeys(
    (*AUTOREGRESSIVE, *VARIATIONAL),
    irregular_model,
)


# Settings of the model -> what is optimised.
TASKS: dict[str, Callable[[Any], Task]] = dict.fromkeys(
    ("odenet", "resnet", "revnet", "lm_resnet", "stem_only", "mlp"), lambda c: Classification()
) | {
    "latent_ode": lambda c: LatentODETask(c.samples, c.kl_warmup),
    "rnn": lambda c: NextObservation(),
    "rnn_dt": lambda c: NextObservation(),
    "poisson_latent_ode": lambda c: PoissonTask(c.samples, c.kl_warmup),
    "neural_ode": lambda c: TrajectoryFit(),
}

FIGURES: dict[type, Callable[[Any], dict[str, Figure]]] = {
    Classification: classification_figures,
    LatentODETask: latent_ode_figures,
    NextObservation: recurrent_figures,
    PoissonTask: poisson_figures,
    TrajectoryFit: trajectory_figures,
    AutoregressiveSeriesTask: irregular_series_figures,
    VariationalSeriesTask: irregular_series_figures,
}

# Tasks that are shown as they learn: one frame of an animation from the trainer.
FRAMES: dict[type, Callable[[Any], Figure]] = {
    LatentODETask: reconstruction_frame,
    TrajectoryFit: trajectory_frame,
}


def build_data(config: RunConfig, device: torch.device) -> Any:
    """The dataset with its batches on `device`."""
    return DATASETS[config.dataset.name](config.dataset, config.seed, device)


def build_solver(config: SolverConfig) -> Solver:
    """The method with its accuracy and limits."""
    try:
        return Solver(**asdict(config))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def build_gradient(config: GradientConfig) -> Gradient:
    """The way gradients are computed."""
    known(config.name, GRADIENTS, "gradient")
    way: Any = GRADIENTS[config.name]
    try:
        return way(**{f.name: getattr(config, f.name) for f in fields(way)})
    except ValueError as error:
        raise ConfigError(str(error)) from error


def build_model(config: RunConfig, data: Any, device: torch.device) -> nn.Module:
    """The model on `device`, its vector fields compiled if that is asked for."""
    solver, gradient = build_solver(config.solver), build_gradient(config.gradient)
    model = MODELS[config.model.name](config.model, data, solver, gradient).to(device)
    if config.trainer.compile:
        for module in model.modules():
            if isinstance(module, (ODEBlock, LatentTrajectory, NeuralODE)):
                module.vector_field.compile()
            elif isinstance(module, GapField):
                module.compile()
    return model


def build_task(config: RunConfig, data: Any) -> Task:
    """What is optimised and measured."""
    if config.model.name in (*AUTOREGRESSIVE, *VARIATIONAL):
        return irregular_task(config.model, data)
    return TASKS[config.model.name](config.model)


def build_figures(task: Task) -> Callable[[Any], dict[str, Figure]]:
    """What is drawn when training ends: a function of the trainer."""
    return FIGURES[type(task)]


def build_animation(task: Task, path: Path) -> list[Callback]:
    """The callback that draws an animation, for tasks that have one."""
    frame = FRAMES.get(type(task))
    return [] if frame is None else [Animation(path, frame)]


def build_optimizer(config: RunConfig, model: nn.Module) -> Optimizer:
    """The optimiser of all parameters."""
    known(config.optimizer.name, OPTIMIZERS, "optimizer")
    return make_optimizer(model.parameters(), **asdict(config.optimizer))


def build_scheduler(config: RunConfig, optimizer: Optimizer, steps_per_epoch: int) -> LRScheduler:
    """The learning-rate schedule over the whole training."""
    known(config.scheduler.name, SCHEDULERS, "scheduler")
    total = config.trainer.epochs * steps_per_epoch
    return make_scheduler(
        optimizer,
        total_steps=total,
        steps_per_epoch=steps_per_epoch,
        **asdict(config.scheduler),
    )


def check_choices(config: RunConfig) -> None:
    """Refuse choices that need neither data nor a model to be seen to be wrong."""
    build_solver(config.solver)
    build_gradient(config.gradient)
    known(config.optimizer.name, OPTIMIZERS, "optimizer")
    known(config.scheduler.name, SCHEDULERS, "scheduler")


def known(name: str, registry: Collection[str], group: str) -> None:
    """Refuse a name that the registry does not have."""
    if name not in registry:
        raise ConfigError(f"{group}.name={name!r} is unknown{nearest(name, registry)}")
