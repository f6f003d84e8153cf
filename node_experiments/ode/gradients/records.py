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
    """The accepted steps.

    Attributes:
        starts, sizes: Time and size of each step.
        trajectory: How the forward solve ended.
    """

    starts: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    trajectory: Trajectory = field(default_factory=Trajectory)

    def append(self, t: float, h: float) -> None:
        self.starts.append(t)
        self.sizes.append(h)

    @property
    def spans(self) -> list[Span]:
        """Start and end of each step; one ends where the next one starts, unless it jumps."""
        ends = [t + h for t, h in zip(self.starts, self.sizes, strict=True)]
        following = [*self.starts, self.trajectory.t][1:]
        return [
            (start, after if abs(end - after) <= math.ulp(after) else end)
            for start, end, after in zip(self.starts, ends, following, strict=True)
        ]


@dataclass
class Record(Grid):
    """The accepted steps with their states: where gradients meet the solver.

    Attributes:
        states: States at the start of the steps, shape `(n,)` each; for an implicit method those
            at all stages of each step, from its start to its end.
        stepper: Makes the steps, where their first derivatives are kept too.
        firsts: First derivatives of the steps, like `states`.
    """

    states: list[Tensor] = field(default_factory=list)
    stepper: ExplicitRungeKutta | None = None
    firsts: list[Tensor] = field(default_factory=list)

    def __call__(self, t: float, h: float, y: Tensor) -> None:
        """An accepted step."""
        self.append(t, h)
        self.keep(y)

    def keep(self, y: Tensor) -> None:
        """Keep the state of the step that was accepted last."""
        self.states.append(y)
        if self.stepper is not None:
            self.firsts.append(self.stepper.stages[0].clone())


def starts_of(
    spans: Sequence[Span], states: Sequence[Tensor], firsts: Sequence[Tensor], stride: int = 1
) -> list[Start]:
    """State and first derivative at the start of every `stride`-th step.

    Args:
        firsts: First derivatives of these steps, or nothing where those at their states are meant.
    """
    if not firsts:
        return [(y, None) for y in states]
    numbers = range(0, len(spans), stride)
    return [
        (y, first if n > 0 and spans[n - 1][1] == spans[n][0] else None)
        for n, y, first in zip(numbers, states, firsts, strict=True)
    ]
