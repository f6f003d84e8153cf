"""Step size control of a method that varies its order."""

from __future__ import annotations

from .methods.base import OrderSelection
from .solver import Solver
from .step_size_control import AdaptiveControl

__all__ = ["VariableOrderControl"]


class VariableOrderControl(AdaptiveControl):
    """Step size controller for a method that chooses the size of a step with its order."""

    def __init__(
        self,
        t0: float,
        t1: float,
        first_step: float,
        orders: OrderSelection,
        solver: Solver,
        resolution: float,
    ):
        self._orders, self._first_step = orders, min(first_step, solver.max_step)
        super().__init__(t0, t1, first_step, 2, solver, resolution)

    def judge(self, h: float, ratio: float) -> bool:
        accepted = ratio <= 1
        proposal = abs(h) * self._orders.choose(h, ratio)
        if accepted and self._is_cut_short:
            proposal = max(proposal, self.h)
        self.h = min(proposal, self._solver.max_step)
        if accepted:
            self.t = self.t_next
        self._aim()
        return accepted

    def retarget(self, t0: float, t1: float) -> None:
        # A method without a history starts at its lowest order.
        self.h = min(self.h, self._first_step)
        super().retarget(t0, t1)

    def _restart(self, t: float) -> float:
        start = super()._restart(t)
        if start != t:
            self.h = min(self.h, self._first_step)
        return start
