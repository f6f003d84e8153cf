"""Backpropagation through the solver's own operations (the RK-Net of Chen et al. 2018, Table 1).

The gradient is exact for the discretised solve, and the memory grows with every evaluation of
the accepted steps. Rejected steps never enter the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..dense import hermite_interpolation, output_weights, runge_kutta_interpolation
from ..forward import run
from ..integrate import Trajectory
from ..problem import Problem
from ..steps import make_recordable_step
from ..tableaus import EXPLICIT_TABLEAUS

__all__ = ["Backprop"]


@dataclass(frozen=True)
class Backprop:
    """Plain automatic differentiation; differentiable any number of times.

    The times of the steps keep their place in the interval: moving t_0 or t_N stretches all steps
    alike, up to a jump of the vector field, and an output time inside a step moves along the
    interpolant (the frozen grid).
    """

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, in the graph; `(time, *state)`.

        Raises:
            ValueError: A method that cannot be recorded, or whose times cannot.
        """
        y0 = problem.y0.reshape(-1)
        if problem.t.requires_grad:
            step = TimedStep(problem)
            trajectory = run(problem, step, y0, step.start)
            ys = step.move_outputs_on_grid_points(trajectory.ys)
        else:
            plain: Any = (
                DifferentiableStep(problem)
                if problem.solver.method in EXPLICIT_TABLEAUS
                else make_recordable_step(problem)
            )
            trajectory = run(problem, plain, y0)
            ys = trajectory.ys
        return ys.view(-1, *problem.y0.shape), trajectory


class DifferentiableStep:
    """The step of `ExplicitStep`, out of place, so that autograd can record it."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._tableau = problem.tableau
        self._stages: list[Tensor] = []
        self._first: Tensor | None = None
        self._end: Tensor | None = None

    def derivative(self, t: float, y: Tensor) -> Tensor:
        if self._first is None:
            self._first = self.probe(t, y)
        return self._first

    def probe(self, t: float, y: Tensor) -> Tensor:
        problem = self._problem
        problem.stats.forward.evaluations += 1
        y_shaped = y.view(problem.y0.shape)
        derivative = problem.func(self.time(t), y_shaped, *problem.args)
        return derivative.reshape(-1).to(y.dtype)

    def time(self, t: float) -> Tensor:
        """The time as the vector field sees it, 0-d."""
        return self._problem.time(t)

    def size(self, t: float, h: float) -> float | Tensor:
        """The size of a step as it enters the solution."""
        return h

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        tableau = self._tableau
        size = self.size(t, h)
        self._stages = [self.derivative(t, y)]
        for i in range(1, tableau.stages):
            y_stage = self._combine(y, size, tableau.a[i])
            self._stages.append(self.probe(t + tableau.c[i] * h, y_stage))
        return y_stage if tableau.solution_is_last_stage else self._combine(y, size, tableau.b)

    def error(self, h: float) -> Tensor:
        assert self._tableau.b_error is not None
        weights = self._stages[0].new_tensor(self._tableau.b_error)
        return torch.mv(torch.stack(self._stages).t(), weights).mul_(h)

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
            stages = torch.stack(self._dense_stages(t, h, y0))
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


class TimedStep(DifferentiableStep):
    """The same step with its times in the graph, as functions of the output times."""

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self._slopes: dict[float, Tensor] = {}
        self._next_output = 1

    def start(self, t: float, h: float, y: Tensor) -> None:
        """Remember the derivative at the start of an accepted step."""
        self._slopes[t] = self._stages[0]

    def time(self, t: float) -> Tensor:
        return self._problem.time(t) + self._motion(t)

    def size(self, t: float, h: float) -> float | Tensor:
        return h + (self._motion(t + h) - self._motion(t))

    def interpolate(
        self, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        times, size = self._problem.times, self.size(t, h)
        if self._tableau.dense is None:
            parts = [y0, y1, *self._stages, self._end_derivative(t, h, y1)]
        else:
            parts = [y0, y1, *self._dense_stages(t, h, y0)]
        while (times[self._next_output] - t) / h <= 0:
            self._next_output += 1
        rows = []
        for j, theta in enumerate(thetas, start=self._next_output):
            w = output_weights(self._tableau, theta + self._shift(j) / size)
            weights = [w.start, w.end, *(size * x for x in w.stages), size * w.end_derivative]
            terms = (x * part for x, part in zip(weights, parts, strict=False))
            rows.append(sum(terms, start=torch.zeros_like(y0)))
        return torch.stack(rows)

    def move_outputs_on_grid_points(self, ys: Tensor) -> Tensor:
        """Output times between the ends that are grid points move along the solution's slope."""
        rows = list(ys)
        for j, t in enumerate(self._problem.times[: len(rows)]):
            if j > 0 and t in self._slopes:
                rows[j] = rows[j] + self._slopes[t] * self._shift(j)
        return torch.stack(rows)

    def _motion(self, t: float) -> Tensor:
        """Zero, with the gradient of a time that keeps its place between t_0 and t_N."""
        leaf = self._problem.t
        with_first, with_last = self._problem.motion(t)
        return _zero(leaf[0] * with_first + leaf[-1] * with_last).to(self._problem.y0.dtype)

    def _shift(self, j: int) -> Tensor:
        """Zero, with the gradient of output time j against the grid."""
        return _zero(self._problem.t[j]).to(self._problem.y0.dtype) - self._motion(
            self._problem.times[j]
        )


def _zero(x: Tensor) -> Tensor:
    """Zero with the gradient of x: times take their value, free of rounding, from the host."""
    return x - x.detach()
