"""The paper's ODESolve: methods, step control, and gradients through a solve.

This package needs torch and nothing else of the project. What a solve does not use is not
imported: each gradient method, events and control inputs come with their first use.
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

__all__ = [
    "Adjoint",
    "Backprop",
    "Checkpoint",
    "ControlInput",
    "Discrete",
    "Event",
    "Gradient",
    "Interpolated",
    "Reversible",
    "Solution",
    "SolveError",
    "SolveStats",
    "Solver",
    "Status",
    "StepCounts",
    "solve",
]

PLACES = {"ControlInput": "control_inputs", "Event": "events"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{PLACES.get(name, 'gradients')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
