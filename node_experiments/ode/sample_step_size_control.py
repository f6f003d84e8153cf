"""Step size control for a batch of samples with individual steps."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from .solver import Solver
from .step_size_control import Answer, Arithmetic, ErrorControl

__all__ = ["SampleControl"]


VECTORS = Arithmetic[Tensor](
    partial(torch.tensor, dtype=torch.float64, device="cpu"),
    lambda values, which: torch.where(which, values[1], values[0]),
    torch.minimum,
    torch.maximum,
    torch.copysign,
)


class SampleControl(ErrorControl[Tensor]):
    """Step size controller for a batch of samples; all shapes are `(batch,)`.

    Attributes:
        ratio: Error ratios of the last steps.
    """

    def __init__(
        self, t0: float, t1: float, first_steps: Tensor, error_order: int, solver: Solver
    ):
        self._was_accepted = torch.tensor(True, device="cpu")
        start, end = torch.full_like(first_steps, t0), VECTORS.number(t1)
        super().__init__(start, end, first_steps, error_order, solver, VECTORS)
        self.ratio = torch.zeros_like(first_steps)

    def judge(self, h: Tensor, ratio: Tensor) -> Answer:
        self.ratio = ratio
        return super().judge(h, ratio)

    def keep(self, rows: Tensor) -> None:
        """Continue with only some of the samples."""
        self.t, self.t_next, self.h = self.t[rows], self.t_next[rows], self.h[rows]
        self.at_stop, self.ratio = self.at_stop[rows], self.ratio[rows]
        self._is_cut_short = self._is_cut_short[rows]
        self._was_accepted = self._was_accepted[rows]
        self._past = self._past[0][rows], self._past[1][rows]
