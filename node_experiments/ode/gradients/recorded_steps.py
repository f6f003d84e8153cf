"""Explicit Runge-Kutta steps that autograd records, with or without gradients of the times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..methods.base import Interpolant
from ..methods.butcher_tableau import Tableau
from ..methods.explicit_runge_kutta import ExplicitRungeKutta, StageTimes
from ..methods.interpolation import output_weights
from ..problem import Problem

__all__ = ["FrozenGrid", "RecordedSteps", "TimedSteps", "timed_interpolation"]


class RecordedSteps(ExplicitRungeKutta[float]):
    """Steps of the problem's explicit method with a graph.

    Args:
        stage_times: Makes the times of the stages; see `ExplicitRungeKutta`.
    """

    def __init__(self, problem: Problem, stage_times: StageTimes[float] | None):
        super().__init__(
            problem.tableau,
            problem.func,
            problem.y0,
            problem.stats.forward,
            args=problem.args,
            adaptive=not problem.solver.fixed_steps,
            records=True,
            stage_times=stage_times,
        )


class FrozenGrid:
    """The times of steps as functions of the output times.

    Moving t_0 or t_N stretches the steps uniformly up to the nearest jump of the vector field, and
    an output time inside a step moves along the interpolant. One between two steps moves along the
    solution, with first and second derivatives.

    Attributes:
        jumps: Output times at which the vector field jumps. The step before ends there, and the
            next one starts just after it, with another derivative.
    """

    def __init__(self, problem: Problem):
        self._problem = problem
        self._slopes: dict[float, Tensor] = {}
        self._lines: dict[float, Tensor] = {}
        self._before_jump: dict[float, float] = {}
        self._next_output = 1
        self.jumps = set(problem.solver.jump_t) & set(problem.times[1:-1])

    def stage_times(
        self, t: float, h: float, nodes: Sequence[float]
    ) -> tuple[list[Tensor], Tensor]:
        """Times of the stages, and the step size."""
        times = [self._problem.time(t + c * h) + self.displacement(t + c * h) for c in nodes]
        return times, self.size(t, h)

    def size(self, t: float, h: float) -> Tensor:
        """The size of a step, 0-d."""
        return h + (self.displacement(t + h) - self.displacement(t))

    def stage_time(self, t: float, h: float, c: float) -> Tensor:
        """The time of a stage of an implicit method; it moves with its step even if outside it."""
        moved = self.displacement(t) * (1 - c) + self.displacement(t + h) * c
        return self._problem.time(t + c * h) + moved

    def displacement(self, t: float) -> Tensor:
        """Zero, with the gradient of a time that keeps its relative position on the grid."""
        leaf = self._problem.t
        with_first, with_last = self._problem.grid_time_derivatives(t)
        time = leaf[0] * with_first + leaf[-1] * with_last
        return zero_with_gradient(time).to(self._problem.y0.dtype)

    def output_displacement(self, j: int) -> Tensor:
        """Zero, with the gradient of output time j relative to the grid."""
        time = zero_with_gradient(self._problem.t[j]).to(self._problem.y0.dtype)
        return time - self.displacement(self._problem.times[j])

    def outputs_inside(self, t: float, h: float) -> dict[float, int]:
        """Indices of the outputs inside a step, by their relative positions in it, 0 to 1.

        Steps must be asked for in order; an earlier step after a later one has no outputs.
        """
        times = self._problem.times
        while (times[self._next_output] - t) / h <= 0:
            self._next_output += 1
        places = {}
        for j in range(self._next_output, len(times)):
            theta = (times[j] - t) / h
            if theta >= 1:
                break
            places[theta] = j
        return places

    def store_slope(self, t: float, slope: Tensor) -> None:
        """Keep the derivative at the start of an accepted step."""
        self._slopes[t] = slope

    def jump_at(self, t: float) -> float | None:
        """The element of `jumps` at which a step ends, or None."""
        resolution = 2 * torch.finfo(self._problem.y0.dtype).eps
        for jump in self.jumps:
            if abs(t - jump) <= resolution * max(abs(jump), 1e-3):
                return jump
        return None

    def store_slope_before_jump(self, jump: float, t: float, slope: Tensor) -> None:
        """Keep the derivative at the end t of the step before a jump."""
        self._slopes[jump], self._before_jump[jump] = slope, t

    def store_line_slope(self, t: float, h: float, y0: Tensor, y1: Tensor) -> None:
        """Keep the slope of the line between the ends of a step, for the outputs on it."""
        for j in self.outputs_inside(t, h).values():
            self._lines[self._problem.times[j]] = (y1 - y0) / self.size(t, h)

    def move_outputs_on_grid_points(self, ys: Tensor) -> Tensor:
        """Let outputs at inner grid points move with their times, along the solution.

        Outputs on the line between the ends of a step move along that line.
        """
        rows = list(ys)
        for j, t in enumerate(self._problem.times[: len(rows)]):
            if j == 0:
                continue
            moved = self.output_displacement(j)
            if t in self._lines:
                rows[j] = rows[j] + self._lines[t] * moved
            elif t in self._slopes:
                # A step of the midpoint method has the second derivative of the solution; the
                # first one is that of the recorded step, whose last stage may be less accurate.
                slope = self._slopes[t]
                middle = self._slope_after(t, moved / 2, rows[j] + slope * (moved / 2))
                rows[j] = rows[j] + (middle + (slope - middle).detach()) * moved
        return torch.stack(rows)

    def _slope_after(self, t: float, moved: Tensor, y: Tensor) -> Tensor:
        """The derivative at the state y at an output time t that moved."""
        problem, at = self._problem, self._before_jump.get(t, t)
        time = problem.time(at) + self.displacement(t) + moved
        return problem.flat_field(problem.stats.forward)(time, y.reshape(-1)).view_as(y)


class TimedSteps(RecordedSteps):
    """Recorded steps whose times are in the graph, on a frozen grid."""

    def __init__(self, problem: Problem, grid: FrozenGrid):
        super().__init__(problem, grid.stage_times)
        self._grid, self._last = grid, 0.0
        self._is_linear = problem.solver.interpolation == "linear"
        self.needs_accept = self._is_linear or bool(grid.jumps)

    def step(self, t: float, h: float, y: Tensor, only: Iterable[int] | None = None) -> Tensor:
        self._last = t
        return super().step(t, h, y, only)

    def accept(self, h: float) -> None:
        assert self._start is not None
        assert self._end is not None
        t, y1 = self._last, self._end
        if self._is_linear:
            self._grid.store_line_slope(t, h, self._start, y1)
        jump = self._grid.jump_at(t + h)
        if jump is not None:
            slope = self.derivative_at_end(t, h, y1)
            self._grid.store_slope_before_jump(jump, t + h, slope)

    def interpolant(self, t: float, h: float, y0: Tensor, y1: Tensor) -> Interpolant:
        stages = self.dense_stages(t, h, y0)
        if self.tableau.dense is None:
            stages = [*stages, self.derivative_at_end(t, h, y1)]
        return partial(timed_interpolation, self._grid, self.tableau, t, h, [y0, y1, *stages])


def timed_interpolation(
    grid: FrozenGrid,
    tableau: Tableau,
    t: float,
    h: float,
    parts: Sequence[Tensor],
    thetas: Sequence[float],
) -> Tensor:
    """States inside a step as functions of the output times.

    States at other times keep their relative positions in the step.

    Args:
        parts: The states at both ends, then the derivatives; see `output_weights`.
    """
    size, rows, outputs = grid.size(t, h), [], grid.outputs_inside(t, h)
    for theta in thetas:
        moved = (
            theta + grid.output_displacement(outputs[theta]) / size if theta in outputs else theta
        )
        w = output_weights(tableau, moved)
        weights = [w.start, w.end, *(size * x for x in w.stages), size * w.end_derivative]
        terms = (x * part for x, part in zip(weights, parts, strict=False))
        rows.append(sum(terms, start=torch.zeros_like(parts[0])))
    return torch.stack(rows)


def zero_with_gradient(x: Tensor) -> Tensor:
    """Zero with the gradient of x; the values of times come from the host, without rounding."""
    return x - x.detach()
