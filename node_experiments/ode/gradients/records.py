"""The accepted steps of a solve, as gradient methods keep them."""

from __future__ import annotations

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
    """The accepted steps.

    Attributes:
        spans: Start and end of each step, which is the start of the next one except at a jump.
        trajectory: Outputs and end of the forward solve.
    """

    spans: list[Span] = field(default_factory=list)
    trajectory: Trajectory = field(default_factory=Trajectory)


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

    def __call__(self, t: float, t_end: float, y: Tensor) -> None:
        """Record an accepted step."""
        self.spans.append((t, t_end))
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
