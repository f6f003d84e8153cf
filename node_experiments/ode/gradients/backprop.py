"""Backpropagation through the solver's own operations (the RK-Net of Chen et al. 2018, Table 1).

The gradient is exact for the discretised solve, and the memory grows with every evaluation of
the accepted steps. Rejected steps never enter the graph.
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
from ..methods.registry import METHODS
from ..problem import Problem
from ..solution import Trajectory
from ..validation import is_differentiated
from .base import Gradient
from .recorded_implicit_step import RecordedImplicitSteps
from .recorded_steps import FrozenGrid, RecordedSteps, TimedSteps

__all__ = ["Backprop"]


@dataclass(frozen=True)
class Backprop(Gradient):
    """Plain automatic differentiation; differentiable any number of times.

    Of an implicit method the equations are differentiated and not the iteration that solves them,
    at most twice.

    The times of the steps keep their place in the interval: moving t_0 or t_N stretches all steps
    alike, up to a jump of the vector field, and an output time inside a step moves along the
    interpolant (the frozen grid).

    With `Solver(compile=True)` it is differentiable once, unless the times need a gradient.
    """

    records_steps: ClassVar[bool] = True

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, in the graph; `(time, *state)`.

        Raises:
            ValueError: A method that cannot be recorded, or whose times cannot be.
        """
        grid = FrozenGrid(problem) if is_differentiated(problem.t) else None
        stepper = recorded_stepper(problem, grid)
        if grid is None:
            trajectory = run(problem, stepper, problem.start)
            ys = torch.stack(trajectory.outputs)
        else:
            remember = grid.remember
            trajectory = run(
                problem,
                stepper,
                problem.start,
                lambda t, h, y: remember(t, stepper.derivative(t, y)),
            )
            ys = grid.move_outputs_on_grid_points(torch.stack(trajectory.outputs))
        return ys.view(-1, *problem.y0.shape), trajectory

    def solve_samples(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """As `solve`, with a step size for every sample."""
        from ..per_sample_steps import solve_samples

        return solve_samples(problem)


def recorded_stepper(problem: Problem, grid: FrozenGrid | None) -> Stepper:
    """Steps of the problem's method that autograd can record.

    Args:
        grid: Where the times are to be in the graph.

    Raises:
        ValueError: A method whose operations autograd cannot record.
    """
    method = METHODS[problem.solver.method]
    if method.family == "implicit":
        return RecordedImplicitSteps(problem, grid)
    if grid is not None:
        if method.family != "explicit":
            raise ValueError(
                "operations of the steps have a gradient with respect to t where the method is "
                f"of Runge-Kutta; found solver.method={method.name!r}; detach t, take a method "
                "such as 'rk4', or gradient='adjoint' outside of transforms"
            )
        return TimedSteps(problem, grid)
    if method.family == "explicit":
        return RecordedSteps(problem, problem.clock)
    if not method.recordable:
        raise ValueError(
            f"gradient='backprop' cannot record solver.method={method.name!r}; take "
            "gradient='adjoint', or torch.no_grad() where no gradient is needed"
        )
    field = problem.flat_field(problem.stats.forward)
    return FunctionalStepper(functional_method(problem.solver), field, problem.y0.numel())
