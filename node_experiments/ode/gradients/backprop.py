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

from ..dense import hermite_interpolation, runge_kutta_interpolation
from ..forward import run
from ..integrate import Trajectory
from ..problem import Problem
from ..steps import make_recordable_step
from ..tableaus import EXPLICIT_TABLEAUS

__all__ = ["Backprop"]


@dataclass(frozen=True)
class Backprop:
    """Plain automatic differentiation; differentiable any number of times."""

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times, in the graph.

        Raises:
            ValueError: The times need gradients.
        """
        if problem.t.requires_grad:
            raise ValueError(
                "gradient='backprop' has no gradient for t, which requires one; "
                "take gradient='adjoint', or detach t"
            )
        step: Any = (
            DifferentiableStep(problem)
            if problem.solver.method in EXPLICIT_TABLEAUS
            else make_recordable_step(problem)
        )
        trajectory = run(problem, step, problem.y0.reshape(-1))
        return trajectory.ys.view(-1, *problem.y0.shape), trajectory


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
        derivative = problem.func(problem.time(t), y_shaped, *problem.args)
        return derivative.reshape(-1).to(y.dtype)

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        tableau = self._tableau
        self._stages = [self.derivative(t, y)]
        for i in range(1, tableau.stages):
            y_stage = self._combine(y, h, tableau.a[i])
            self._stages.append(self.probe(t + tableau.c[i] * h, y_stage))
        return y_stage if tableau.solution_is_last_stage else self._combine(y, h, tableau.b)

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
        tableau = self._tableau
        if tableau.dense is not None:
            stages = self._stages
            for c, row in zip(tableau.dense_c, tableau.dense_a, strict=True):
                point = self._combine(y0, h, row, stages)
                stages = [*stages, self.probe(t + c * h, point)]
            return partial(runge_kutta_interpolation, tableau, y0, torch.stack(stages), h)
        if self._end is None:
            self._end = self.probe(t + h, y1)
        return partial(hermite_interpolation, y0, self._stages[0], y1, self._end, h)

    def forget(self) -> None:
        self._first = None

    def _combine(
        self, y: Tensor, h: float, weights: Sequence[float], stages: Sequence[Tensor] = ()
    ) -> Tensor:
        for weight, stage in zip(weights, stages or self._stages, strict=False):
            if weight != 0.0:
                y = torch.add(y, stage, alpha=h * weight)
        return y
