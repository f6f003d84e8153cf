"""Implicit Runge-Kutta steps that autograd can record.

Newton's method solves the stages without a graph. Two further iterations of it are recorded,
starting from the solution k and with the Jacobian M of the equations there:

    k <- k + M^-1 (f(t + c h, base + h A k) - k).

They hardly change k. But if the equations are perturbed, an iteration with an exact, frozen
Jacobian raises the order of the error in the perturbation from p to p + 1. So the first iteration
makes the first derivatives of k exact and the second one the second derivatives, as the implicit
function theorem gives them, whatever the iterations of Newton's method were.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..methods.base import Interpolant, Stepper, Time
from ..methods.interpolation import hermite_interpolation
from ..problem import Problem
from .recorded_steps import FrozenGrid, timed_interpolation
from .replay import implicit_stepper
from .stage_equation import StageSystem

__all__ = ["RecordedImplicitSteps"]

ITERATIONS = 2  # recorded; also the highest order of exact derivatives


class RecordedImplicitSteps(Stepper):
    """The steps of `ImplicitRungeKutta`, with a graph of their solved stages.

    Args:
        grid: The frozen grid if the times need gradients, or None.
    """

    needs_accept = True

    def __init__(self, problem: Problem, grid: FrozenGrid | None = None):
        self._problem, self._grid = problem, grid
        self._tableau = problem.runge_kutta
        self._field = problem.flat_field(problem.stats.forward)
        self._stepper = implicit_stepper(problem, problem.stats.forward)
        self._first: Tensor | None = None
        self._end: Tensor | None = None
        self.stages: list[Tensor] = []

    def derivative(self, t: float, y: Tensor) -> Tensor:
        if self._first is None:
            self._first = self.evaluate(t, y)
        return self._first

    def evaluate(self, t: float, y: Tensor) -> Tensor:
        if self._grid is None:
            return self._field(t, y)
        return self._field(self._problem.time(t) + self._grid.displacement(t), y)

    def step(self, t: float, h: float, y: Tensor) -> Tensor:
        tableau, grid = self._tableau, self._grid
        size: Time = h if grid is None else grid.size(t, h)
        first = self.derivative(t, y)
        self._stepper.resume(first.detach())
        with torch.no_grad():
            y_next = self._stepper.step(t, h, y.detach())
        if not self._problem.solver.fixed_steps:
            self.error = self._stepper.error
        solved, points = self._stepper.stages, self._stepper.points
        stages = self.stages = [first]
        for block in tableau.blocks:
            rows = [tableau.matrix[i][block.start : block.stop] for i in block]
            ha = y.new_tensor(rows) * size
            before = y.new_tensor([tableau.matrix[i][: block.start] for i in block])
            base = y + (before * size) @ torch.stack(stages)
            times = [
                t + tableau.c[i] * h if grid is None else grid.stage_time(t, h, tableau.c[i])
                for i in block
            ]
            k = torch.stack(solved[block.start : block.stop])
            system: StageSystem | None = None
            for _ in range(ITERATIONS):
                at = (base + ha @ k).unbind()
                residual = torch.stack(list(map(self._field, times, at))) - k
                if not residual.requires_grad:
                    break
                if system is None:
                    system = self._system(t, h, block, points, ha.detach())
                k = k + SolveStages.apply(residual, system, 0, False)
            stages += k.unbind()
        # Where the times need gradients the step size has a graph, even if no stage has one.
        recorded = isinstance(size, Tensor) or any(x.requires_grad for x in (y, *stages))
        if recorded:
            y_next = y + (y.new_tensor(tableau.b) * size) @ torch.stack(stages)
        self._last = t, y, y_next
        return y_next

    def accept(self, h: float) -> None:
        if self._grid is not None:
            self._move_outputs(self._grid, h)
        self._first = self.stages[-1] if self._tableau.first_same_as_last else self._end
        self._end = None
        self._stepper.accept(h)

    def _move_outputs(self, grid: FrozenGrid, h: float) -> None:
        """Keep the slopes of linearly interpolated outputs in the last step and at a jump."""
        t, y, y_next = self._last
        if self._problem.solver.interpolation == "linear":
            grid.store_line_slope(t, h, y, y_next)
        jump = grid.jump_at(t + h)
        if jump is not None:
            slope = self._derivative_at_end(t, h, y_next)
            grid.store_slope_before_jump(jump, t + h, slope)

    def _derivative_at_end(self, t: float, h: float, y1: Tensor) -> Tensor:
        if self._tableau.first_same_as_last:
            return self.stages[-1]
        if self._end is None:
            self._end = self.evaluate(t + h, y1)
        return self._end

    def reset(self) -> None:
        self._first = None
        self._stepper.reset()

    def interpolant(self, t: float, h: float, y0: Tensor, y1: Tensor) -> Interpolant:
        end = self._derivative_at_end(t, h, y1)
        if self._grid is None:
            return partial(hermite_interpolation, y0, self.stages[0], y1, end, h)
        parts = [y0, y1, *self.stages, end]
        return partial(timed_interpolation, self._grid, self._tableau, t, h, parts)

    def _system(
        self, t: float, h: float, block: range, points: Sequence[Tensor], ha: Tensor
    ) -> StageSystem:
        self._problem.stats.forward.evaluations += len(block)
        times = [t + self._tableau.c[i] * h for i in block]
        at = [points[i] for i in block]
        return StageSystem(list(map(self._problem.linearize, times, at)), ha)


class SolveStages(torch.autograd.Function):
    """The linear map b -> M^-1 b with a fixed M."""

    @staticmethod
    def forward(ctx: Any, b: Tensor, system: StageSystem, order: int, transposed: bool) -> Tensor:
        ctx.system, ctx.order, ctx.transposed = system, order, transposed
        return system.solve(b, transposed)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.order == ITERATIONS:
            raise ValueError(
                f"gradient='backprop' through implicit methods has derivatives up to order "
                f"{ITERATIONS}, and a higher one was asked for; use an explicit method"
            )
        x = SolveStages.apply(grad, ctx.system, ctx.order + 1, not ctx.transposed)
        return x, None, None, None
