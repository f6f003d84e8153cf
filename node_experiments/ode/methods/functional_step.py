"""Steps of methods that are written as functions on vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .base import FunctionalMethod, Interpolant, State, Stepper, Time
from .interpolation import hermite_interpolation

if TYPE_CHECKING:
    from ..flat_field import FlatField

__all__ = ["FunctionalStepper"]


class FunctionalStepper(Stepper):
    """Steps of a `FunctionalMethod`, out of place; autograd may record them.

    Quadratures are carried as further components of the state, on which no derivative depends.

    Args:
        field: The vector field on `(n + q,)`.
        n: Size of the state.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`, or None.
    """

    needs_accept = True
    has_free_interpolant = False

    def __init__(
        self, method: FunctionalMethod, field: FlatField, n: int, quadrature: Tensor | None = None
    ):
        self._method, self._field, self._n = method, field, n
        self._quadrature = quadrature
        self.has_second_solution = method.has_second_solution
        self._next: State = ()
        self._error: Tensor | None = None
        self.reset()

    def reset(self) -> None:
        self._state: State | None = None

    @property
    def state(self) -> State | None:
        """The method's vectors after the last accepted step, if there was one."""
        return self._state

    def both_solutions(self) -> tuple[Tensor, Tensor]:
        assert self._state is not None
        y, z = (x[: self._n].detach() for x in self._state[:2])
        return y, z

    def resume(self, state: State) -> None:
        """Continue from the vectors of an earlier step."""
        self._state = state

    def derivative(self, t: float, y: Tensor) -> Tensor:
        return self.evaluate(t, y)

    def evaluate(self, t: Time, y: Tensor) -> Tensor:
        return self._field(t, self._extended(y))[: self._n]

    def step(self, t: Time, h: Time, y: Tensor) -> Tensor:
        if self._state is None:
            self._state = self._method.start(self._field, t, self._extended(y))
        self._next, self._error = self._method.advance(self._field, t, h, self._state)
        if self._error is not None:
            self.error = self._error[: self._n].detach()
        return self._next[0][: self._n]

    def quadrature_increment(self, h: float) -> Tensor:
        assert self._state is not None
        return self._next[0][self._n :] - self._state[0][self._n :]

    def quadrature_error(self, h: float) -> Tensor:
        assert self._error is not None
        return self._error[self._n :]

    def accept(self, h: float) -> None:
        if self._quadrature is not None:
            self._quadrature.add_(self.quadrature_increment(h))
        self._state = self._next

    def interpolant(self, t: Time, h: Time, y0: Tensor, y1: Tensor) -> Interpolant:
        """Interpolant of the last step; cubic Hermite keeps the order of methods up to order 4.

        Methods of higher order take a shorter step for every value.
        """
        if self._method.order > 4:
            assert self._state is not None
            return partial(self._interpolate_by_substeps, self._state, t, h)
        return partial(
            hermite_interpolation, y0, self.evaluate(t, y0), y1, self.evaluate(t + h, y1), h
        )

    def _interpolate_by_substeps(
        self, state: State, t: Time, h: Time, thetas: Sequence[Time]
    ) -> Tensor:
        ends = [self._method.advance(self._field, t, theta * h, state)[0] for theta in thetas]
        return torch.stack([end[0][: self._n] for end in ends])

    def _extended(self, y: Tensor) -> Tensor:
        if self._quadrature is None:
            return y
        return torch.cat([y, torch.zeros_like(self._quadrature)])
