"""Explicit fixed-step methods as classes, for programs that derive from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from ...methods.butcher_tableau import Tableau
from ...methods.explicit_runge_kutta import ExplicitRungeKutta
from ...methods.explicit_tableaus import EXPLICIT_TABLEAUS
from ...methods.interpolation import weighted_sum
from ...solution import StepCounts
from ...vector_field import PlainField
from .solvers import FixedGridODESolver

__all__ = ["RK4", "Euler", "Heun2", "Heun3", "Midpoint"]


class RungeKutta(FixedGridODESolver):
    tableau: ClassVar[Tableau]

    def __init_subclass__(cls) -> None:
        if "order" not in vars(cls):
            cls.order = cls.tableau.order

    def _step_func(
        self, func: Callable[..., Tensor], t0: Tensor, dt: Tensor, t1: Tensor, y0: Tensor
    ) -> tuple[Tensor, Tensor]:
        step: ExplicitRungeKutta[float] = ExplicitRungeKutta(
            self.tableau, PlainField(func), y0, StepCounts(), records=True
        )
        step.step(float(t0), float(dt), y0, only=range(self.tableau.stages))
        return dt * weighted_sum(self.tableau.b, step.stages), step.stages[0]


class Euler(RungeKutta):
    tableau = EXPLICIT_TABLEAUS["euler"]


class Midpoint(RungeKutta):
    tableau = EXPLICIT_TABLEAUS["midpoint"]


class Heun2(RungeKutta):
    tableau = EXPLICIT_TABLEAUS["heun"]


class Heun3(RungeKutta):
    tableau = EXPLICIT_TABLEAUS["heun3"]


class RK4(RungeKutta):
    tableau = EXPLICIT_TABLEAUS["rk38"]
