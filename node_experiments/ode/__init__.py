"""The paper's ODESolve: methods, step control, and gradients through a solve.

This package needs torch and nothing else of the project.
"""

from .control_inputs import ControlInput
from .events import Event
from .gradients import Adjoint, Backprop, Checkpoint, Discrete, Gradient, Interpolated, Reversible
from .solution import Solution, SolveError, SolveStats, Status, StepCounts
from .solve import solve
from .solver import Solver

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
