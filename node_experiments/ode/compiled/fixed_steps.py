"""Fixed steps that end at all output times: a loop that does nothing but call compiled code."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..methods.base import Stepper
from ..problem import Problem
from ..solution import Trajectory
from .step_grid import StepGrid, make_step_grid
from .stepper import CompiledSteps

__all__ = ["FixedSolve", "fixed_solve"]


class FixedSolve(NamedTuple):
    """The result of a solve on a fixed grid.

    Attributes:
        ys: States at the output times, shape `(time, *state)`.
        states: States at the starts of all steps.
        firsts: Derivatives at the starts of all steps, if the steps take them as inputs.
    """

    ys: Tensor
    trajectory: Trajectory
    grid: StepGrid
    states: list[Tensor]
    firsts: list[Tensor]


def fixed_solve(problem: Problem, stepper: Stepper) -> FixedSolve | None:
    """Solve on a fixed grid, without a graph; None if the problem does not allow it.

    It does not if steps are adaptive, if an output is inside a step, or if a callback observes
    the steps.
    """
    watched = problem.observe is not None or problem.watch is not None
    if watched or not problem.solver.fixed_steps or not isinstance(stepper, CompiledSteps):
        return None
    resolution = torch.finfo(problem.t.dtype).eps
    grid = make_step_grid(problem.solver, problem.times, stepper.nodes, problem.y0, resolution)
    if grid is None:
        return None
    states, firsts = stepper.steps(problem.start.detach(), grid)
    outputs = [states[i] for i in grid.outputs]
    trajectory = Trajectory(outputs, t=problem.times[-1], h=grid.sizes[-1])
    return FixedSolve(torch.stack(outputs), trajectory, grid, states[:-1], firsts)
