"""The solution as a function of time."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from typing import Any

import torch
from torch import Tensor

from .inside_steps import inside_of
from .methods.base import Interpolant, Stepper
from .problem import Problem
from .state import FlatState

__all__ = ["DenseOutput"]


class DenseOutput:
    """The interpolants of all accepted steps, callable at any time of the solve.

    It holds the stages of every step. Its values have gradients when the solve was made by
    `gradient="backprop"`, with a method that is not implicit and without events, and none
    otherwise: events are looked for without a graph, and so are values inside implicit steps.
    They have none with respect to `t`.

    Attributes:
        lacks_gradient: Whether the solution has a gradient that these values do not have; the
            first one that is asked for with gradients enabled warns of it.

    Args:
        problem: What is solved.
        state: How the state was packed.
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
        """Keep the interpolant of an accepted step; the answer lets the solve continue."""
        self._pieces.append((t, h, inside_of(problem, step, t, h, y0, y1)))
        self._starts.append(t)
        self._t1 = t + h
        return False

    def end_at(self, t: float) -> None:
        """The solution ends here: by an event inside its last step, or within rounding of it."""
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
        """The state at `t`, of any shape; its axes come before those of the state.

        Raises:
            ValueError: A time outside the solve.
        """
        if self.lacks_gradient and torch.is_grad_enabled():
            self.lacks_gradient = False
            warnings.warn(
                "values of solution.interpolant have no gradient here; take gradient='backprop' "
                "without events and with a method that is not implicit, ask for these times in "
                "t, or read them under torch.no_grad()",
                stacklevel=2,
            )
        times = torch.as_tensor(t, dtype=torch.float64)
        low, high = min(self._t0, self._t1), max(self._t0, self._t1)
        host = times.detach().reshape(-1).tolist()
        # The ends of a solve in single precision are not quite what they are written as.
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
        places = [max(0, bisect_right(starts, sign * time) - 1) for time in host]
        # A solve may end where it starts: by an event, or as its first step failed.
        values: list[Tensor] = [self._y0.reshape(-1)] * len(host)
        for place in sorted(set(places)) if self._pieces else ():
            begin, h, interpolant = self._pieces[place]
            members = [i for i, p in enumerate(places) if p == place]
            states = interpolant([(host[i] - begin) / h for i in members])
            for i, value in zip(members, states, strict=True):
                values[i] = value
        together = torch.stack(values) if values else self._y0.new_empty(0)
        together = together.reshape((*times.shape, *self._y0.shape))
        return self._state.unpack(together)
