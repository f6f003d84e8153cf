"""The interfaces of methods that take steps."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..flat_field import FlatField

__all__ = [
    "ConstantCache",
    "FunctionalMethod",
    "Interpolant",
    "Number",
    "OrderSelection",
    "State",
    "StepFailed",
    "Stepper",
    "StepperDefaults",
    "Time",
]


Number = TypeVar("Number", float, Tensor)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Time = float | Tensor
"""A time or the size of a step: a number on the host, or a tensor if times need a gradient or
differ between the samples of a batch."""

Interpolant = partial[Tensor]
"""Maps positions theta in a step, from 0 to 1, to states, `(len(thetas), *state)`. The tensors
that it needs are bound to it, so that autograd can keep them."""


class StepFailed(ArithmeticError):
    """A step whose equations were not solved; a smaller one may succeed."""


class OrderSelection(Protocol):
    """Choice of the order of the next step, by a method of variable order."""

    def read(self, ratio: Tensor, h: float) -> float:
        """Read the number in `ratio`, and the errors of other orders in the same transfer."""
        ...

    def choose(self, h: float, ratio: float) -> float:
        """Choose the order after a step with this error ratio; return the factor of its size."""
        ...


class StepperDefaults(Protocol):
    """Defaults of a `Stepper`: one order, one solution, and errors that are measured outside.

    Attributes:
        measures_error: Whether steps measure their errors in multiples of the tolerance, as
            compiled ones do.
        chooses_order: Whether the order varies.
        has_second_solution: Whether the method computes two approximations of the state.
    """

    measures_error: bool = False
    chooses_order: bool = False
    has_second_solution: bool = False

    def order_selection(self) -> OrderSelection:
        """The selection of the order, for a method of variable order."""
        raise TypeError("the method has one order")

    def both_solutions(self) -> tuple[Tensor, Tensor]:
        """The two approximations of the last accepted state, for a method that computes two."""
        raise TypeError("the method computes one solution")


class Stepper(StepperDefaults, Protocol):
    """Steps of one method for one initial value problem.

    A step from (t, y) is taken by `step` and, if it is accepted, followed by `accept`; otherwise
    the next one starts from the same state again. The start of a step is recognised by the tensor
    of its state: a step that starts where the last one ended, or started, reuses the derivative.

    Quadratures are integrals along the solution that do not feed back into it, such as the
    parameter gradients of the adjoint method (the term is that of Hindmarsh et al. 2005).

    Attributes:
        error: Estimate of the local error of the last step, of the shape of the state, if the
            steps are adaptive.
        needs_accept: Whether `accept` has to be called.
        has_free_interpolant: Whether values inside a step need no evaluation of the vector field
            except those that the next step needs anyway.
    """

    error: Tensor
    needs_accept: bool = False
    has_free_interpolant: bool = True

    def derivative(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at (t, y), kept for a step that starts there."""
        ...

    def evaluate(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at any (t, y)."""
        ...

    def step(self, t: float, h: float, y: Tensor) -> Tensor:
        """The state after a step of size `h` from (t, y).

        Raises:
            StepFailed: The equations of an implicit method were not solved.
        """
        ...

    def accept(self, h: float) -> None:
        """Accept the last step: add its quadratures, and move on to its end."""

    def reset(self) -> None:
        """Discard everything known from earlier steps: the state or the vector field changed."""
        ...

    def interpolant(self, t: float, h: float, y0: Tensor, y1: Tensor) -> Interpolant:
        """Interpolant of the last step; called before it is accepted, and valid afterwards."""
        ...

    def quadrature_increment(self, h: float) -> Tensor:
        """Increment of the quadratures by the last step if it is accepted, shape `(q,)`."""
        return torch.zeros(0)  # there are none

    def quadrature_error(self, h: float) -> Tensor:
        """Estimate of the error of that increment, shape `(q,)`."""
        return torch.zeros(0)


State = tuple[Tensor, ...]


class FunctionalMethod(Protocol):
    """A method on a tuple of vectors, out of place, so that autograd can record it.

    Attributes:
        order: Order of convergence of the first vector.
        stages: Evaluations per step.
        error_order: Power of h in the error estimate, or None for a method without one.
        has_second_solution: Whether the second vector is another approximation of the solution,
            which drifts away from the first if the method is unstable.
    """

    name: str
    order: int
    stages: int
    error_order: int | None
    reference: str
    has_second_solution: bool

    def start(self, field: FlatField, t: Time, y: Tensor) -> State:
        """The vectors at the initial time; the first one is `y`, shape `(n,)`."""
        ...

    def advance(
        self, field: FlatField, t: Time, h: Time, state: State
    ) -> tuple[State, Tensor | None]:
        """The vectors at `t + h` and an estimate of the local error of the first one."""
        ...


class ConstantCache(dict[K, V]):
    """Cache of constant tensors that a function creates from a key.

    While a program is exported, new tensors have no values, and those of inference mode may not
    enter a graph: tensors that are created then are not cached.

        >>> ones = ConstantCache(torch.ones)
        >>> with torch.inference_mode():
        ...     ones[2].is_inference(), len(ones)
        (True, 0)
        >>> ones[2] is ones[2]
        True
    """

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        made = self._make(key)
        new = torch.empty(0, device="cpu")
        if type(new) is Tensor and not new.is_inference():
            self[key] = made
        return made
