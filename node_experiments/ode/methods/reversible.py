"""Methods whose steps can be undone exactly: y(t) is computed from y(t + h) up to rounding.

A gradient needs then no stored states. Each method advances a tuple of vectors whose first one is
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

from typing import Any, Protocol

import torch
from torch import Tensor

from ..vector_field import VectorField
from .butcher_tableau import Tableau
from .explicit_tableaus import EXPLICIT_TABLEAUS

__all__ = [
    "REVERSIBLE",
    "AsynchronousLeapfrog",
    "Leapfrog",
    "ReversibleHeun",
    "ReversibleMethod",
    "ReversibleRungeKutta",
]

State = tuple[Tensor, ...]
Number = Any
"""A float, or a 0-d tensor where a time needs a gradient."""


class ReversibleMethod(Protocol):
    """A one-step method on a tuple of vectors, out of place, so that autograd can record it.

    Attributes:
        order: Order of convergence of the first vector.
        stages: Evaluations of a step.
        error_order: Power of h in the error estimate, or None for a method without one.
        has_twin: Whether the second vector is another approximation of the solution, which parts
            from the first where the method is unstable.
    """

    name: str
    order: int
    stages: int
    error_order: int | None
    reference: str
    has_twin: bool

    def start(self, field: VectorField, t: float, y: Tensor) -> State:
        """The vectors at the initial time; the first one is `y`, shape `(n,)`."""
        ...

    def advance(
        self, field: VectorField, t: Number, h: Number, state: State
    ) -> tuple[State, Tensor | None]:
        """The vectors at `t + h` and an estimate of the local error of the first one."""
        ...

    def undo(self, field: VectorField, t: Number, h: Number, state: State) -> State:
        """The vectors at `t` from those at `t + h`."""
        ...


class AsynchronousLeapfrog:
    """Order 2 with one evaluation a step."""

    name = "asynchronous_leapfrog"
    order = 2
    stages = 1
    error_order: int | None = None
    reference = "Mutze 2013; Zhuang et al. 2021"
    has_twin = False

    def start(self, field: VectorField, t: float, y: Tensor) -> State:
        return y, field(t, y)

    def advance(
        self, field: VectorField, t: Number, h: Number, state: State
    ) -> tuple[State, Tensor | None]:
        y, v = state
        middle = plus(y, h / 2, v)
        v = 2 * field(t + h / 2, middle) - v
        return (plus(middle, h / 2, v), v), None

    def undo(self, field: VectorField, t: Number, h: Number, state: State) -> State:
        y, v = state
        middle = plus(y, -h / 2, v)
        v = 2 * field(t + h / 2, middle) - v
        return plus(middle, -h / 2, v), v


class ReversibleHeun:
    """Order 2 with one evaluation a step; the error estimate compares it with Euler's method."""

    name = "reversible_heun"
    order = 2
    stages = 1
    error_order: int | None = 2
    reference = "Kidger, Foster, Li & Lyons 2021"
    has_twin = True

    def start(self, field: VectorField, t: float, y: Tensor) -> State:
        return y, y, field(t, y)

    def advance(
        self, field: VectorField, t: Number, h: Number, state: State
    ) -> tuple[State, Tensor | None]:
        y, z, f = state
        z = plus(2 * y - z, h, f)
        f_next = field(t + h, z)
        state = plus(y, h / 2, f + f_next), z, f_next
        return state, (f_next - f) * (h / 2)

    def undo(self, field: VectorField, t: Number, h: Number, state: State) -> State:
        y, z, f = state
        z = plus(2 * y - z, -h, f)
        f_before = field(t, z)
        return plus(y, -h / 2, f + f_before), z, f_before


class ReversibleRungeKutta:
    """An explicit Runge-Kutta method on two coupled solutions; it keeps its order.

    Args:
        coupling: Pulls the two solutions together; values a little below 1 enlarge the region of
            stability, and the rounding error of `undo` grows like coupling ** -steps.
    """

    has_twin = True

    def __init__(self, tableau: Tableau, coupling: float = 0.999):
        self.tableau, self.coupling = tableau, coupling
        self.name = f"reversible_{tableau.name}"
        self.order = tableau.order
        # A last stage without weight serves the error estimate alone.
        self._needed = tableau.stages - (tableau.b[-1] == 0.0)
        self.stages = tableau.stages + self._needed
        lower = tableau.embedded_order
        self.error_order = None if lower is None else min(lower, tableau.order) + 1
        self.reference = f"McCallum & Foster 2024, with the method of {tableau.reference}"

    def start(self, field: VectorField, t: float, y: Tensor) -> State:
        return y, y

    def advance(
        self, field: VectorField, t: Number, h: Number, state: State
    ) -> tuple[State, Tensor | None]:
        y, z = state
        tableau = self.tableau
        stages = self._stages(field, t, h, z, tableau.stages)
        y = self.coupling * y + (1 - self.coupling) * z + self._increment(h, stages)
        z = z - self._increment(-h, self._stages(field, t + h, -h, y, self._needed))
        if tableau.b_error is None:
            return (y, z), None
        return (y, z), weighted_sum(tableau.b_error, stages).detach() * h

    def undo(self, field: VectorField, t: Number, h: Number, state: State) -> State:
        y, z = state
        z = z + self._increment(-h, self._stages(field, t + h, -h, y, self._needed))
        step = self._increment(h, self._stages(field, t, h, z, self._needed))
        return (y - (1 - self.coupling) * z - step) / self.coupling, z

    def _stages(
        self, field: VectorField, t: Number, h: Number, y: Tensor, count: int
    ) -> list[Tensor]:
        stages: list[Tensor] = []
        for c, row in zip(self.tableau.c[:count], self.tableau.a, strict=False):
            at = plus(y, h, weighted_sum(row, stages)) if stages else y
            stages.append(field(t + c * h, at))
        return stages

    def _increment(self, h: Number, stages: list[Tensor]) -> Tensor:
        return weighted_sum(self.tableau.b[: len(stages)], stages) * h


class Leapfrog:
    """Symplectic and symmetric, of order 2, on (q, p): the two halves of the flat state.

    The derivative of q must depend on p (and t) alone and that of p on q (and t) alone.
    """

    name = "leapfrog"
    order = 2
    stages = 2
    error_order: int | None = None
    reference = "Stormer 1907; Verlet 1967; Hairer, Lubich & Wanner 2006, section I.1.4"
    has_twin = False

    def start(self, field: VectorField, t: float, y: Tensor) -> State:
        return y, field(t, y).chunk(2)[1]

    def advance(
        self, field: VectorField, t: Number, h: Number, state: State
    ) -> tuple[State, Tensor | None]:
        y, force = state
        q, p = y.chunk(2)
        p = plus(p, h / 2, force)
        velocity = field(t + h / 2, torch.cat([q, p])).chunk(2)[0]
        q = plus(q, h, velocity)
        force = field(t + h, torch.cat([q, p])).chunk(2)[1]
        return (torch.cat([q, plus(p, h / 2, force)]), force), None

    def undo(self, field: VectorField, t: Number, h: Number, state: State) -> State:
        return self.advance(field, t + h, -h, state)[0]


def plus(y: Tensor, h: Number, v: Tensor) -> Tensor:
    """The sum y + h v."""
    return torch.addcmul(y, v, h) if isinstance(h, Tensor) else torch.add(y, v, alpha=h)


def weighted_sum(weights: tuple[float, ...], vectors: list[Tensor]) -> Tensor:
    """sum_i weights[i] vectors[i], skipping zero weights; at least one must be nonzero."""
    total: Tensor | None = None
    for weight, vector in zip(weights, vectors, strict=True):
        if weight != 0.0:
            total = vector * weight if total is None else torch.add(total, vector, alpha=weight)
    assert total is not None
    return total


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
