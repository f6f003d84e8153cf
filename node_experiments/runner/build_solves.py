"""Construction of solvers and gradient methods; regularisation and compilation of models."""

from __future__ import annotations

import logging
from dataclasses import asdict, fields, replace
from typing import Any

import torch
from torch import nn

from ..config import ConfigError, GradientConfig, RunConfig, SolverConfig, known
from ..nn.ode_module import solving_modules
from ..nn.regularizers import Regularizer
from ..ode import Gradient, Solver
from ..ode.gradients import GRADIENTS, gradient_class

__all__ = ["build_gradient", "build_solver", "compile_solves", "gradient_settings", "regularize"]

log = logging.getLogger(__name__)


def build_solver(config: SolverConfig) -> Solver:
    """Build the solver with its tolerances and limits."""
    try:
        return Solver(**asdict(config))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def build_gradient(config: GradientConfig) -> Gradient:
    """Build the gradient method from those settings that it knows."""
    known(config.name, GRADIENTS, "gradient")
    method: Any = gradient_class(config.name)
    settings = asdict(config)
    try:
        return method(**{name: settings[name] for name in gradient_settings(config.name)})
    except ValueError as error:
        raise ConfigError(str(error)) from error


def gradient_settings(name: str) -> list[str]:
    """Names of the settings that a gradient method reads."""
    method: Any = gradient_class(name)
    settings = {each.name for each in fields(GradientConfig)}
    return [each.name for each in fields(method) if each.name in settings]


def regularize(config: RunConfig, model: nn.Module) -> None:
    """Add the configured penalties to the ODEs of a model.

    Raises:
        ConfigError: The model solves no ODE, or its ODEs do not support the penalties.
    """
    regularizer = Regularizer(**asdict(config.regularizer))
    if not regularizer.weights:
        return
    solved = solving_modules(model)
    if not solved:
        raise ConfigError(
            f"regularizer.{next(iter(regularizer.weights))} has no effect on "
            f"model.name={config.model.name!r}, which solves no ODE; use regularizer=none"
        )
    if config.trainer.compile and (regularizer.jacobian or regularizer.taylor):
        raise ConfigError(
            "regularizer.jacobian and regularizer.taylor differentiate the vector field twice, "
            "which torch.compile cannot; use trainer.compile=false or regularizer=kinetic"
        )
    for module in solved:
        try:
            module.regularize(regularizer)
        except ValueError as error:
            raise ConfigError(str(error)) from error


def compile_solves(config: RunConfig, model: nn.Module, device: torch.device) -> None:
    """Compile the solver steps of a model if its solver allows it, else its vector fields.

    If the compiler does not work on this device, the model stays as it is.

    Raises:
        ConfigError: The solver's steps cannot be compiled, and compiled vector fields would not
            be used: the model also solves for a divergence.
    """
    from ..ode.compiled.compilation import compiler_fault

    solver = build_solver(config.solver)
    whole_steps = (
        config.gradient.name != "reversible"
        and solver.properties.family == "explicit"
        and solver.batching == "joint"
        and not solver.perturb
    )
    solved = solving_modules(model)
    if not whole_steps and not all(module.field_compiles for module in solved):
        raise ConfigError(
            f"trainer.compile=true compiles the divergence of "
            f"model.name={config.model.name!r} only in whole steps; use an explicit Runge-Kutta "
            "method with a gradient other than reversible, or trainer.compile=false"
        )
    if (fault := compiler_fault(device)) is not None:
        log.warning("trainer.compile=true is ignored: %s", fault)
        return
    torch.use_deterministic_algorithms(config.trainer.deterministic)  # the compiler reads it
    for module in solved:
        if whole_steps:
            module.solver = replace(module.solver, compile=True)
        else:
            module.vector_field.compile()
