"""One explicit Runge-Kutta step on a preallocated stage buffer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..solution import StepCounts
from ..vector_field import Dynamics
from .butcher_tableau import Tableau
from .interpolation import hermite_interpolation, runge_kutta_interpolation

__all__ = ["ExplicitStep"]


class ExplicitStep:
    """Steps of one explicit Runge-Kutta method, computed in place and without a graph.

    The stages lie in one buffer `(stage, n)`: the point at which a stage is evaluated is one
    matrix-vector product, and so is the error estimate. The points share memory, unless somebody
    keeps it: a graph, or a vector field that remembers the states it was called with.

    Args:
        tableau: The method.
        dynamics: The vector field, on states of `shape`.
        like: A state; its shape, dtype and device are those of all states.
        counts: Where evaluations are counted.
        quadrature: Where integrals along the solution are accumulated, shape `(q,)`, or None.
    """

    def __init__(
        self,
        tableau: Tableau,
        dynamics: Dynamics,
        like: Tensor,
        counts: StepCounts,
        quadrature: Tensor | None = None,
    ):
        self.tableau = tableau
        self.counts = counts
        self._dynamics = dynamics
        self._shape = like.shape
        s, n = tableau.stages, like.numel()
        self._all_stages = like.new_empty(s + len(tableau.dense_a), n)
        self._stages = self._all_stages[:s]
        self._rows = [row.view(like.shape) for row in self._all_stages]
        self._first, self._last = self._stages[0], self._stages[-1]
        # Column-major views of the first i stages, so that a stage input is one addmv.
        self._earlier = [self._stages[:i].t() for i in range(s)]
        self._columns = self._stages.t()
        self._a = [like.new_tensor(row) for row in tableau.a]
        self._dense_a = [like.new_tensor(row) for row in tableau.dense_a]
        self._b = like.new_tensor(tableau.b)
        self._b_error = None if tableau.b_error is None else like.new_tensor(tableau.b_error)
        self._new_point()
        self._is_double = like.dtype == torch.float64
        self._first_is_known = False
        self._end_is_known = False
        self._interpolant: Callable[[Sequence[float]], Tensor] | None = None
        self._quadrature = quadrature
        self._integrands = None if quadrature is None else quadrature.new_zeros(s, len(quadrature))
        # An integrand of weight 0, in the integral and in its error, need not be known, and one
        # of the stages that only an interpolant needs has none. But the last stage may become
        # the first of the next step.
        weights = zip(tableau.b, tableau.b_error or tableau.b, strict=True)
        weighed = {s - 1, *(i for i, pair in enumerate(weights) if any(pair))}
        self._integrand_rows = [
            self._integrands[i] if self._integrands is not None and i in weighed else None
            for i in range(len(self._rows))
        ]

    def derivative(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at (t, y), kept as the first stage of the next step; shape `(n,)`."""
        if not self._first_is_known:
            self._evaluate(0, t, y.view(self._shape))
            self._first_is_known = True
        return self._first

    def probe(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at any (t, y), in the buffer of the last stage and without integrands; `(n,)`."""
        self.counts.evaluations += 1
        self._dynamics(t, y.view(self._shape), self._rows[len(self._stages) - 1], None)
        return self._last

    def forget(self) -> None:
        """The state was changed from outside: the next step evaluates its first stage anew."""
        self._first_is_known = False

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        """The state after a step of size `h` from (t, y), shape `(n,)`."""
        tableau = self.tableau
        self._interpolant = None
        self.derivative(t, y)
        y1 = torch.empty_like(y)
        last = tableau.stages - 1
        for i in range(1, tableau.stages):
            if i == last and tableau.solution_is_last_stage:
                torch.addmv(y, self._earlier[i], self._a[i], alpha=h, out=y1)
                self._evaluate(i, t + h, y1.view(self._shape))
                return y1
            torch.addmv(y, self._earlier[i], self._a[i], alpha=h, out=self._point)
            self._evaluate_at_point(i, t + tableau.c[i] * h)
        if self._is_double or last == 0:
            return torch.addmv(y, self._columns, self._b, alpha=h, out=y1)
        # That product rounds once for each stage, in many steps to the same side.
        increment = torch.mv(self._columns, self._b, out=self._point)
        return torch.add(y, increment, alpha=h, out=y1)

    def error(self, h: float) -> Tensor:
        """Estimate of the last step's local error, shape `(n,)`; the next step overwrites it."""
        assert self._b_error is not None
        # The point of the last stage is used up, and its memory holds the error.
        error = self._point
        return torch.addmv(error, self._columns, self._b_error, beta=0, alpha=h, out=error)

    def quadrature_increment(self, h: float) -> Tensor:
        """What the last step adds to the quadratures when it is accepted, shape `(q,)`."""
        assert self._integrands is not None
        return torch.mv(self._integrands.t(), self._b).mul_(h)

    def quadrature_error(self, h: float) -> Tensor:
        """The same estimate for the quadratures, shape `(q,)`."""
        assert self._b_error is not None
        assert self._integrands is not None
        return torch.mv(self._integrands.t(), self._b_error).mul_(h)

    def accept(self, h: float) -> None:
        """The last step counts: add its quadratures and move on to its end."""
        if self._quadrature is not None:
            self._quadrature.add_(self.quadrature_increment(h))
        self._first_is_known = self.tableau.first_same_as_last or self._end_is_known
        self._end_is_known = False
        if self._first_is_known and len(self._stages) > 1:
            self._first.copy_(self._last)
            if self._integrands is not None:
                self._integrands[0].copy_(self._integrands[-1])

    def interpolate(
        self, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        """States at `t + theta h` inside the last step, before it is accepted.

        Returns:
            Shape `(len(thetas), n)`.
        """
        if self.tableau.dense is not None and self._interpolant is None:
            self._evaluate_dense_stages(t, h, y0)
            return runge_kutta_interpolation(self.tableau, y0, self._all_stages, h, thetas)
        return self.interpolant(t, h, y0, y1)(thetas)

    def interpolant(
        self, t: float, h: float, y0: Tensor, y1: Tensor
    ) -> Callable[[Sequence[float]], Tensor]:
        """The last step as a function of theta that outlives it, before it is accepted."""
        if self._interpolant is None:
            self._interpolant = self._make_interpolant(t, h, y0, y1)
        return self._interpolant

    def _make_interpolant(
        self, t: float, h: float, y0: Tensor, y1: Tensor
    ) -> Callable[[Sequence[float]], Tensor]:
        if self.tableau.dense is not None:
            self._evaluate_dense_stages(t, h, y0)
            stages = self._all_stages.clone()
            return partial(runge_kutta_interpolation, self.tableau, y0, stages, h)
        f0 = self._first.clone()
        if not self.tableau.first_same_as_last:
            self._evaluate(len(self._stages) - 1, t + h, y1.view(self._shape))
            self._end_is_known = True
        return partial(hermite_interpolation, y0, f0, y1, self._last.clone(), h)

    def _evaluate_dense_stages(self, t: float, h: float, y0: Tensor) -> None:
        for i, (c, row) in enumerate(zip(self.tableau.dense_c, self._dense_a, strict=True)):
            stage = self.tableau.stages + i
            torch.addmv(y0, self._all_stages[:stage].t(), row, alpha=h, out=self._point)
            self._evaluate_at_point(stage, t + c * h)

    def _new_point(self) -> None:
        """Allocate memory for the points at which stages are evaluated."""
        like = self._all_stages
        self._point = like.new_empty(like.shape[1])
        self._point_shaped = self._point.view(self._shape)
        self._storage = self._point.untyped_storage()
        self._users = self._count_users()

    def _count_users(self) -> tuple[int, int]:
        """How many tensors share the memory of the point, and how many objects that tensor."""
        if torch.compiler.is_compiling():
            return 0, 0
        tensors = torch._C._storage_Use_Count(self._storage._cdata)
        return tensors, sys.getrefcount(self._point_shaped)

    def _evaluate_at_point(self, stage: int, t: float) -> None:
        self._evaluate(stage, t, self._point_shaped)
        if self._count_users() != self._users:
            self._new_point()

    def _evaluate(self, stage: int, t: float, y: Tensor) -> None:
        self.counts.evaluations += 1
        self._dynamics(t, y, self._rows[stage], self._integrand_rows[stage])
