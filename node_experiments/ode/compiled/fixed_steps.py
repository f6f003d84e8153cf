"""Fixed steps that end at all output times: a loop that does nothing but call compiled code."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..methods.base import Stepper
from ..problem import Problem
from ..solution import Trajectory
from .step_grid import StepGrid, grid_of
from .stepper import CompiledSteps

__all__ = ["FixedSolve", "fixed_solve"]


class FixedSolve(NamedTuple):
    """A solve that ran over a grid.

    Attributes:
        ys: States at the output times, shape `(time, *state)`.
        states: Those at the starts of all steps.
        firsts: The derivatives that the steps were given, if they were.
    """

    ys: Tensor
    trajectory: Trajectory
    grid: StepGrid
    states: list[Tensor]
    firsts: list[Tensor]


def fixed_solve(problem: Problem, stepper: Stepper) -> FixedSolve | None:
    """The solve, without a graph; None where its steps are not all known beforehand.

    That is where they are adaptive, where an output is inside of one, and where somebody looks at
    each of them.
    """
    watched = problem.observe is not None or problem.watch is not None
    if watched or not problem.solver.fixed_steps or not isinstance(stepper, CompiledSteps):
        return None
    resolution = torch.finfo(problem.t.dtype).eps
    grid = grid_of(problem.solver, problem.times, stepper.nodes, problem.y0, resolution)
    if grid is None:
        return None
    states, firsts = stepper.steps(problem.start.detach(), grid)
    outputs = [states[i] for i in grid.outputs]
    trajectory = Trajectory(outputs, t=problem.times[-1], h=grid.sizes[-1])
    return FixedSolve(torch.stack(outputs), trajectory, grid, states[:-1], firsts)
