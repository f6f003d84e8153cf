"""The adjoint equation alone, solved backwards over the interpolants of the forward solve.

The parameter gradients, integrals of a df/dtheta, are Gauss quadratures over the backward steps
(the GaussAdjoint of SciMLSensitivity). Those steps are as long as the adjoint allows; where
df/dtheta changes faster, a step is halved for its quadrature alone until that meets the tolerance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..methods.base import Stepper
from ..problem import Observe, Problem
from ..solver import Solver
from ..vector_field import Dynamics
from .backward_pass import Evaluator, Pullback
from .backward_solve import BackwardSolve, strictest
from .gauss_panels import GaussPanels, Gradients

__all__ = ["AdjointOverInterpolants", "StoredSolution"]


HALVINGS = 16  # of a backward step, at most


class StoredSolution:
    """The forward solution as a function of a time."""

    def __init__(
        self,
        starts: Sequence[float],
        sizes: Sequence[float],
        pieces: Sequence[Callable[[Sequence[float]], Tensor]],
    ):
        self._starts, self._sizes, self._pieces = starts, sizes, pieces
        self._sign = -1.0 if sizes and sizes[0] < 0 else 1.0
        self._ends = [self._sign * (t + h) for t, h in zip(starts, sizes, strict=True)]

    def steps_between(self, t: float, other: float) -> int:
        """Number of steps that end between two times."""
        places = [bisect_left(self._ends, self._sign * x) for x in (t, other)]
        return abs(places[0] - places[1])

    def __call__(self, t: float) -> Tensor:
        """y(t), shape `(n,)`."""
        n = min(bisect_left(self._ends, self._sign * t), len(self._ends) - 1)
        return self._pieces[n]([(t - self._starts[n]) / self._sizes[n]])[0]


class AdjointDynamics(Dynamics):
    """a -> -a df/dy(t, y(t)): the state of this solve, `y` to the step that calls, is the adjoint.

    It knows nothing of the solve that uses it: in a cycle of references with it, the interpolants
    would stay until the garbage collector came.
    """

    def __init__(self, evaluate: Evaluator, solution: StoredSolution, shape: torch.Size):
        self._evaluate, self._solution, self._shape = evaluate, solution, shape

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        time = float(t)  # one of `host_times`
        adjoint = y.view(self._shape)
        grad_y = None
        _, leaf, f = self._evaluate.at(time, self._solution(time))
        if f.requires_grad:
            (grad_y,) = torch.autograd.grad(
                f,
                leaf,
                (-adjoint).to(f.dtype),
                retain_graph=self._evaluate.retain_graph,
                allow_unused=True,
            )
        return torch.zeros_like(y) if grad_y is None else grad_y.reshape(y.shape)


def host_time(t: float) -> Tensor:
    """A time in double precision on the host, whatever the state is."""
    return torch.tensor(t, dtype=torch.float64, device="cpu")


def host_times(t: float, h: float, nodes: Sequence[float]) -> tuple[list[Tensor], float]:
    """Times of stages in double precision on the host."""
    return [host_time(t + c * h) for c in nodes], h


class AdjointOverInterpolants(BackwardSolve):
    """da/dt = -a df/dy(t, y(t)) from the last output time to the first.

    Args:
        solution: The forward solution.
        solver, by_choice: See `BackwardSolve`.
        quadrature_points: Gauss points of each backward step.
    """

    def __init__(
        self,
        problem: Problem,
        ys: Tensor,
        grad_ys: Tensor,
        solution: StoredSolution,
        solver: Solver,
        by_choice: bool,
        quadrature_points: int,
    ):
        self._solution = solution
        self._panels = GaussPanels(quadrature_points)
        self._variation = 0.0  # of the parameter gradients: the sum of all terms' sizes
        self._evaluate = Evaluator(problem)
        self._pullback = Pullback(self._evaluate)
        super().__init__(problem, ys, grad_ys, solver, by_choice)

    def _prepare(self) -> None:
        self._state = self._adjoint = self._ys.new_zeros(self._problem.y0.numel())
        self._quadrature = self._ys.new_zeros(0)
        self._dynamics = AdjointDynamics(self._evaluate, self._solution, self._shape)
        self._time, self._clock = host_time, host_times
        self._linearize = self._problem.linearize  # for implicit methods, which are rejected
        self._rtol = self._problem.spread(self._chosen.rtol)
        self._atol = self._problem.spread(self._chosen.atol)
        self._quadrature_tolerances = strictest(self._rtol), strictest(self._atol)

    def _observer(self) -> Observe | None:
        return self._add_to_quadratures if self._evaluate.inputs else None

    def _finish(self) -> list[Tensor | None]:
        return self._pullback.grads

    def _add_to_quadratures(
        self, step: Stepper, t: float, h: float, a: Tensor, a1: Tensor
    ) -> bool:
        adjoint_at = step.interpolant(t, h, a, a1)

        def terms(start: float, end: float) -> list[Gradients]:
            """The terms of the quadrature over a part of the step, in fractions of it."""
            nodes, weights = self._panels.between(start, end)
            found = []
            for node, weight, adjoint in zip(nodes, weights, adjoint_at(nodes), strict=True):
                # Backwards in time h is negative, and the integral goes forwards.
                cotangent = (adjoint * (-h * weight)).view(self._shape)
                found.append(self._parameter_gradients(t + node * h, cotangent))
            return found

        # Samples as wide apart as many forward steps could miss what those steps saw.
        parts = max(1, round(self._solution.steps_between(t, t + h) / 2))
        for i in range(parts):
            self._integrate(terms, i / parts, (i + 1) / parts, HALVINGS)
        return False

    def _integrate(
        self, terms: Callable[[float, float], list[Gradients]], start: float, end: float, left: int
    ) -> None:
        """Add the quadrature over a part of a step, by halves where it is not accurate."""
        found = terms(start, end)
        if left and not self._solver.fixed_steps and self._panels.estimates_errors:
            size, error = self._panels.size_and_error(found)
            rtol, atol = self._quadrature_tolerances
            allowed = rtol * (self._variation + size) + atol
            if error > allowed:
                middle = (start + end) / 2
                self._integrate(terms, start, middle, left - 1)
                self._integrate(terms, middle, end, left - 1)
                return
            self._variation += size
        for grads in found:
            self._pullback.accumulate(grads)

    def _parameter_gradients(self, time: float, cotangent: Tensor) -> Gradients:
        """The vector-Jacobian products with the inputs of the vector field, None for zeros."""
        self._counts.evaluations += 1
        _, _, f = self._evaluate.at(time, self._solution(time))
        if not f.requires_grad:
            return (None,) * len(self._evaluate.inputs)
        return torch.autograd.grad(
            f,
            self._evaluate.inputs,
            cotangent.to(f.dtype),
            retain_graph=self._evaluate.retain_graph,
            allow_unused=True,
        )

    @property
    def _shape(self) -> torch.Size:
        return self._problem.y0.shape
