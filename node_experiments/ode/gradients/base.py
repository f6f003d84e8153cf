"""The interface of gradient methods, and their registry by name."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import ClassVar, Protocol

from torch import Tensor

from ..problem import Problem
from ..solution import Trajectory
from ..solver import Solver

__all__ = [
    "GRADIENTS",
    "Gradient",
    "gradient_class",
    "make_gradient",
]


class Gradient(Protocol):
    """Solves an initial value problem so that its outputs can be differentiated.

    It interacts with the rest of the solver only through the problem and the accepted steps: it
    knows nothing about step size control, and the integration loop knows nothing about it.

    Attributes:
        records_steps: Whether autograd records the operations of the steps.
        solves_backwards: Whether it solves an ODE backwards in time, with its own step sizes.
        replaces_method: Whether it replaces the given method by another; see `solver_for`.
    """

    records_steps: ClassVar[bool] = False
    solves_backwards: ClassVar[bool] = False
    replaces_method: ClassVar[bool] = False

    def solver_for(self, solver: Solver) -> Solver:
        """The solver to use when this one is requested, also without gradients."""
        return solver

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, `(time, *state)`, and the trajectory."""
        ...

    def solve_samples(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """Like `solve`, with individual step sizes for the samples (first axis of the state).

        Raises:
            ValueError: The gradient method does not support individual step sizes.
        """
        raise ValueError(
            "solver.batching='independent' needs gradient='backprop', 'discrete' or "
            f"'checkpoint'; found gradient={type(self).__name__.lower()!r}; use one of them, "
            "or solver.batching='joint'"
        )


# Name of each method -> name of its class, in the file named after the method.
GRADIENTS = {
    "adjoint": "Adjoint",
    "backprop": "Backprop",
    "checkpoint": "Checkpoint",
    "discrete": "Discrete",
    "interpolated": "Interpolated",
    "reversible": "Reversible",
}
DEFAULTS: dict[str, Gradient] = {}


def gradient_class(name: str) -> type[Gradient]:
    """The class of a gradient method, by the method's name in `GRADIENTS`."""
    return getattr(import_module(f".{name}", __package__), GRADIENTS[name])


def records_steps(gradient: Gradient | str) -> bool:
    """Whether autograd records the steps; compares names, since tracing must import nothing."""
    return gradient == "backprop" if isinstance(gradient, str) else gradient.records_steps


def make_gradient(gradient: Gradient | str) -> Gradient:
    """The gradient method of that name with default options, or the given instance.

    Raises:
        ValueError: An unknown name, or neither a name nor a gradient method.
    """
    if not isinstance(gradient, str):
        if isinstance(gradient, type) or not hasattr(gradient, "records_steps"):
            name = getattr(gradient, "__name__", type(gradient).__name__)
            raise ValueError(
                "gradient must be the name of a gradient method or an instance, such as "
                f"Discrete(); found {name}"
            )
        return gradient
    if gradient not in DEFAULTS:
        if gradient not in GRADIENTS:
            near = difflib.get_close_matches(gradient, GRADIENTS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"gradient={gradient!r} is unknown; allowed: {', '.join(GRADIENTS)}{hint}"
            )
        DEFAULTS[gradient] = gradient_class(gradient)()
    return DEFAULTS[gradient]
