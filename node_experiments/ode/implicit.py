"""One diagonally implicit Runge-Kutta step (Hairer & Wanner II, section IV.8).

Each stage solves Y = base + h d f(t, Y) by a simplified Newton method: the Jacobian is kept as
long as the iteration contracts well. The first stage is the start of the step, the last one
its end, which the first of the next step shares. The stage derivative is (Y - base) / (h d), which
for a stiff problem is far more accurate than f(t, Y) (Shampine 1980).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from .dense import hermite_interpolation
from .field import Dynamics, Field
from .integrate import StepFailed
from .linearization import Linear
from .norms import rms_norm
from .solution import StepCounts
from .tableau import Tableau

__all__ = ["ImplicitStep", "LinearizableDynamics"]

MAX_ITERATIONS = 10
# Newton's error in multiples of the tolerance of a step (Hairer & Wanner II, eq. IV.8.10).
KAPPA = 0.01
KEEP_BELOW = 0.1  # contraction at which the Jacobian is kept


class LinearizableDynamics(Dynamics, Protocol):
    """Dynamics that know their Jacobian."""

    def linearize(self, t: float, y: Tensor) -> Linear:
        """The Jacobian of the derivative at (t, y), of a flat state `(n,)`."""
        ...


class ImplicitStep:
    """Steps of one implicit Runge-Kutta method, without a graph.

    Args:
        tableau: The method.
        dynamics: The vector field, on states of the shape of `like`.
        counts: Where evaluations are counted; a linearisation counts as one.
        rtol, atol: Tolerances of a step, numbers or one a component; Newton's method is solved to
            a fraction of them.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`, or None.
    """

    def __init__(
        self,
        tableau: Tableau,
        dynamics: LinearizableDynamics,
        like: Tensor,
        counts: StepCounts,
        rtol: float | Tensor,
        atol: float | Tensor,
        quadrature: Tensor | None = None,
    ):
        assert tableau.diagonal is not None
        assert tableau.first_same_as_last
        self._tableau, self._diagonal = tableau, tableau.diagonal
        self._dynamics, self._counts = dynamics, counts
        self._field = Field(dynamics, like, counts)
        self._with_integrands = Field(
            dynamics, like, counts, 0 if quadrature is None else len(quadrature)
        )
        self._n = like.numel()
        self._rtol, self._atol = rtol, atol
        # Rounding bounds what Newton's method can reach.
        self._floor = 10 * torch.finfo(like.dtype).eps
        self._quadrature = quadrature
        self._first: Tensor | None = None
        self._points: list[tuple[float, Tensor]] = []
        self._stages: list[Tensor] = []
        self._jacobian: Linear | None = None
        self._is_fresh = False
        self._rate = 1.0  # contraction / (1 - contraction) of Newton's last iterations
        self._solve_linear: Callable[[Tensor], Tensor] | None = None
        self._factorised_for = math.nan

    @property
    def points(self) -> list[Tensor]:
        """Where the stages of the last step are, its start first, its end last; `(n,)` each."""
        return [point for _, point in self._points]

    def derivative(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at (t, y), kept as the first stage of the next step; shape `(n,)`."""
        if self._first is None:
            self._first = self._field(t, y)
        return self._first

    def probe(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at any (t, y), shape `(n,)`."""
        return self._field(t, y)

    def forget(self) -> None:
        """The state was changed from outside: nothing of the last step is used again."""
        self._first = self._jacobian = None

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        """The state after a step of size `h` from (t, y), shape `(n,)`.

        Raises:
            StepFailed: Newton's method did not converge.
        """
        if self._jacobian is not None:
            try:
                return self._attempt(t, h, y)
            except StepFailed:
                if self._is_fresh:  # of this very point: only a smaller step can help
                    raise
        self._linearize(t, y)
        return self._attempt(t, h, y)

    def error(self, h: float) -> Tensor:
        """Estimate of the last step's local error, shape `(n,)`."""
        tableau = self._tableau
        assert tableau.b_error is not None
        assert tableau.embedded_order is not None
        error = self._combine(tableau.b_error) * h
        if tableau.embedded_order > tableau.order:
            # The embedded solution is not L-stable: damp what it says of stiff components
            # (Hosea & Shampine 1996).
            assert self._solve_linear is not None
            error = self._solve_linear(error)
        return error

    def quadrature_increment(self, h: float) -> Tensor:
        """What the last step adds to the quadratures when it is accepted, shape `(q,)`."""
        return self._sum_integrands(self._tableau.b) * h

    def quadrature_error(self, h: float) -> Tensor:
        """The same estimate for the quadratures, shape `(q,)`."""
        assert self._tableau.b_error is not None
        return self._sum_integrands(self._tableau.b_error) * h

    def accept(self, h: float) -> None:
        """The last step counts: add its quadratures and move on to its end."""
        if self._quadrature is not None and len(self._quadrature):
            self._quadrature.add_(self.quadrature_increment(h))
        self._first = self._stages[-1]
        self._is_fresh = False

    def interpolate(
        self, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        """States at `t + theta h` inside the last step, shape `(len(thetas), n)`."""
        return self.interpolant(t, h, y0, y1)(thetas)

    def interpolant(
        self, t: float, h: float, y0: Tensor, y1: Tensor
    ) -> Callable[[Sequence[float]], Tensor]:
        """The last step as a function of theta that outlives it."""
        return partial(hermite_interpolation, y0, self._stages[0], y1, self._stages[-1], h)

    def _attempt(self, t: float, h: float, y: Tensor) -> Tensor:
        tableau = self._tableau
        scale = y.abs().mul_(self._rtol).add_(self._atol)
        slowest = 0.0
        self._points, self._stages = [], []
        point = y
        for c, d, row in zip(tableau.c, self._diagonal, tableau.a, strict=True):
            at = t + c * h
            if d == 0:
                self._stages.append(self.derivative(at, y))
            else:
                base = torch.add(y, self._combine(row), alpha=h)
                start = torch.add(base, self._stages[-1], alpha=h * d)
                point, contraction = self._newton(at, h * d, base, start, scale)
                slowest = max(slowest, contraction)
                self._stages.append((point - base) / (h * d))
            self._points.append((at, point))
        if slowest > KEEP_BELOW and not self._is_fresh:
            self._jacobian = None
        return point

    def _newton(
        self, t: float, hd: float, base: Tensor, y: Tensor, scale: Tensor
    ) -> tuple[Tensor, float]:
        """The stage and the contraction per iteration that was seen."""
        self._factorise(hd)
        assert self._solve_linear is not None
        floor = float(rms_norm(y.abs().mul_(self._floor) / scale))
        before, contraction = math.nan, 0.0
        # Until there are two changes to compare, as it was in the stage before, with some caution
        # (Hairer & Wanner II, section IV.8).
        self._rate = max(self._rate, self._floor) ** 0.8
        for _ in range(MAX_ITERATIONS):
            residual = torch.add(base - y, self._field(t, y), alpha=hd)
            change = self._solve_linear(residual)
            y = y + change
            size = float(rms_norm(change / scale))
            if not math.isfinite(size):
                break
            if size <= floor:
                return y, contraction
            if not math.isnan(before):
                contraction = size / before
                if contraction >= 2:
                    break
                self._rate = contraction / (1 - contraction) if contraction < 1 else math.inf
            if self._rate * size <= KAPPA:
                return y, contraction
            before = size
        raise StepFailed("Newton's method did not converge")

    def _linearize(self, t: float, y: Tensor) -> None:
        self._counts.evaluations += 1
        self._jacobian = self._dynamics.linearize(t, y)
        self._is_fresh = True
        self._rate = 1.0
        self._factorised_for = math.nan

    def _factorise(self, hd: float) -> None:
        if self._factorised_for == hd:
            return
        self._factorised_for = hd
        assert self._jacobian is not None
        self._solve_linear = self._jacobian.solver(hd)

    def _combine(self, weights: Sequence[float]) -> Tensor:
        stages = self._stages[: len(weights)]
        return stages[0].new_tensor(weights) @ torch.stack(stages)

    def _sum_integrands(self, weights: Sequence[float]) -> Tensor:
        assert self._quadrature is not None
        total = torch.zeros_like(self._quadrature)
        for weight, (t, y) in zip(weights, self._points, strict=True):
            if weight != 0:
                total.add_(self._with_integrands(t, y)[self._n :], alpha=weight)
        return total
