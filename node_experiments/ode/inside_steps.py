"""The solution inside accepted steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from .methods.base import Interpolant, Stepper
from .methods.registry import METHODS
from .problem import Problem

__all__ = ["inside_of", "needs_shorter_steps"]


def needs_shorter_steps(problem: Problem) -> bool:
    """Whether an interpolant from the ends of a step may be off by far more than the tolerance.

    A step of an implicit method may be far longer than the detail of the solution inside it, and
    on a stiff problem the derivatives at its ends have the error of the state many times over.
    """
    return METHODS[problem.solver.method].family == "implicit"


def inside_of(
    problem: Problem, step: Stepper, t: float, h: float, y0: Tensor, y1: Tensor
) -> Interpolant:
    """The solution in an accepted step from (t, y0) to (t + h, y1), as `Stepper.interpolant`.

    For implicit methods it is that of shorter steps from its start, which evaluate the vector
    field when they are asked for, and have no graph.
    """
    if needs_shorter_steps(problem):
        return partial(_shorter_steps, problem, t, h, y0, y1)
    return step.interpolant(t, h, y0, y1)


def _shorter_steps(
    problem: Problem, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
) -> Tensor:
    ends = {0.0: y0, 1.0: y1}
    stepper = problem.stepper(problem.stats.forward)
    states = []
    with torch.no_grad():
        for theta in thetas:
            stepper.reset()
            states.append(ends[theta] if theta in ends else stepper.step(t, theta * h, y0))
        return torch.stack(states)
