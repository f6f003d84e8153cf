"""One explicit Runge-Kutta step on a preallocated stage buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from .dense import hermite_interpolation, runge_kutta_interpolation
from .solution import StepCounts
from .tableaus import Tableau

__all__ = ["Dynamics", "ExplicitStep"]


class Dynamics(Protocol):
    """Writes dy/dt at (t, y) into `derivative`, and the integrands of pure quadratures beside it.

    A quadrature is an integral along the solution that does not feed back into it, as the
    parameter gradients of the adjoint method (the term is that of Hindmarsh et al. 2005).
    """

    def __call__(
        self, t: float, y: Tensor, derivative: Tensor, integrand: Tensor | None
    ) -> None: ...


class ExplicitStep:
    """Steps of one explicit Runge-Kutta method, computed in place and without a graph.

    The stages lie in one buffer `(stage, n)`: the point at which a stage is evaluated is one
    matrix-vector product, and so is the error estimate.

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
        self._stages = like.new_empty(s, n)
        self._rows = [row.view(like.shape) for row in self._stages]
        # Column-major views of the first i stages, so that a stage input is one addmv.
        self._earlier = [self._stages[:i].t() for i in range(s)]
        self._columns = self._stages.t()
        self._a = [like.new_tensor(row) for row in tableau.a]
        self._b = like.new_tensor(tableau.b)
        self._b_error = None if tableau.b_error is None else like.new_tensor(tableau.b_error)
        self._scratch = like.new_empty(n)
        self._scratch_shaped = self._scratch.view(like.shape)
        self._first_is_known = False
        self._end_is_known = False
        self._quadrature = quadrature
        self._integrands = None if quadrature is None else quadrature.new_empty(s, len(quadrature))

    def derivative(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at (t, y), kept as the first stage of the next step; shape `(n,)`."""
        if not self._first_is_known:
            self._evaluate(0, t, y.view(self._shape))
            self._first_is_known = True
        return self._stages[0]

    def probe(self, t: float, y: Tensor) -> Tensor:
        """dy/dt at any (t, y), in the buffer of the last stage; shape `(n,)`."""
        self._evaluate(-1, t, y.view(self._shape))
        return self._stages[-1]

    def forget(self) -> None:
        """The state was changed from outside: the next step evaluates its first stage anew."""
        self._first_is_known = False

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        """The state after a step of size `h` from (t, y), shape `(n,)`."""
        tableau = self.tableau
        self.derivative(t, y)
        y1 = torch.empty_like(y)
        last = tableau.stages - 1
        for i in range(1, tableau.stages):
            if i == last and tableau.solution_is_last_stage:
                torch.addmv(y, self._earlier[i], self._a[i], alpha=h, out=y1)
                self._evaluate(i, t + h, y1.view(self._shape))
                return y1
            torch.addmv(y, self._earlier[i], self._a[i], alpha=h, out=self._scratch)
            self._evaluate(i, t + tableau.c[i] * h, self._scratch_shaped)
        return torch.addmv(y, self._columns, self._b, alpha=h, out=y1)

    def error(self, h: float) -> Tensor:
        """Estimate of the last step's local error, shape `(n,)`."""
        assert self._b_error is not None
        return torch.mv(self._columns, self._b_error).mul_(h)

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
            self._stages[0].copy_(self._stages[-1])
            if self._integrands is not None:
                self._integrands[0].copy_(self._integrands[-1])

    def interpolate(
        self, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
    ) -> Tensor:
        """States at `t + theta h` inside the last step, before it is accepted.

        Returns:
            Shape `(len(thetas), n)`.
        """
        if self.tableau.dense is not None:
            return runge_kutta_interpolation(self.tableau, y0, self._stages, h, thetas)
        f0 = self._stages[0].clone()
        f1 = self.probe(t + h, y1)
        self._end_is_known = True
        return hermite_interpolation(y0, f0, y1, f1, h, thetas)

    def _evaluate(self, stage: int, t: float, y: Tensor) -> None:
        self.counts.evaluations += 1
        integrand = None if self._integrands is None else self._integrands[stage]
        self._dynamics(t, y, self._rows[stage], integrand)
