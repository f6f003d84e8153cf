"""Recorded steps whose times are recorded too."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..methods.interpolation import output_weights
from ..problem import Problem
from .recorded_steps import DifferentiableStep

__all__ = ["TimedStep"]


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
