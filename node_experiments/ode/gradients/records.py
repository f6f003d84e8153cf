"""The accepted steps of a solve, as gradient methods keep them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from ..methods.explicit_runge_kutta import ExplicitRungeKutta
from ..solution import Trajectory

__all__ = ["Grid", "Record", "Span", "Start", "starts_of"]

Span = tuple[float, float]
"""Start and end of a step."""

Start = tuple[Tensor, Tensor | None]
"""The state at the start of a step, and its first derivative if the step before predicted it."""


@dataclass
class Grid:
    """Times and sizes of the accepted steps.

    Attributes:
        starts, sizes: Time and size of each step.
        trajectory: Outputs and end of the forward solve.
    """

    starts: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    trajectory: Trajectory = field(default_factory=Trajectory)

    def append(self, t: float, h: float) -> None:
        self.starts.append(t)
        self.sizes.append(h)

    @property
    def spans(self) -> list[Span]:
        """Start and end of each step, which is the start of the next one except at a jump."""
        ends = [t + h for t, h in zip(self.starts, self.sizes, strict=True)]
        following = [*self.starts, self.trajectory.t][1:]
        return [
            (start, after if abs(end - after) <= math.ulp(after) else end)
            for start, end, after in zip(self.starts, ends, following, strict=True)
        ]


@dataclass
class Record(Grid):
    """The accepted steps with their states: what gradient methods need of the solver.

    Attributes:
        states: States at the start of the steps, shape `(n,)` each; for an implicit method those
            at all stages of each step, from its start to its end.
        stepper: The stepper, if the derivatives at the start of steps are kept too.
        initial_derivatives: Derivatives at the start of the steps, like `states`.
    """

    states: list[Tensor] = field(default_factory=list)
    stepper: ExplicitRungeKutta | None = None
    initial_derivatives: list[Tensor] = field(default_factory=list)

    def __call__(self, t: float, h: float, y: Tensor) -> None:
        """Record an accepted step."""
        self.append(t, h)
        self.keep(y)

    def keep(self, y: Tensor) -> None:
        """Keep the state of the step that was accepted last."""
        self.states.append(y)
        if self.stepper is not None:
            self.initial_derivatives.append(self.stepper.stages[0].clone())


def starts_of(
    spans: Sequence[Span], states: Sequence[Tensor], derivatives: Sequence[Tensor], stride: int = 1
) -> list[Start]:
    """State and derivative at the start of every `stride`-th step.

    Args:
        derivatives: Those at the start of these steps; empty if they are those at the states.
    """
    if not derivatives:
        return [(y, None) for y in states]
    numbers = range(0, len(spans), stride)
    return [
        (y, first if n > 0 and spans[n - 1][1] == spans[n][0] else None)
        for n, y, first in zip(numbers, states, derivatives, strict=True)
    ]
