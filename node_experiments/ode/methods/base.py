"""The interface of all methods that make steps."""

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
    "Time",
]


Number = TypeVar("Number", float, Tensor)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Time = float | Tensor
"""A time or the size of a step: a number on the host, or a tensor where a time needs a gradient or
belongs to the samples of a batch."""

Interpolant = partial[Tensor]
"""Maps positions theta in a step, from 0 to 1, to states, `(len(thetas), *state)`. The tensors
that it needs are bound to it, so that autograd can keep them."""


class StepFailed(ArithmeticError):
    """A step whose equations were not solved; a smaller one may succeed."""


class OrderSelection(Protocol):
    """Choice of the order of the next step, by a method of variable order."""

    def read(self, ratio: Tensor, h: float) -> float:
        """The number in `ratio`, with the errors of other orders in the same transfer."""
        ...

    def choose(self, h: float, ratio: float) -> float:
        """The factor by which to change the step, after one with this error ratio."""
        ...


class Stepper(Protocol):
    """Steps of one method for one initial value problem.

    A step from (t, y) is made by `step` and, when it counts, followed by `accept`; otherwise the
    next one starts from the same state again. Where a step starts is recognised by the tensor of
    its state: one that starts where the last one ended, or started, knows its first derivative.

    Quadratures are integrals along the solution that do not feed back into it, such as the
    parameter gradients of the adjoint method (the term is that of Hindmarsh et al. 2005).

    Attributes:
        error: Estimate of the local error of the last step, of the shape of the state, where the
            steps are adaptive.
        remembers: Whether `accept` has to be called.
        measures: Whether steps measure their errors in multiples of the tolerance, as compiled
            ones do.
        chooses_order: Whether the order varies.
        has_twins: Whether the method computes two approximations of the state.
        interpolates_freely: Whether values inside a step cost no evaluation of the vector field
            that the next step does not need as well.
    """

    error: Tensor
    remembers: bool = False
    measures: bool = False
    chooses_order: bool = False
    has_twins: bool = False
    interpolates_freely: bool = True

    def derivative(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at (t, y), kept for a step that starts there."""
        ...

    def probe(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at any (t, y)."""
        ...

    def step(self, t: float, h: float, y: Tensor) -> Tensor:
        """The state after a step of size `h` from (t, y).

        Raises:
            StepFailed: The equations of an implicit method were not solved.
        """
        ...

    def accept(self, h: float) -> None:
        """The last step counts: add its quadratures, and move on to its end."""

    def reset(self) -> None:
        """Use nothing of earlier steps: the state or the vector field has changed."""
        ...

    def interpolant(self, t: float, h: float, y0: Tensor, y1: Tensor) -> Interpolant:
        """The last step as a function that outlives it, before it is accepted."""
        ...

    def order_selection(self) -> OrderSelection:
        """The choice of the order, where it varies."""
        raise TypeError("the method has one order")

    def twins(self) -> tuple[Tensor, Tensor]:
        """The two approximations of the last accepted state, of a method that computes two."""
        raise TypeError("the method computes one solution")

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
        stages: Evaluations of a step.
        error_order: Power of h in the error estimate, or None for a method without one.
        has_twin: Whether the second vector is another approximation of the solution, which parts
            from the first where the method is unstable.
    """

    name: str
    order: int
    stages: int
    error_order: int | None
    reference: str
    has_twin: bool

    def start(self, field: FlatField, t: Time, y: Tensor) -> State:
        """The vectors at the initial time; the first one is `y`, shape `(n,)`."""
        ...

    def advance(
        self, field: FlatField, t: Time, h: Time, state: State
    ) -> tuple[State, Tensor | None]:
        """The vectors at `t + h` and an estimate of the local error of the first one."""
        ...


class ConstantCache(dict[K, V]):
    """Tensors of constants that a function makes of a key, kept for the next solve.

    While a program is exported, new tensors have no values, and those of inference mode may not
    enter a graph: what is made then is not kept for other solves.

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
