"""Step size control of the samples of a batch, each with its own steps."""

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
    """Control of the steps of the samples of a batch, all shapes are `(batch,)`.

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
        """Continue with some of the samples."""
        for name in ("t", "t_next", "h", "at_stop", "ratio", "_is_cut_short", "_was_accepted"):
            setattr(self, name, getattr(self, name)[rows])
        self._past = self._past[0][rows], self._past[1][rows]
