"""Another solver and another way to gradients for a model that exists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from ..ode import Gradient, Solver

__all__ = ["solving_modules", "solving_with"]


def solving_modules(model: nn.Module) -> list[nn.Module]:
    """The modules of a model that solve an ODE."""
    return [m for m in model.modules() if isinstance(getattr(m, "solver", None), Solver)]


@contextmanager
def solving_with(model: nn.Module, solver: Solver, gradient: Gradient) -> Iterator[None]:
    """Exchange how every ODE of a model is solved and differentiated, for a while."""
    modules = solving_modules(model)
    kept = [(module.solver, module.gradient, module.stats) for module in modules]
    for module in modules:
        module.solver, module.gradient = solver, gradient  # type: ignore[assignment]
    try:
        yield
    finally:
        for module, (own_solver, own_gradient, stats) in zip(modules, kept, strict=True):
            module.solver, module.gradient, module.stats = own_solver, own_gradient, stats
