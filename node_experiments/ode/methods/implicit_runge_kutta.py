"""Steps of implicit Runge-Kutta methods (Hairer & Wanner II, sections IV.5 and IV.8).

The stages are solved in blocks: one after the other in a diagonally implicit method, all together
in a Gauss or Radau method. With z the increments of a block over the known part `base`,

    z = h A f(t + c h, base + z)

is solved by a simplified Newton method, whose Jacobian is kept as long as the iteration contracts
well. The stage derivatives are A^-1 z / h, which for a stiff problem is far more accurate than
f(base + z) (Shampine 1980); and because z is iterated and not the state, they keep their digits
in a step so short that it does not change the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..flat_field import FlatField
from ..norms import rms_norm
from ..solution import StepCounts
from .base import Interpolant, StepFailed, Stepper
from .butcher_tableau import Tableau
from .interpolation import hermite_interpolation, weighted_sum
from .newton import Linear

__all__ = ["RELINEARIZATIONS", "ImplicitRungeKutta"]

MAX_ITERATIONS = 10
# Newton's error in multiples of the tolerance of a step (Hairer & Wanner II, eq. IV.8.10).
KAPPA = 0.01
RELINEARIZATIONS = 5  # for fixed steps
KEEP_BELOW = 0.1  # contraction up to which the Jacobian is kept


class ImplicitRungeKutta(Stepper):
    """Steps of one implicit Runge-Kutta method, without a graph.

    Args:
        tableau: The method.
        field: The vector field on `(n + q,)`.
        linearize: Computes its Jacobian at (t, y), for a flat state `(n,)`.
        like: An example state, shape `(n,)`.
        counts: Where linearisations are counted, as one evaluation each.
        rtol, atol: Tolerances of a step, numbers or one per component; Newton's method iterates
            to a fraction of them.
        adaptive: Whether errors are estimated.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`, or None.
        relinearizations: How often Newton's method may recompute the Jacobian at its last iterate
            before a step fails: for fixed steps, which cannot be shortened.
    """

    def __init__(
        self,
        tableau: Tableau,
        field: FlatField,
        linearize: Callable[[float, Tensor], Linear],
        like: Tensor,
        counts: StepCounts,
        rtol: float | Tensor,
        atol: float | Tensor,
        adaptive: bool = False,
        quadrature: Tensor | None = None,
        relinearizations: int = 0,
    ):
        self._tableau = tableau
        # All blocks have the same coefficients, so that one factorisation serves them all.
        block = tableau.blocks[0]
        coefficients = [tableau.matrix[i][block.start : block.stop] for i in block]
        double = torch.tensor(coefficients, dtype=torch.float64, device="cpu")
        self._coefficients = double.to(like)
        self._inverse = torch.linalg.inv(double).to(like)
        self._row_sums = double.sum(1, keepdim=True).to(like)
        self._field, self._linearize_at, self._counts = field, linearize, counts
        self._n = like.numel()
        self._rtol, self._atol = rtol, atol
        self._eps = torch.finfo(like.dtype).eps
        self._quadrature, self._relinearizations = quadrature, relinearizations
        self._adaptive, self.needs_accept = adaptive, True
        self._first: Tensor | None = None
        self._end: Tensor | None = None
        self._next = like.reshape(-1)
        self._points: list[tuple[float, Tensor]] = []
        self._stages: list[Tensor] = []
        self._jacobian: Linear | None = None
        self._is_fresh = False
        self._rate = 1.0  # contraction / (1 - contraction) of Newton's last iterations
        self._solve_linear: Callable[[Tensor], Tensor] | None = None
        self._factorised_for = math.nan

    @property
    def _floor(self) -> float:
        """Relative rounding error of a derivative."""
        return max(10 * self._eps, 2 * self._field.resolution)

    @property
    def stages(self) -> list[Tensor]:
        """The derivatives at the stages of the last step; `(n,)` each."""
        return self._stages

    @property
    def points(self) -> list[Tensor]:
        """States at the stages of the last step, its start first, its end last; `(n,)` each."""
        points = [point for _, point in self._points]
        return points if self._tableau.solution_is_last_stage else [*points, self._next]

    def resume(self, derivative: Tensor) -> None:
        """Let the next step start with this derivative, shape `(n,)`."""
        self._first = derivative

    def derivative(self, t: float, y: Tensor) -> Tensor:
        if self._first is None:
            self._first = self.evaluate(t, y)
        return self._first

    def evaluate(self, t: float, y: Tensor) -> Tensor:
        return self._field.derivative(t, y)

    def reset(self) -> None:
        self._first = self._jacobian = None

    def step(self, t: float, h: float, y: Tensor) -> Tensor:
        """The state after a step of size `h` from (t, y), shape `(n,)`.

        Raises:
            StepFailed: Newton's method did not converge.
        """
        y_next = self._step(t, h, y)
        if self._adaptive:
            self.error = self._error(h)
        return y_next

    def _step(self, t: float, h: float, y: Tensor) -> Tensor:
        if self._jacobian is not None:
            try:
                return self._attempt(t, h, y)
            except StepFailed:
                if self._is_fresh:  # computed at this very point: only a smaller step can help
                    raise
        self._linearize(t, y)
        return self._attempt(t, h, y)

    def _error(self, h: float) -> Tensor:
        tableau = self._tableau
        assert tableau.b_error is not None
        assert tableau.embedded_order is not None
        error = weighted_sum(tableau.b_error, self._stages) * h
        if tableau.embedded_order > tableau.order:
            # The embedded solution is not L-stable: damp its error in stiff components
            # (Hosea & Shampine 1996).
            assert self._solve_linear is not None
            error = self._solve_linear(error.unsqueeze(0)).squeeze(0)
        return error

    def quadrature_increment(self, h: float) -> Tensor:
        return self._sum_integrands(self._tableau.b) * h

    def quadrature_error(self, h: float) -> Tensor:
        assert self._tableau.b_error is not None
        return self._sum_integrands(self._tableau.b_error) * h

    def accept(self, h: float) -> None:
        if self._quadrature is not None and len(self._quadrature):
            self._quadrature.add_(self.quadrature_increment(h))
        self._first = self._stages[-1] if self._tableau.first_same_as_last else self._end
        self._is_fresh = False

    def interpolant(self, t: float, h: float, y0: Tensor, y1: Tensor) -> Interpolant:
        if self._tableau.first_same_as_last:
            self._end = self._stages[-1]
        elif self._end is None:
            self._end = self.evaluate(t + h, y1)
        return partial(hermite_interpolation, y0, self._stages[0], y1, self._end, h)

    def _attempt(self, t: float, h: float, y: Tensor) -> Tensor:
        tableau = self._tableau
        scale = y.abs().mul_(self._rtol).add_(self._atol)
        slowest = 0.0
        self._end = None
        self._stages, self._points = [self.derivative(t, y)], [(t, y)]
        for block in tableau.blocks:
            times = [t + tableau.c[i] * h for i in block]
            known = [tableau.matrix[i][: block.start] for i in block]
            base = torch.add(y, y.new_tensor(known) @ torch.stack(self._stages), alpha=h)
            start = self._row_sums * self._stages[-1] * h
            z, contraction = self._newton(times, h, base, start, scale)
            slowest = max(slowest, contraction)
            self._stages += (self._inverse @ z / h).unbind()
            self._points += zip(times, (base + z).unbind(), strict=True)
        if slowest > KEEP_BELOW and not self._is_fresh:
            self._jacobian = None
        if tableau.solution_is_last_stage:
            self._next = self._points[-1][1]
        else:
            self._next = torch.add(y, weighted_sum(tableau.b, self._stages), alpha=h)
        return self._next

    def _newton(
        self, times: Sequence[float], h: float, base: Tensor, z: Tensor, scale: Tensor
    ) -> tuple[Tensor, float]:
        """Solve for the increments of a block of stages; return them and the contraction rate.

        Args:
            times: Times of the stages.
            base: State with the increments of the stages before, shape `(len(times), n)`.
            z: Start of the iteration, of the same shape.
        """
        # Rounding limits the accuracy that Newton's method can reach.
        floor = float(rms_norm(base.abs().mul_(self._floor) / scale))
        solved, z, contraction = self._iterate(times, h, base, z, scale, floor)
        for _ in range(self._relinearizations):
            if solved or not bool(torch.isfinite(z).all()):
                break
            self._linearize(times[0], base[0] + z[0])
            solved, z, contraction = self._iterate(times, h, base, z, scale, floor)
        if not solved:
            raise StepFailed("Newton's method did not converge")
        return z, contraction

    def _iterate(
        self,
        times: Sequence[float],
        h: float,
        base: Tensor,
        z: Tensor,
        scale: Tensor,
        floor: float,
    ) -> tuple[bool, Tensor, float]:
        """Iterate with one Jacobian; return whether it converged, and the results of `_newton`."""
        self._factorise(h)
        assert self._solve_linear is not None
        before, contraction = math.nan, 0.0
        # Until there are two changes to compare, assume the rate of the block before, with some
        # caution (Hairer & Wanner II, section IV.8).
        self._rate = max(self._rate, self._floor) ** 0.8
        for _ in range(MAX_ITERATIONS):
            derivatives = torch.stack(
                [self.evaluate(t, y) for t, y in zip(times, (base + z).unbind(), strict=True)]
            )
            change = self._solve_linear(self._coefficients @ derivatives * h - z)
            z = z + change
            size = float(rms_norm(change / scale))
            if not math.isfinite(size):
                break
            if size <= floor:
                return True, z, contraction
            if not math.isnan(before):
                contraction = size / before
                if contraction >= 2:
                    break
                self._rate = contraction / (1 - contraction) if contraction < 1 else math.inf
            if self._rate * size <= KAPPA:
                return True, z, contraction
            before = size
        return False, z, contraction

    def _linearize(self, t: float, y: Tensor) -> None:
        self._counts.evaluations += 1
        self._jacobian = self._linearize_at(t, y)
        self._is_fresh = True
        self._rate = 1.0
        self._factorised_for = math.nan

    def _factorise(self, h: float) -> None:
        if self._factorised_for == h:
            return
        self._factorised_for = h
        assert self._jacobian is not None
        self._solve_linear = self._jacobian.solver(self._coefficients * h)

    def _sum_integrands(self, weights: Sequence[float]) -> Tensor:
        assert self._quadrature is not None
        total = torch.zeros_like(self._quadrature)
        for weight, (t, y) in zip(weights, self._points, strict=True):
            if weight != 0:
                total.add_(self._field(t, y)[self._n :], alpha=weight)
        return total
