"""The Adams-Bashforth and Adams-Moulton methods of one order (Hairer I, section III.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..vector_field import VectorField
from .explicit_tableaus import EXPLICIT_TABLEAUS
from .polynomials import integration_weights
from .reversible import weighted_sum

__all__ = ["FixedAdams"]


class FixedAdams:
    """Adams-Bashforth, or Adams-Moulton as PECE, of one order up to 4.

    The coefficients are those of the actual grid, so that a shorter last step keeps the order. The
    first steps are those of a Runge-Kutta method of the same order. The state is (y, f_n, f_{n-1},
    ...), and the times of the derivatives are kept beside it.
    """

    stages = 1
    error_order = None
    reference = "Hairer, Norsett & Wanner I, section III.1"
    has_twin = False

    def __init__(self, name: str, order: int | None = None):
        self.name = name
        self.order = order or 4
        self._corrects = name == "adams_moulton"
        self._starter = EXPLICIT_TABLEAUS[("euler", "heun", "heun3", "rk4")[self.order - 1]]
        self._times: list[float] = []

    def start(self, field: VectorField, t: float, y: Tensor) -> tuple[Tensor, ...]:
        self._times = [t]
        return y, field(t, y)

    def advance(
        self, field: VectorField, t: float, h: float, state: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        y, *derivatives = state
        keep = self.order - 1
        if len(derivatives) < self.order - self._corrects:
            y_next = self._runge_kutta(field, t, h, y, derivatives[0])
        else:
            nodes = self._times[: len(derivatives)]
            weights = integration_weights(nodes, t, t + h)
            y_next = y + weighted_sum(weights, derivatives)
            if self._corrects:
                f = field(t + h, y_next)
                weights = integration_weights([t + h, *nodes[: self.order - 1]], t, t + h)
                y_next = y + weighted_sum(weights, [f, *derivatives[: self.order - 1]])
        f_next = field(t + h, y_next)
        self._times = [t + h, *self._times[:keep]]
        return (y_next, f_next, *derivatives[:keep]), None

    def _runge_kutta(
        self, field: VectorField, t: float, h: float, y: Tensor, first: Tensor
    ) -> Tensor:
        stages = [first]
        for c, row in zip(self._starter.c[1:], self._starter.a[1:], strict=True):
            stages.append(field(t + c * h, torch.add(y, weighted_sum(row, stages), alpha=h)))
        return torch.add(y, weighted_sum(self._starter.b, stages), alpha=h)
