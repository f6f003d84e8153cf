"""Backpropagation through the solver's own operations (the RK-Net of Chen et al. 2018, Table 1).

The gradient is exact for the discretised solve. Memory grows with the number of function
evaluations in accepted steps; rejected steps never enter the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..integrate import run
from ..methods.base import Stepper
from ..methods.functional_step import FunctionalStepper
from ..methods.make_stepper import functional_method
from ..problem import Problem
from ..solution import Trajectory
from ..validation import is_differentiated
from .base import Gradient
from .recorded_implicit_step import RecordedImplicitSteps
from .recorded_steps import FrozenGrid, RecordedSteps, TimedSteps

__all__ = ["Backprop"]


@dataclass(frozen=True)
class Backprop(Gradient):
    """Plain automatic differentiation, to any order.

    For an implicit method the stage equations are differentiated, at most twice, and not the
    iteration that solves them.

    For gradients of the times the grid is frozen: the steps keep their relative positions in the
    interval, so that moving t_0 or t_N stretches them uniformly up to the nearest jump of the
    vector field, and an output time inside a step moves along the interpolant. At the end of a
    step, derivatives with respect to an output time are right up to the second.

    With `Solver(compile=True)` it is differentiable once, unless the times need a gradient.
    """

    records_steps: ClassVar[bool] = True

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, with a graph, `(time, *state)`.

        Raises:
            ValueError: The method cannot be recorded, or not with gradients of the times.
        """
        grid = FrozenGrid(problem) if is_differentiated(problem.t) else None
        stepper = recorded_stepper(problem, grid)
        if grid is None:
            trajectory = run(problem, stepper, problem.start)
            ys = torch.stack(trajectory.outputs)
        else:
            store_slope = grid.store_slope
            trajectory = run(
                problem,
                stepper,
                problem.start,
                lambda t, h, y: store_slope(t, stepper.derivative(t, y)),
            )
            ys = grid.move_outputs_on_grid_points(torch.stack(trajectory.outputs))
        return ys.view(-1, *problem.y0.shape), trajectory

    def solve_samples(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """Like `solve`, with individual step sizes for the samples."""
        from ..per_sample_steps import solve_samples

        return solve_samples(problem)


def recorded_stepper(problem: Problem, grid: FrozenGrid | None) -> Stepper:
    """A stepper of the problem's method whose operations autograd can record.

    Args:
        grid: The frozen grid if the times need gradients, or None.

    Raises:
        ValueError: Autograd cannot record the method.
    """
    method = problem.solver.properties
    if method.family == "implicit":
        return RecordedImplicitSteps(problem, grid)
    if grid is not None:
        if method.family != "explicit":
            raise ValueError(
                "gradients with respect to t through recorded steps need a Runge-Kutta method; "
                f"found solver.method={method.name!r}; detach t, use a method such as 'rk4', or "
                "gradient='adjoint' outside of transforms"
            )
        return TimedSteps(problem, grid)
    if method.family == "explicit":
        return RecordedSteps(problem, problem.stage_times)
    if not method.recordable:
        raise ValueError(
            f"gradient='backprop' cannot record solver.method={method.name!r}; use "
            "gradient='adjoint', or torch.no_grad() where no gradient is needed"
        )
    field = problem.flat_field(problem.stats.forward)
    return FunctionalStepper(functional_method(problem.solver), field, problem.y0.numel())
