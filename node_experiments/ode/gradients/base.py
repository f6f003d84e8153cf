"""The interface of gradient methods, and the methods by name."""

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
    """Solves a problem such that its outputs can be differentiated.

    It meets the rest of the solver in the problem and in the accepted steps; it knows nothing of
    step control, and the loop knows nothing of it.

    Attributes:
        records_steps: Whether autograd records the operations of the steps.
        solves_backwards: Whether it solves an ODE backwards in time, with its own step control.
        replaces_method: Whether it solves by another method than it is given; see `solver_for`.
    """

    records_steps: ClassVar[bool] = False
    solves_backwards: ClassVar[bool] = False
    replaces_method: ClassVar[bool] = False

    def solver_for(self, solver: Solver) -> Solver:
        """The solver that is solved by when this one is asked for, also without gradients."""
        return solver

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`."""
        ...

    def solve_samples(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """As `solve`, with a step size for every sample along the first axis of the state.

        Raises:
            ValueError: The method differentiates no such steps.
        """
        raise ValueError(
            "solver.batching='independent' computes gradients by gradient='backprop', 'discrete' "
            f"or 'checkpoint'; found gradient={type(self).__name__.lower()!r}; take one of them, "
            "or solver.batching='joint'"
        )


# A method is the class of this name in the file of the method's name.
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
    """Whether autograd records the steps; by its name, for nothing is imported while tracing."""
    return gradient == "backprop" if isinstance(gradient, str) else gradient.records_steps


def make_gradient(gradient: Gradient | str) -> Gradient:
    """The gradient method of that name with its defaults, or the one that was given.

    Raises:
        ValueError: An unknown name, or something else.
    """
    if not isinstance(gradient, str):
        if isinstance(gradient, type) or not hasattr(gradient, "records_steps"):
            name = getattr(gradient, "__name__", type(gradient).__name__)
            raise ValueError(
                "gradient must be the name of a gradient method, or one such as Discrete(); found "
                f"{name}"
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
