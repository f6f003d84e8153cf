"""The accepted steps of a solve, as gradient methods keep them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from ..solution import Trajectory

__all__ = ["Grid", "Record", "Span"]

Span = tuple[float, float]
"""Start and end of a step."""


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
    """

    states: list[Tensor] = field(default_factory=list)

    def __call__(self, t: float, h: float, y: Tensor) -> None:
        """An accepted step."""
        self.append(t, h)
        self.states.append(y)
