"""What every way to gradients offers."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from ..integrate import Trajectory
from ..problem import Problem

__all__ = ["Gradient"]


class Gradient(Protocol):
    """Solves a problem such that its outputs can be differentiated.

    It meets the rest of the solver in the problem and in the accepted steps; it knows nothing of
    step control, and the loop knows nothing of it.
    """

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`."""
        ...
