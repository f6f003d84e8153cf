"""Recorded steps that are one compiled function each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..compile import compiled_step
from ..problem import Problem
from .recorded_steps import DifferentiableStep

__all__ = ["CompiledStep"]


class CompiledStep(DifferentiableStep):
    """The same step as one function with one way back, in which autograd records nothing."""

    def __init__(self, problem: Problem):
        super().__init__(problem)
        self._shape = problem.y0.shape
        func: Any = problem.func
        self._field = func.without_random_numbers()
        self._step = compiled_step(func.origin, problem.y0.device)

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        tableau, first = self._tableau, self._first
        if not y.requires_grad:
            # One more kind of input would be compiled one more time. Whether the vector field
            # needs gradients is seen from its derivative.
            if first is None or not first.requires_grad:
                return super().__call__(t, h, y)
            y = y.detach().requires_grad_()
        self._problem.stats.forward.evaluations += tableau.stages - (first is not None)
        numbers = [h, *(t + c * h for c in tableau.c)]
        # From pinned memory a device takes them while the host goes on.
        host = torch.tensor(numbers, dtype=y.dtype, pin_memory=y.is_cuda)
        end, stages = self._step(
            self._field,
            tableau,
            host.to(y.device, non_blocking=True),
            y.view(self._shape),
            None if first is None else first.view(self._shape),
            self._problem.args,
        )
        self._stages = stages.view(tableau.stages, -1)
        return end.reshape(-1)
