"""Adams-Bashforth and Adams-Moulton methods of a fixed order, on a given grid."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..flat_field import FlatField
from ..solution import StepCounts
from ..vector_field import PlainField
from .adams import times_linear
from .base import State, Time
from .explicit_runge_kutta import ExplicitRungeKutta
from .explicit_tableaus import EXPLICIT_TABLEAUS
from .interpolation import weighted_sum

__all__ = ["FixedAdams", "integration_weights"]


class FixedAdams:
    """Adams-Bashforth, or Adams-Moulton in PECE mode, of a fixed order up to 4.

    The coefficients are those of the actual grid, so that a shorter last step keeps the order. The
    first steps are those of a Runge-Kutta method of the same order. The state is (y, f_n, f_{n-1},
    ...); the times of the derivatives are kept separately.
    """

    stages = 1
    error_order: int | None = None
    reference = "Hairer, Norsett & Wanner I, section III.1"
    has_second_solution = False

    def __init__(self, name: str, order: int | None = None):
        self.name = name
        self.order = order or 4
        self._corrects = name == "adams_moulton"
        self._starter = EXPLICIT_TABLEAUS[("euler", "heun", "heun3", "rk4")[self.order - 1]]
        self._times: list[float] = []

    def start(self, field: FlatField, t: Time, y: Tensor) -> State:
        assert isinstance(t, float)
        self._times = [t]
        return y, field(t, y)

    def advance(
        self, field: FlatField, t: Time, h: Time, state: State
    ) -> tuple[State, Tensor | None]:
        assert isinstance(t, float)
        assert isinstance(h, float)
        y, *derivatives = state
        keep = self.order - 1
        if len(derivatives) < self.order - self._corrects:
            starter: ExplicitRungeKutta[float] = ExplicitRungeKutta(
                self._starter,
                PlainField(field),
                y,
                StepCounts(),
                records=True,
                stage_times=field.stage_times,
            )
            starter.starts_with(y, derivatives[0])
            y_next = starter.step(t, h, y)
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


def integration_weights(nodes: Sequence[float], start: float, end: float) -> tuple[float, ...]:
    """Weights w such that sum_i w_i f(nodes_i) integrates polynomials of degree < len(nodes)."""
    h = end - start
    u = [(node - start) / h for node in nodes]
    weights = []
    for i, own in enumerate(u):
        polynomial = [1.0]
        for j, other in enumerate(u):
            if j != i:
                polynomial = times_linear(polynomial, other, own - other)
        weights.append(h * sum(c / (p + 1) for p, c in enumerate(polynomial)))
    return tuple(weights)
