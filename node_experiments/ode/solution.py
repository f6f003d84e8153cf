"""Result of a solve: values, statistics, and a status with remedies when it failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from torch import Tensor

__all__ = ["Solution", "SolveError", "SolveStats", "Status", "StepCounts", "Trajectory"]


class Status(Enum):
    """Outcome of a solve. The value is its message, with remedies for a failure."""

    REACHED = "the end of the interval was reached"
    STEP_UNDERFLOW = (
        "the step size became too small for the precision of the time. The problem is stiff or "
        "diverges: loosen rtol and atol, add weight decay, use smooth activations, or use a "
        "fixed-step or an implicit solver"
    )
    NON_FINITE = (
        "the vector field returned NaN or infinity. Lower the learning rate, clip gradients, "
        "normalise the inputs, or check the vector field at the time and state named here"
    )
    MAX_STEPS = (
        "the limit of max_steps was reached. Raise solver.max_steps, loosen rtol and atol, "
        "regularise the vector field, or use an implicit solver such as kvaerno5 if it is stiff"
    )

    NOT_CONVERGED = (
        "Newton's method did not converge on the equations of an implicit step. Take smaller "
        "steps or an adaptive implicit method, tighten rtol and atol, check that the vector field "
        "is smooth, or use an explicit method"
    )
    EVENT = "a terminal event occurred"
    NO_EVENT = (
        "no event occurred up to this time, and the end of the interval is infinite. Check the "
        "sign and the direction of the events, raise solver.max_steps if it was reached, or solve "
        "to a finite time"
    )

    @property
    def ok(self) -> bool:
        return self in (Status.REACHED, Status.EVENT)


@dataclass
class StepCounts:
    """Cost of a solve in one direction, forward or backward.

    Attributes:
        evaluations: Calls of the vector field. In the backward direction, vector-Jacobian
            products and calls without one; the call that a product needs is not counted again.
        accepted, rejected: Numbers of steps.
        smallest_step, largest_step: Sizes |h| of the accepted steps, in units of t.
    """

    evaluations: int = 0
    accepted: int = 0
    rejected: int = 0
    smallest_step: float = math.inf
    largest_step: float = 0.0

    def accept(self, h: float) -> None:
        """Count an accepted step."""
        self.accept_steps(1, abs(h), abs(h))

    def accept_steps(self, count: int, smallest: float, largest: float) -> None:
        """Count accepted steps with sizes |h| from `smallest` to `largest`."""
        self.accepted += count
        self.smallest_step = min(self.smallest_step, smallest)
        self.largest_step = max(self.largest_step, largest)

    def add(self, other: StepCounts) -> None:
        """Add the counts of another solve."""
        self.evaluations += other.evaluations
        self.rejected += other.rejected
        self.accept_steps(other.accepted, other.smallest_step, other.largest_step)


@dataclass
class SolveStats:
    """Counts of a solve and, once gradients were computed, of the backward pass."""

    forward: StepCounts = field(default_factory=StepCounts)
    backward: StepCounts = field(default_factory=StepCounts)

    @classmethod
    def total(cls, solves: Iterable[SolveStats]) -> SolveStats:
        """Sum of the current statistics of several solves."""
        total = cls()
        for stats in solves:
            total.forward.add(stats.forward)
            total.backward.add(stats.backward)
        return total


@dataclass
class Trajectory:
    """States at the output times that were reached, and how the loop ended.

    Attributes:
        outputs: The states, in order.
        t, h: Time at which the loop ended, and the step that it last tried.
        cause: Cause and remedy of a failure, if the status is not specific enough.
        shows_no_error: Whether the estimated error of every adaptive step was zero up to
            rounding, so that nothing bounded the steps.
    """

    outputs: list[Tensor] = field(default_factory=list)
    status: Status = Status.REACHED
    t: float = math.nan
    h: float = math.nan
    cause: str = ""
    shows_no_error: bool = False

    def failure(self, method: str, counts: StepCounts, where: str = "") -> str:
        """Message that tells at which point a solve stopped before its end, and why."""
        return (
            f"{method} stopped at t={self.t:.6g}{where} with step {self.h:.3g} after "
            f"{counts.evaluations} evaluations ({counts.accepted} steps accepted, "
            f"{counts.rejected} rejected): {self.cause or self.status.value}"
        )


@dataclass
class Solution:
    """The solution of an initial value problem at the requested times.

    Attributes:
        ts: Times that were reached, shape `(time,)`; only that of an event is in a graph.
        ys: State at these times; every tensor of the state gets a leading time axis,
            shape `(time, *state)`.
        stats: Evaluations and steps; the backward counts grow when gradients are computed.
        status: How the solve ended.
        message: The status in words, with method, time, step and evaluations when it failed.
        interpolant: The solution as a function of time, if `dense` output was requested.
    """

    ts: Tensor
    ys: Tensor
    stats: SolveStats
    status: Status = Status.REACHED
    message: str = field(default=Status.REACHED.value, repr=False)
    interpolant: Callable[[Tensor | float], Any] | None = field(default=None, repr=False)


class SolveError(RuntimeError):
    """A solve that did not reach its end. `solution` holds the part that was reached."""

    def __init__(self, solution: Solution):
        super().__init__(solution.message)
        self.solution = solution

    def __reduce__(self) -> tuple[type[SolveError], tuple[Solution]]:
        return type(self), (self.solution,)  # for pickle, and errors of other processes
