"""The solution as a function of time."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from typing import Any

import torch
from torch import Tensor

from .inside_steps import step_interpolant
from .methods.base import Interpolant, Stepper
from .problem import Problem
from .state import FlatState

__all__ = ["DenseOutput"]


class DenseOutput:
    """The interpolants of all accepted steps, callable at any time of the solve.

    It holds the stages of every step. Its values have gradients only if the solve used
    `gradient="backprop"`, a method that is not implicit, and no events: events are located
    without a graph, and values inside implicit steps are computed without one. They have no
    gradient with respect to `t`, of which a call with such a `t` warns.

    Attributes:
        lacks_gradient: Whether the solution has a gradient that these values do not have; the
            first call with gradients enabled warns of it.

    Args:
        problem: The initial value problem.
        state: The layout of the packed state.
        resolution: Relative precision of the times.
    """

    def __init__(self, problem: Problem, state: FlatState, resolution: float):
        self._state, self._resolution = state, resolution
        self._y0, t0 = problem.y0, problem.times[0]
        self._starts: list[float] = []
        self._pieces: list[tuple[float, float, Interpolant]] = []
        self._t0 = self._t1 = t0
        self.lacks_gradient = False

    def record(
        self, problem: Problem, step: Stepper, t: float, h: float, y0: Tensor, y1: Tensor
    ) -> bool:
        """Store the interpolant of an accepted step; return False, so that the solve continues."""
        self._pieces.append((t, h, step_interpolant(problem, step, t, h, y0, y1)))
        self._starts.append(t)
        self._t1 = t + h
        return False

    def end_at(self, t: float) -> None:
        """Set the end of the solution: an event in its last step, or within rounding of it."""
        self._t1 = t

    @property
    def requires_grad(self) -> bool:
        """Whether the values have gradients."""
        return bool(self._pieces) and self._pieces[0][2]([1.0]).requires_grad

    @property
    def steps(self) -> list[float]:
        """Starts of the accepted steps, and the end of the last one."""
        return [*self._starts, self._t1]

    def __call__(self, t: Tensor | float) -> Any:
        """Return the state at times `t` of any shape, whose axes come before those of the state.

        Raises:
            ValueError: A time is outside the solve.
        """
        if self.lacks_gradient and torch.is_grad_enabled():
            self.lacks_gradient = False
            warnings.warn(
                "values of solution.interpolant have no gradient here; use gradient='backprop' "
                "without events and with a method that is not implicit, ask for these times in "
                "t, or read them under torch.no_grad()",
                stacklevel=2,
            )
        if isinstance(t, Tensor) and t.requires_grad and torch.is_grad_enabled():
            warnings.warn(
                "values inside of steps have no gradient with respect to the times at which they "
                "are read; ask for these times in t of the solve, or detach them",
                stacklevel=2,
            )
        times = torch.as_tensor(t, dtype=torch.float64)
        low, high = min(self._t0, self._t1), max(self._t0, self._t1)
        host = times.detach().reshape(-1).tolist()
        # In single precision the ends of a solve differ slightly from the numbers as written.
        resolution = self._resolution
        if isinstance(t, Tensor) and t.is_floating_point():
            resolution = max(resolution, torch.finfo(t.dtype).eps)
        slack = resolution * max(abs(low), abs(high))
        host = [min(max(x, low), high) if low - slack <= x <= high + slack else x for x in host]
        outside = [time for time in host if not low <= time <= high]
        if outside:
            raise ValueError(
                f"the solution is known from t={low!r} to t={high!r}; asked for t={outside[0]!r}"
            )
        sign = 1.0 if self._t1 >= self._t0 else -1.0
        starts = [sign * start for start in self._starts]
        indices = [max(0, bisect_right(starts, sign * time) - 1) for time in host]
        # A solve may end where it starts: by an event, or because its first step failed.
        values: list[Tensor] = [self._y0.reshape(-1)] * len(host)
        for index in sorted(set(indices)) if self._pieces else ():
            begin, h, interpolant = self._pieces[index]
            members = [i for i, other in enumerate(indices) if other == index]
            states = interpolant([(host[i] - begin) / h for i in members])
            for i, value in zip(members, states, strict=True):
                values[i] = value
        together = torch.stack(values) if values else self._y0.new_empty(0)
        together = together.reshape((*times.shape, *self._y0.shape))
        return self._state.unpack(together)
