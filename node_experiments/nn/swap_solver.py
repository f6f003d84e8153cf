"""Temporary exchange of the solver and the gradient method of a model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ..ode import Gradient, Solver
from .ode_module import solving_modules

__all__ = ["temporary_solver"]


@contextmanager
def temporary_solver(model: nn.Module, solver: Solver, gradient: Gradient) -> Iterator[None]:
    """Temporarily exchange the solver and the gradient method of every ODE of a model."""
    modules = solving_modules(model)
    kept = [(module.solver, module.gradient, module.solves) for module in modules]
    for module in modules:
        module.solver, module.gradient = solver, gradient
    try:
        yield
    finally:
        for module, own in zip(modules, kept, strict=True):
            module.solver, module.gradient, module.solves = own
