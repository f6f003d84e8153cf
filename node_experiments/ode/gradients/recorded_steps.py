"""Explicit Runge-Kutta steps that autograd can record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..methods.interpolation import hermite_interpolation, runge_kutta_interpolation
from ..problem import Problem
from ..vector_field import in_own_memory

__all__ = ["DifferentiableStep"]


class DifferentiableStep:
    """The step of `ExplicitStep`, out of place, so that autograd can record it."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._tableau = problem.runge_kutta
        self._stages: list[Tensor] | Tensor = []
        self._first: Tensor | None = None
        self._end: Tensor | None = None

    def derivative(self, t: float, y: Tensor) -> Tensor:
        if self._first is None:
            self._first = self.probe(t, y)
        return self._first

    def probe(self, t: float, y: Tensor) -> Tensor:
        return self.evaluate(self.time(t), y)

    def evaluate(self, time: Tensor, y: Tensor) -> Tensor:
        """dy/dt at a time as the vector field sees it, shape `(n,)`."""
        problem = self._problem
        problem.stats.forward.evaluations += 1
        y_shaped = y.view(problem.y0.shape)
        derivative = problem.func(time, y_shaped, *problem.args)
        return in_own_memory(derivative.reshape(-1).to(y.dtype))

    def time(self, t: float) -> Tensor:
        """The time as the vector field sees it, 0-d."""
        return self._problem.time(t)

    def size(self, t: float, h: float) -> float | Tensor:
        """The size of a step as it enters the solution."""
        return h

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        tableau = self._tableau
        size = self.size(t, h)
        stages = self._stages = [self.derivative(t, y)]
        for i in range(1, tableau.stages):
            y_stage = self._combine(y, size, tableau.a[i])
            stages.append(self.probe(t + tableau.c[i] * h, y_stage))
        if tableau.solution_is_last_stage:
            return y_stage
        if tableau.stages == 1:
            return self._combine(y, size, tableau.b)
        # A sum that starts at y would round once for each stage, always to the same side.
        return y + self._combine(torch.zeros_like(y), size, tableau.b)

    def error(self, h: float) -> Tensor:
        assert self._tableau.b_error is not None
        weights = self._stages[0].new_tensor(self._tableau.b_error)
        return torch.mv(self._stacked().t(), weights).mul_(h)

    def accept(self, h: float) -> None:
        self._first = self._stages[-1] if self._tableau.first_same_as_last else self._end
        self._end = None

    def interpolate(
        self, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        return self.interpolant(t, h, y0, y1)(thetas)

    def interpolant(
        self, t: float, h: float, y0: Tensor, y1: Tensor
    ) -> Callable[[Sequence[float]], Tensor]:
        if self._tableau.dense is not None:
            more = self._tableau.dense_a
            stages = torch.stack(self._dense_stages(t, h, y0)) if more else self._stacked()
            return partial(runge_kutta_interpolation, self._tableau, y0, stages, h)
        end = self._end_derivative(t, h, y1)
        return partial(hermite_interpolation, y0, self._stages[0], y1, end, h)

    def _dense_stages(self, t: float, h: float, y0: Tensor) -> list[Tensor]:
        """The stages of the step and those that only its interpolant needs."""
        tableau, stages = self._tableau, list(self._stages)
        for c, row in zip(tableau.dense_c, tableau.dense_a, strict=True):
            point = self._combine(y0, self.size(t, h), row, stages)
            stages.append(self.probe(t + c * h, point))
        return stages

    def _end_derivative(self, t: float, h: float, y1: Tensor) -> Tensor:
        if self._tableau.first_same_as_last:
            return self._stages[-1]
        if self._end is None:
            self._end = self.probe(t + h, y1)
        return self._end

    def _stacked(self) -> Tensor:
        """The stages of the last step, shape `(stage, n)`."""
        stages = self._stages
        return stages if isinstance(stages, Tensor) else torch.stack(stages)

    def forget(self) -> None:
        self._first = None

    def _combine(
        self,
        y: Tensor,
        size: float | Tensor,
        weights: Sequence[float],
        stages: Sequence[Tensor] = (),
    ) -> Tensor:
        for weight, stage in zip(weights, stages or self._stages, strict=False):
            if weight != 0.0:
                if isinstance(size, Tensor):
                    y = torch.addcmul(y, stage, size, value=weight)
                else:
                    y = torch.add(y, stage, alpha=size * weight)
        return y
