"""The paper's ODESolve: methods, step control, and gradients through a solve.

This package depends on torch and on nothing else in the project. Gradient methods, events and
control inputs are imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .gradients import Gradient
from .solution import Solution, SolveError, SolveStats, Status, StepCounts
from .solve import solve
from .solver import Solver

if TYPE_CHECKING:
    from .control_inputs import ControlInput
    from .events import Event
    from .gradients import Adjoint, Backprop, Checkpoint, Discrete, Interpolated, Reversible
    from .methods.butcher_tableau import Tableau
    from .methods.one_step import OneStep

__all__ = [
    "Adjoint",
    "Backprop",
    "Checkpoint",
    "ControlInput",
    "Discrete",
    "Event",
    "Gradient",
    "Interpolated",
    "OneStep",
    "Reversible",
    "Solution",
    "SolveError",
    "SolveStats",
    "Solver",
    "Status",
    "StepCounts",
    "Tableau",
    "solve",
]

MODULES = {
    "ControlInput": "control_inputs",
    "Event": "events",
    "OneStep": "methods.one_step",
    "Tableau": "methods.butcher_tableau",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{MODULES.get(name, 'gradients')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
