"""Gradients of the output times, on the frozen grid.

The accepted steps keep their relative positions in the interval: moving t_0 or t_N stretches them
uniformly up to the nearest jump of the vector field. A step depends on both of its ends: its
stages are at t + c_i h, and its size h scales them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..problem import Problem
from .backward_pass import Evaluation

__all__ = ["TimeCotangents"]


@dataclass
class TimeCotangents:
    """Accumulates the gradients of the output times.

    Attributes:
        like: A tensor of the dtype and on the device of the state.
    """

    problem: Problem
    like: Tensor
    _total: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self._total = self.like.new_zeros(len(self.problem.times))

    def at(self, t: float, value: Tensor | None) -> None:
        """Add a gradient with respect to a grid time t, split between t_0 and t_N."""
        if value is None:
            return
        with_first, with_last = self.problem.grid_time_derivatives(t)
        self._total[0].add_(value, alpha=with_first)
        self._total[-1].add_(value, alpha=with_last)

    def inside(self, t: float, t_end: float, c: float, value: Tensor | None) -> None:
        """Add a gradient with respect to t + c h of a step; c may be outside [0, 1].

        Such a time moves with its own step and not with the grid around it, which may end or have
        a jump before it.
        """
        if value is not None:
            self.at(t, value * (1 - c))
            self.at(t_end, value * c)

    def stage(self, t: float, t_end: float, cotangent: Tensor, evaluation: Evaluation) -> None:
        """Add the gradient of the step size, from the cotangent of k_i in this step, `(n,)`."""
        derivative = evaluation.derivative.detach().reshape(-1).to(cotangent.dtype)
        value = torch.dot(cotangent, derivative) / (t_end - t)
        self.at(t_end, value)
        self.at(t, -value)

    def output(self, j: int, value: Tensor) -> None:
        """Add a gradient with respect to output time j relative to the grid."""
        self._total[j].add_(value)
        self.at(self.problem.times[j], -value)

    def outputs(self, which: slice, values: Tensor) -> None:
        """Add gradients of the output times in the slice `which`, one value each."""
        self._total[which].add_(values)

    def total(self) -> Tensor:
        """Gradients of the output times, shape `(time,)`, in the dtype of t."""
        return self._total.to(self.problem.t)
