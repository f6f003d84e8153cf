"""Methods whose steps can be undone exactly: y(t) is computed from y(t + h) up to rounding.

A gradient then needs no stored states. Each method advances a tuple of vectors whose first one is
the solution; `undo` is the algebraic inverse of `advance`.

    asynchronous leapfrog (Mutze 2013; Zhuang et al. 2021, MALI), on (y, v), v ~ dy/dt:
        k = y_n + h/2 v_n,    v_{n+1} = 2 f(t + h/2, k) - v_n,    y_{n+1} = k + h/2 v_{n+1};
    reversible Heun (Kidger et al. 2021, without noise), on (y, z):
        z_{n+1} = 2 y_n - z_n + h f(t_n, z_n),
        y_{n+1} = y_n + h/2 (f(t_n, z_n) + f(t_{n+1}, z_{n+1}));
    any explicit Runge-Kutta method, y -> y + psi_h(t, y), made reversible (McCallum & Foster
    2024), on (y, z) with a coupling 0 < c <= 1:
        y_{n+1} = c y_n + (1 - c) z_n + psi_h(t_n, z_n),
        z_{n+1} = z_n - psi_{-h}(t_{n+1}, y_{n+1});
    leapfrog (Stormer 1907; Verlet 1967; Hairer, Lubich & Wanner 2006, section I.1.4), on
        ((q, p), dp/dt) of a separable system dq/dt = v(t, p), dp/dt = a(t, q).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from ..solution import StepCounts
from ..vector_field import PlainField, is_traced_or_transformed
from .base import FunctionalMethod, State, Time
from .butcher_tableau import Tableau
from .explicit_runge_kutta import ExplicitRungeKutta
from .explicit_tableaus import EXPLICIT_TABLEAUS
from .interpolation import weighted_sum

if TYPE_CHECKING:
    from ..flat_field import FlatField

__all__ = [
    "REVERSIBLE",
    "AsynchronousLeapfrog",
    "Leapfrog",
    "ReversibleHeun",
    "ReversibleMethod",
    "ReversibleRungeKutta",
]


class ReversibleMethod(FunctionalMethod, Protocol):
    """A one-step method that can be undone."""

    def undo(self, field: FlatField, t: Time, h: Time, state: State) -> State:
        """Compute the vectors at `t` from those at `t + h`."""
        ...


class AsynchronousLeapfrog:
    """The asynchronous leapfrog method: order 2 with one evaluation per step."""

    name = "asynchronous_leapfrog"
    order = 2
    stages = 1
    error_order: int | None = None
    reference = "Mutze 2013; Zhuang et al. 2021"
    has_second_solution = False

    def start(self, field: FlatField, t: Time, y: Tensor) -> State:
        return y, field(t, y)

    def advance(
        self, field: FlatField, t: Time, h: Time, state: State
    ) -> tuple[State, Tensor | None]:
        y, v = state
        middle = plus(y, h / 2, v)
        v = 2 * field(t + h / 2, middle) - v
        return (plus(middle, h / 2, v), v), None

    def undo(self, field: FlatField, t: Time, h: Time, state: State) -> State:
        y, v = state
        middle = plus(y, -h / 2, v)
        v = 2 * field(t + h / 2, middle) - v
        return plus(middle, -h / 2, v), v


class ReversibleHeun:
    """The reversible Heun method: order 2, one evaluation per step, Euler's method embedded."""

    name = "reversible_heun"
    order = 2
    stages = 1
    error_order: int | None = 2
    reference = "Kidger, Foster, Li & Lyons 2021"
    has_second_solution = True

    def start(self, field: FlatField, t: Time, y: Tensor) -> State:
        return y, y, field(t, y)

    def advance(
        self, field: FlatField, t: Time, h: Time, state: State
    ) -> tuple[State, Tensor | None]:
        y, z, f = state
        z = plus(2 * y - z, h, f)
        f_next = field(t + h, z)
        state = plus(y, h / 2, f + f_next), z, f_next
        return state, (f_next - f) * (h / 2)

    def undo(self, field: FlatField, t: Time, h: Time, state: State) -> State:
        y, z, f = state
        z = plus(2 * y - z, -h, f)
        f_before = field(t, z)
        return plus(y, -h / 2, f + f_before), z, f_before


class ReversibleRungeKutta:
    """An explicit Runge-Kutta method on two coupled solutions; it keeps its order.

    Args:
        coupling: Pulls the two solutions together; values a little below 1 enlarge the stability
            region, but the rounding error of `undo` grows like coupling ** -steps.
    """

    has_second_solution = True

    def __init__(self, tableau: Tableau, coupling: float = 0.999):
        self.tableau, self.coupling = tableau, coupling
        self.name = f"reversible_{tableau.name}"
        self.order = tableau.order
        # A last stage without weight serves the error estimate alone.
        self._short = tableau.without_unweighted_stage
        self.stages = tableau.stages + self._short.stages
        lower = tableau.embedded_order
        self.error_order = None if lower is None else min(lower, tableau.order) + 1
        self.reference = f"McCallum & Foster 2024, with the method of {tableau.reference}"

    def start(self, field: FlatField, t: Time, y: Tensor) -> State:
        return y, y

    def advance(
        self, field: FlatField, t: Time, h: Time, state: State
    ) -> tuple[State, Tensor | None]:
        y, z = state
        tableau, c = self.tableau, self.coupling
        stages = stages_of(tableau, field, t, h, z)
        y = c * y + (1 - c) * z + weighted_sum(tableau.b, stages) * h
        z = z - self._increment(field, t + h, -h, y)
        if tableau.b_error is None:
            return (y, z), None
        return (y, z), weighted_sum(tableau.b_error, stages).detach() * h

    def undo(self, field: FlatField, t: Time, h: Time, state: State) -> State:
        y, z = state
        z = z + self._increment(field, t + h, -h, y)
        step = self._increment(field, t, h, z)
        return (y - (1 - self.coupling) * z - step) / self.coupling, z

    def _increment(self, field: FlatField, t: Time, h: Time, y: Tensor) -> Tensor:
        return weighted_sum(self._short.b, stages_of(self._short, field, t, h, y)) * h


class Leapfrog:
    """Symplectic and symmetric, of order 2, on (q, p): the two halves of the flat state.

    The derivative of q must depend on p (and t) alone and that of p on q (and t) alone: for other
    systems the steps are of order 1, and neither symplectic nor reversible. Two further
    evaluations at the start check this.
    """

    name = "leapfrog"
    order = 2
    stages = 2
    error_order: int | None = None
    reference = "Stormer 1907; Verlet 1967; Hairer, Lubich & Wanner 2006, section I.1.4"
    has_second_solution = False

    def start(self, field: FlatField, t: Time, y: Tensor) -> State:
        derivative = field(t, y)
        if not is_traced_or_transformed():
            check_separable(field, t, y, derivative)
        return y, derivative.chunk(2)[1]

    def advance(
        self, field: FlatField, t: Time, h: Time, state: State
    ) -> tuple[State, Tensor | None]:
        y, force = state
        q, p = y.chunk(2)
        p = plus(p, h / 2, force)
        velocity = field(t + h / 2, torch.cat([q, p])).chunk(2)[0]
        q = plus(q, h, velocity)
        force = field(t + h, torch.cat([q, p])).chunk(2)[1]
        return (torch.cat([q, plus(p, h / 2, force)]), force), None

    def undo(self, field: FlatField, t: Time, h: Time, state: State) -> State:
        return self.advance(field, t + h, -h, state)[0]


def check_separable(field: FlatField, t: Time, y: Tensor, derivative: Tensor) -> None:
    """Reject a system that is not separable: leapfrog needs one that is.

    Raises:
        ValueError: The derivative of a half of the state depends on that half.
    """
    with torch.no_grad():
        halves = derivative.detach().chunk(2)
        eps = max(torch.finfo(y.dtype).eps, field.resolution)
        moved = y.detach() + eps**0.25 * (1 + y.detach().abs())
        for i, name in enumerate("qp"):
            ends = [half.clone() for half in y.detach().chunk(2)]
            ends[i] = moved.chunk(2)[i]
            other = field.derivative(t, torch.cat(ends)).chunk(2)[i]
            change, size = (other - halves[i]).abs().max(), halves[i].abs().max()
            if bool(change > eps**0.5 * size + eps):
                raise ValueError(
                    f"solver.method='leapfrog' needs a separable system: d{name}/dt depends on "
                    f"{name}, where q is the first half of all numbers of the state, in their "
                    "order, and p the second. For samples of (q, p) along the first axis give "
                    "y0=(q, p), a tuple of two tensors; for other systems use "
                    "solver='asynchronous_leapfrog' or solver='implicit_midpoint'"
                )


def plus(y: Tensor, h: Time, v: Tensor) -> Tensor:
    """The sum y + h v."""
    return torch.addcmul(y, v, h) if isinstance(h, Tensor) else torch.add(y, v, alpha=h)


def stages_of(tableau: Tableau, field: FlatField, t: Time, h: Time, y: Tensor) -> list[Tensor]:
    """The derivatives at the stages of one step of an explicit Runge-Kutta method."""
    stepper: ExplicitRungeKutta[Any] = ExplicitRungeKutta(
        tableau, PlainField(field), y, StepCounts(), records=True, stage_times=field.stage_times
    )
    stepper.step(t, h, y, only=range(tableau.stages))
    return stepper.stages


_METHODS: tuple[ReversibleMethod, ...] = (
    AsynchronousLeapfrog(),
    ReversibleHeun(),
    Leapfrog(),
    *(ReversibleRungeKutta(tableau) for tableau in EXPLICIT_TABLEAUS.values()),
)

REVERSIBLE: dict[str, ReversibleMethod] = {}
"""Every reversible method by its name. `reversible_heun` is that of Kidger et al., and Heun's
method made reversible by coupling is `reversible_adaptive_heun`."""
for _method in _METHODS:
    REVERSIBLE.setdefault(_method.name, _method)
