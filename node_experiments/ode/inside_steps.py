"""Interpolation of the solution inside accepted steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from .methods.base import Interpolant, Stepper
from .problem import Problem

__all__ = ["interpolates_by_substeps", "step_interpolant"]


def interpolates_by_substeps(problem: Problem) -> bool:
    """Whether an interpolant from the ends of a step may be off by far more than the tolerance.

    A step of an implicit method may be far longer than the time scales of the solution inside it,
    and on a stiff problem the derivatives at its ends amplify the error of the state.
    """
    return problem.solver.properties.family == "implicit"


def step_interpolant(
    problem: Problem, step: Stepper, t: float, h: float, y0: Tensor, y1: Tensor
) -> Interpolant:
    """Interpolant of an accepted step from (t, y0) to (t + h, y1); see `Stepper.interpolant`.

    For implicit methods it takes shorter steps from the start of the step. These evaluate the
    vector field whenever values are requested, and have no graph.
    """
    if interpolates_by_substeps(problem):
        return partial(_interpolate_by_substeps, problem, t, h, y0, y1)
    return step.interpolant(t, h, y0, y1)


def _interpolate_by_substeps(
    problem: Problem, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
) -> Tensor:
    ends = {0.0: y0, 1.0: y1}
    stepper = problem.stepper(problem.stats.forward)
    states = []
    with torch.inference_mode(False), torch.no_grad():  # Newton's method differentiates
        for theta in thetas:
            stepper.reset()
            states.append(ends[theta] if theta in ends else stepper.step(t, theta * h, y0))
        return torch.stack(states)
