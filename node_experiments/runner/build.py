"""From a name in a configuration to the thing it names.

A configuration never names code to import: what can be built is listed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..chapters.image_classification.datasets import (
    IMAGE_DATASETS,
    image_data,
)
from ..chapters.image_classification.figures import classification_figures
from ..chapters.image_classification.lm_resnet import LMResNet
from ..chapters.image_classification.networks import (
    mlp,
    odenet,
    resnet,
    revnet,
    stem_only,
)
from ..chapters.image_classification.task import Classification
from ..chapters.irregular_series.build import (
    irregular_model,
    irregular_task,
)
from ..chapters.irregular_series.csv_series import csv_data
from ..chapters.irregular_series.figures import irregular_series_figures
from ..chapters.irregular_series.hopper import hopper_data
from ..chapters.irregular_series.hopper_figures import hopper_figures
from ..chapters.irregular_series.human_activity import human_activity_data
from ..chapters.irregular_series.japanese_vowels import japanese_vowels_data
from ..chapters.irregular_series.models import (
    AUTOREGRESSIVE,
    VARIATIONAL,
)
from ..chapters.irregular_series.periodic import periodic_data
from ..chapters.irregular_series.physionet2012 import physionet_data
from ..chapters.irregular_series.tasks import (
    AutoregressiveSeriesTask,
    VariationalSeriesTask,
)
from ..chapters.latent_ode.elbo import LatentODETask
from ..chapters.latent_ode.figure7 import poisson_figures
from ..chapters.latent_ode.figures import (
    latent_ode_figures,
    reconstruction_frame,
    recurrent_figures,
)
from ..chapters.latent_ode.forecasting import NextObservation
from ..chapters.latent_ode.model import LatentODE
from ..chapters.latent_ode.poisson_elbo import PoissonTask
from ..chapters.latent_ode.poisson_events import poisson_data
from ..chapters.latent_ode.poisson_model import PoissonLatentODE
from ..chapters.latent_ode.rnn_baseline import RecurrentForecaster
from ..chapters.latent_ode.spirals import spiral_data
from ..chapters.normalizing_flows.density_matching import DensityMatching
from ..chapters.normalizing_flows.energies import (
    EnergyData,
    energy_data,
)
from ..chapters.normalizing_flows.figures import (
    flow_figures,
    flow_film,
)
from ..chapters.normalizing_flows.flow import DimensionError
from ..chapters.normalizing_flows.flows import (
    ffjord,
    hamiltonian_cnf,
    planar_cnf,
)
from ..chapters.normalizing_flows.maximum_likelihood import MaximumLikelihood
from ..chapters.normalizing_flows.panels import flow_panels
from ..chapters.normalizing_flows.planar_nf import PlanarNF
from ..chapters.normalizing_flows.point_sets import (
    POINT_SETS,
    PointData,
    point_data,
)
from ..chapters.toy.cubic_field import NeuralODE
from ..chapters.toy.cubic_spiral import cubic_spiral_data
from ..chapters.toy.figure1 import depth_figures
from ..chapters.toy.funnels import funnels_data
from ..chapters.toy.map_fit import MapFit
from ..chapters.toy.residual_and_ode import DepthPair
from ..chapters.toy.trajectory_figures import (
    trajectory_figures,
    trajectory_frame,
)
from ..chapters.toy.trajectory_fit import TrajectoryFit
from ..config import (
    ConfigError,
    RunConfig,
    known,
)
from ..ode import (
    Gradient,
    Solver,
)
from ..tracking.animation import (
    Animation,
    Film,
)
from ..tracking.arrays import Arrays
from ..training.callbacks import Callback
from ..training.optimizers import (
    OPTIMIZERS,
    SCHEDULERS,
    make_optimizer,
    make_scheduler,
)
from ..training.task import Task
from .build_solves import (
    build_gradient,
    build_solver,
    compile_solves,
    regularize,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "MODELS",
    "build_animation",
    "build_data",
    "build_figures",
    "build_gradient",
    "build_keepers",
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
    "funnels": lambda c, seed, device: funnels_data(**asdict(c), seed=seed, device=device),
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
    "energies": lambda c, seed, device: energy_data(**asdict(c), seed=seed, device=device),
}
DATASETS |= {
    name: lambda c, seed, device: point_data(**asdict(c), seed=seed, device=device)
    for name in POINT_SETS
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
    "depth_pair": lambda c, data, solver, gradient: DepthPair(
        c.blocks, solver, gradient, c.hidden
    ),
    "planar_cnf": lambda c, data, solver, gradient: planar_cnf(
        data.dim, solver, gradient, c.units, c.hyper_hidden, c.variant, c.horizon, c.base_std
    ),
    "ffjord": lambda c, data, solver, gradient: ffjord(
        data.dim, solver, gradient, c.hidden, c.layers, c.trace, c.horizon, c.base_std
    ),
    "hamiltonian_cnf": lambda c, data, solver, gradient: hamiltonian_cnf(
        data.dim, solver, gradient, c.hidden, c.layers, c.horizon, c.base_std
    ),
    # Density matching draws samples, and maximum likelihood asks for the density of points.
    "planar_nf": lambda c, data, solver, gradient: PlanarNF(
        data.dim, c.units, "sample" if isinstance(data, EnergyData) else "density", c.base_std
    ),
} | dict.fromkeys((*AUTOREGRESSIVE, *VARIATIONAL), irregular_model)
FLOWS = ("planar_nf", "planar_cnf", "ffjord", "hamiltonian_cnf")


# Settings of the model -> what is optimised.
TASKS: dict[str, Callable[[Any], Task]] = dict.fromkeys(
    ("odenet", "resnet", "revnet", "lm_resnet", "stem_only", "mlp"), lambda c: Classification()
) | {
    "latent_ode": lambda c: LatentODETask(c.samples, c.kl_warmup),
    "rnn": lambda c: NextObservation(),
    "rnn_dt": lambda c: NextObservation(),
    "poisson_latent_ode": lambda c: PoissonTask(c.samples, c.kl_warmup),
    "neural_ode": lambda c: TrajectoryFit(),
    "depth_pair": lambda c: MapFit(),
}

FIGURES: dict[type, Callable[[Any], dict[str, Figure]]] = {
    Classification: classification_figures,
    LatentODETask: latent_ode_figures,
    NextObservation: recurrent_figures,
    PoissonTask: poisson_figures,
    TrajectoryFit: trajectory_figures,
    MapFit: depth_figures,
    AutoregressiveSeriesTask: irregular_series_figures,
    VariationalSeriesTask: irregular_series_figures,
    DensityMatching: flow_figures,
    MaximumLikelihood: flow_figures,
}

# Datasets that can be shown as what they are, beside what their task shows.
DATASET_FIGURES: dict[str, Callable[[Any], dict[str, Figure]]] = {"hopper": hopper_figures}

# Tasks that are shown as they learn: one frame of an animation from the trainer.
FRAMES: dict[type, Callable[[Any], Figure]] = {
    LatentODETask: reconstruction_frame,
    TrajectoryFit: trajectory_frame,
}


def build_data(config: RunConfig, device: torch.device) -> Any:
    """The dataset with its batches on `device`."""
    return DATASETS[config.dataset.name](config.dataset, config.seed, device)


def build_model(config: RunConfig, data: Any, device: torch.device) -> nn.Module:
    """The model on `device`, its vector fields regularised and compiled if that is asked for."""
    if config.model.name in FLOWS and not isinstance(data, EnergyData | PointData):
        raise ConfigError(
            f"model.name={config.model.name!r} is a density in the plane and does not fit "
            f"dataset.name={config.dataset.name!r}; allowed: energies, {', '.join(POINT_SETS)}"
        )
    solver, gradient = build_solver(config.solver), build_gradient(config.gradient)
    try:
        model = MODELS[config.model.name](config.model, data, solver, gradient).to(device)
    except DimensionError as error:
        raise ConfigError(str(error)) from error
    regularize(config, model)
    if config.trainer.compile:
        compile_solves(config, model, device, is_flow=config.model.name in FLOWS)
    return model


def build_task(config: RunConfig, data: Any) -> Task:
    """What is optimised and measured."""
    if config.model.name in (*AUTOREGRESSIVE, *VARIATIONAL):
        return irregular_task(config.model, data)
    if config.model.name not in FLOWS:
        return TASKS[config.model.name](config.model)
    if isinstance(data, EnergyData):
        return DensityMatching(data.log_density)
    return MaximumLikelihood(data.true_log_likelihood)


def build_figures(task: Task, dataset: str) -> Callable[[Any], dict[str, Figure]]:
    """What is drawn when training ends: a function of the trainer."""
    of_task, of_data = FIGURES[type(task)], DATASET_FIGURES.get(dataset)
    if of_data is None:
        return of_task
    return lambda trainer: of_task(trainer) | of_data(trainer)


def build_animation(task: Task, path: Path) -> list[Callback]:
    """The callback that draws an animation, for tasks that have one."""
    frame = FRAMES.get(type(task))
    return [] if frame is None else [Animation(path, frame)]


def build_keepers(task: Task, folder: Path) -> list[Callback]:
    """Callbacks that keep, in the run folder, what a trained model does, for tasks that do."""
    if not isinstance(task, DensityMatching | MaximumLikelihood):
        return []
    return [
        Arrays(folder / "panels.npz", lambda trainer: flow_panels(trainer.model, trainer.data)),
        Film(folder / "figures" / "flow.gif", flow_film),
    ]


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
