"""The adjoint equation alone, solved backwards over the interpolants of the forward solve.

The parameter gradients, integrals of a df/dtheta, are Gauss quadratures over the backward steps
(the GaussAdjoint of SciMLSensitivity). Those steps are as long as the adjoint allows; where
df/dtheta changes faster, a step is bisected, for the quadrature alone, until the tolerance is met.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..methods.base import Stepper
from ..problem import Observe, Problem
from ..solver import Solver
from ..vector_field import Dynamics, compute_stage_times
from .backward_pass import Evaluator, VJPAccumulator
from .backward_solve import BackwardSolve, strictest
from .gauss_panels import GaussPanels, Gradients

__all__ = ["AdjointOverInterpolants", "StoredSolution"]


HALVINGS = 16  # at most, of a backward step
COARSEST = 1e-3  # absolute tolerance in multiples of the adjoint, where the state is below its own


class StoredSolution:
    """The forward solution as a function of time."""

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
    """The adjoint equation a -> -a df/dy(t, y(t)); the adjoint is the argument `y` of a call.

    It does not refer to the solve that uses it: in a reference cycle the interpolants would stay
    in memory until the garbage collector runs.
    """

    def __init__(self, evaluate: Evaluator, solution: StoredSolution, shape: torch.Size):
        self._evaluate, self._solution, self._shape = evaluate, solution, shape

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        time = float(t)  # made by `host_time`
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


def largest(ys: Tensor) -> float:
    """The largest root mean square of any output time; shape `(time, *state)`."""
    return float(ys.reshape(len(ys), -1).double().square().mean(1).max().sqrt())


def host_time(t: float) -> Tensor:
    """A time in double precision on the host, whatever dtype and device the state has."""
    return torch.tensor(t, dtype=torch.float64, device="cpu")


class AdjointOverInterpolants(BackwardSolve):
    """da/dt = -a df/dy(t, y(t)) from the last output time to the first.

    Args:
        solution: The forward solution.
        solver, method_is_chosen: See `BackwardSolve`.
        quadrature_points: Gauss points of each backward step.
    """

    def __init__(
        self,
        problem: Problem,
        ys: Tensor,
        grad_ys: Tensor,
        solution: StoredSolution,
        solver: Solver,
        method_is_chosen: bool,
        quadrature_points: int,
    ):
        self._solution = solution
        self._panels = GaussPanels(quadrature_points)
        self._variation = 0.0  # of the parameter gradients: sum of the sizes of all terms
        self._evaluate = Evaluator(problem)
        self._vjp = VJPAccumulator(self._evaluate)
        super().__init__(problem, ys, grad_ys, solver, method_is_chosen)

    def _prepare(self) -> None:
        self._state = self._adjoint = self._ys.new_zeros(self._problem.y0.numel())
        self._quadrature = self._ys.new_zeros(0)
        self._dynamics = AdjointDynamics(self._evaluate, self._solution, self._shape)
        self._time, self._stage_times = host_time, partial(compute_stage_times, host_time)
        self._linearize = self._problem.linearize  # for implicit methods, which are rejected
        self._rtol = self._problem.per_component(self._chosen.rtol)
        self._atol = self._problem.per_component(self._chosen.atol)
        self._atol = self._atol * self._relative_size()
        self._quadrature_tolerances = strictest(self._rtol), strictest(self._atol)

    def _relative_size(self) -> float:
        """Factor by which the absolute tolerance of the state becomes that of the adjoint.

        The adjoint equation is linear, and its solution is as large as the gradients that arrive:
        with the tolerance of the state, its steps would depend on the unit of the loss.
        """
        size, state = largest(self._grad_ys), largest(self._ys)
        smallest = max(state, strictest(self._atol) / COARSEST)
        return size / smallest if 0 < size < math.inf and 0 < smallest < math.inf else 1.0

    def _observer(self) -> Observe | None:
        return self._add_to_quadratures if self._evaluate.inputs else None

    def _finish(self) -> list[Tensor | None]:
        return self._vjp.grads

    def _add_to_quadratures(
        self, step: Stepper, t: float, h: float, a: Tensor, a1: Tensor
    ) -> bool:
        adjoint_at = step.interpolant(t, h, a, a1)

        def terms(start: float, end: float) -> list[Gradients]:
            """Terms of the quadrature over a part of the step, given as fractions of it."""
            nodes, weights = self._panels.between(start, end)
            found = []
            for node, weight, adjoint in zip(nodes, weights, adjoint_at(nodes), strict=True):
                # h is negative when solving backwards in time, and the integral runs forwards.
                cotangent = (adjoint * (-h * weight)).view(self._shape)
                found.append(self._parameter_gradients(t + node * h, cotangent))
            return found

        # Nodes many forward steps apart could miss what those steps resolved.
        parts = max(1, round(self._solution.steps_between(t, t + h) / 2))
        for i in range(parts):
            self._integrate(terms, i / parts, (i + 1) / parts, HALVINGS)
        return False

    def _integrate(
        self, terms: Callable[[float, float], list[Gradients]], start: float, end: float, left: int
    ) -> None:
        """Add the quadrature over a part of a step, bisecting it where it is inaccurate."""
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
            self._vjp.accumulate(grads)

    def _parameter_gradients(self, time: float, cotangent: Tensor) -> Gradients:
        """Vector-Jacobian products for the inputs of the vector field; None for zeros."""
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
