"""The step of a method that is written as a function on vectors, as the loop wants it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..vector_field import VectorField
from .interpolation import hermite_interpolation
from .reversible import ReversibleMethod

__all__ = ["FunctionalStep"]


class FunctionalStep:
    """Steps of a `ReversibleMethod`, out of place; autograd may record them.

    Quadratures ride along as further components of the state on which no derivative depends.

    Args:
        field: The vector field on `(n + q,)`.
        n: Size of the state.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`, or None.
    """

    def __init__(
        self,
        method: ReversibleMethod,
        field: VectorField,
        n: int,
        quadrature: Tensor | None = None,
    ):
        self._method, self._field, self._n = method, field, n
        self._quadrature = quadrature
        self._state: tuple[Tensor, ...] | None = None
        self._next: tuple[Tensor, ...] = ()
        self._error: Tensor | None = None

    @property
    def state(self) -> tuple[Tensor, ...] | None:
        """The method's vectors after the last accepted step, if there was one."""
        return self._state

    @property
    def twins(self) -> tuple[Tensor, Tensor] | None:
        """The solution, and the method's other approximation of it if it has one, `(n,)` each."""
        if self._state is None or not self._method.has_twin:
            return None
        y, z = (x[: self._n].detach() for x in self._state[:2])
        return y, z

    def resume(self, state: tuple[Tensor, ...]) -> None:
        """Go on from the vectors of an earlier step."""
        self._state = state

    def derivative(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at (t, y), shape `(n,)`."""
        return self.probe(t, y)

    def probe(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at any (t, y), shape `(n,)`."""
        return self._field(t, self._extended(y))[: self._n]

    def forget(self) -> None:
        """The state was changed from outside: the next step starts the method anew."""
        self._state = None

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        """The state after a step of size `h` from (t, y), shape `(n,)`."""
        if self._state is None:
            self._state = self._method.start(self._field, t, self._extended(y))
        self._next, self._error = self._method.advance(self._field, t, h, self._state)
        return self._next[0][: self._n]

    def error(self, h: float) -> Tensor:
        """Estimate of the last step's local error, shape `(n,)`."""
        assert self._error is not None
        return self._error[: self._n].detach().clone()

    def quadrature_increment(self, h: float) -> Tensor:
        """What the last step adds to the quadratures when it is accepted, shape `(q,)`."""
        assert self._state is not None
        return self._next[0][self._n :] - self._state[0][self._n :]

    def quadrature_error(self, h: float) -> Tensor:
        """The same estimate for the quadratures, shape `(q,)`."""
        assert self._error is not None
        return self._error[self._n :].clone()

    def accept(self, h: float) -> None:
        """The last step counts: add its quadratures and move on to its end."""
        if self._quadrature is not None:
            self._quadrature.add_(self.quadrature_increment(h))
        self._state = self._next

    def interpolate(
        self, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        """States at `t + theta h` inside the last step, shape `(len(thetas), n)`."""
        return self.interpolant(t, h, y0, y1)(thetas)

    def interpolant(
        self, t: float, h: float, y0: Tensor, y1: Tensor
    ) -> Callable[[Sequence[float]], Tensor]:
        """The last step as a function of theta that outlives it.

        Cubic Hermite interpolation keeps the order of methods up to order 4; those of higher
        order make a shorter step for every value.
        """
        if self._method.order > 4:
            assert self._state is not None
            return partial(self._shorter_steps, self._state, t, h)
        return partial(hermite_interpolation, y0, self.probe(t, y0), y1, self.probe(t + h, y1), h)

    def _shorter_steps(
        self, state: tuple[Tensor, ...], t: float, h: float, thetas: Sequence[float]
    ) -> Tensor:
        ends = [self._method.advance(self._field, t, theta * h, state)[0] for theta in thetas]
        return torch.stack([end[0][: self._n] for end in ends])

    def _extended(self, y: Tensor) -> Tensor:
        if self._quadrature is None:
            return y
        return torch.cat([y, torch.zeros_like(self._quadrature)])
