"""Another solver and another gradient method for an existing model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ..ode import (
    Gradient,
    Solver,
)
from .ode_module import solving_modules

__all__ = ["solving_with"]


@contextmanager
def solving_with(model: nn.Module, solver: Solver, gradient: Gradient) -> Iterator[None]:
    """Exchange how every ODE of a model is solved and differentiated, for a while."""
    modules = solving_modules(model)
    kept = [(module.solver, module.gradient, module.solves) for module in modules]
    for module in modules:
        module.solver, module.gradient = solver, gradient
    try:
        yield
    finally:
        for module, own in zip(modules, kept, strict=True):
            module.solver, module.gradient, module.solves = own
