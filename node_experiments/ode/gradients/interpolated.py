"""The adjoint equation alone, over the interpolants of the forward solve.

The adjoint method solves y backwards again. Keeping the interpolants of the forward steps saves
that: da/dt = -a df/dy(t, y(t)) has the size of the state, and backward instability of y cannot
hurt. The parameter gradients, integrals of a df/dtheta, are Gauss quadratures over the backward
steps (the GaussAdjoint of SciMLSensitivity). Those steps are as long as the adjoint allows; where
df/dtheta changes faster, a step is halved for its quadrature alone until that meets the tolerance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..changed_field import reject_change_since
from ..inside_steps import needs_shorter_steps
from ..integrate import solve_forward
from ..methods.base import Interpolant, Stepper
from ..methods.registry import METHODS
from ..problem import Observe, Problem
from ..solution import Trajectory
from ..solver import Solver
from ..vector_field import Dynamics
from .adjoint import Adjoint
from .backward_solve import BackwardSolve, strictest
from .base import Evaluator, Pullback, backward_pass
from .gauss_panels import GaussPanels, Gradients

__all__ = ["Interpolated"]

HALVINGS = 16  # of a backward step, at most


@dataclass(frozen=True)
class Interpolated(Adjoint):
    """Gradient of the continuous solution, from stored interpolants.

    Options of `Adjoint` but `norm` and `watch`, which are of a state that is solved backwards; as
    none is, `seminorm` and `state_tolerance` change nothing. And:

    Attributes:
        quadrature_points: Gauss points of each backward step: p of them integrate polynomials
            of degree 2p - 1. The error of an odd number from 3 on is estimated in adaptive
            solves, and the step is halved where it is too large.

    Raises:
        ValueError: No quadrature points, or options of the augmented state, which is not solved.

    Example:
        >>> from node_experiments.ode import solve
        >>> rate = torch.tensor(0.5, requires_grad=True)
        >>> y0, t = torch.ones(1), torch.tensor([0.0, 2.0])
        >>> gradient = Interpolated(quadrature_points=5)
        >>> solution = solve(lambda t, y: -rate * y, y0, t, "dopri5", gradient)
        >>> solution.ys[-1].sum().backward()
        >>> round(rate.grad.item(), 3)  # -2 exp(-1)
        -0.736
    """

    quadrature_points: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.quadrature_points, Integral) and self.quadrature_points >= 1):
            raise ValueError(
                f"gradient.quadrature_points={self.quadrature_points!r} must be a whole number of "
                "at least 1"
            )
        for name in ("norm", "watch"):
            if getattr(self, name) != getattr(Adjoint, name):
                raise ValueError(
                    f"gradient='interpolated' solves the adjoint alone, and gradient.{name} is of "
                    "the state beside it; leave it out, or take gradient='adjoint'"
                )

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: A method without interpolants, or without any that are as accurate as its
                steps; or one that is not explicit for the backward solve.
        """
        method = problem.solver.method
        if needs_shorter_steps(problem):
            raise ValueError(
                "gradient='interpolated' needs the solution inside of steps, and those of "
                f"solver.method={method!r} may be too long to be interpolated; take "
                "gradient='discrete' or 'adjoint'"
            )
        backwards = self.backward_solver(problem.solver, problem.times).method
        if METHODS[method].family == "scipy" or METHODS[backwards].family not in (
            "explicit",
            "multistep",
        ):
            raise ValueError(
                "gradient='interpolated' needs interpolants in the forward solve and an explicit "
                f"method in the backward pass; found solver.method={method!r} and the method "
                f"{backwards!r} backwards; set gradient.method=dopri5, or take gradient='adjoint'"
            )
        trajectories: list[Trajectory] = []
        ys = InterpolatedSolve.apply(
            problem, self, trajectories, problem.y0, problem.t, *problem.inputs
        )
        return ys, trajectories[0]


class InterpolatedSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    def forward(
        ctx: Any,
        problem: Problem,
        options: Interpolated,
        trajectories: list[Trajectory],
        y0: Tensor,
        t: Tensor,
        *inputs: Tensor,
    ) -> Tensor:
        starts: list[float] = []
        sizes: list[float] = []
        pieces: list[Interpolant] = []
        others = problem.observe

        def observe(step: Stepper, t: float, h: float, y: Tensor, y1: Tensor) -> bool:
            starts.append(t)
            sizes.append(h)
            pieces.append(step.interpolant(t, h, y, y1))
            return others is not None and others(step, t, h, y, y1)

        problem.observe = observe
        try:
            ys, trajectory = solve_forward(problem)
        finally:
            problem.observe = others
        trajectories.append(trajectory)
        ctx.problem, ctx.options, ctx.steps = problem, options, (starts, sizes)
        # An interpolant is a function with its tensors bound; autograd should keep those.
        ctx.pieces = [(p.func, [isinstance(a, Tensor) or a for a in p.args]) for p in pieces]
        bound = [a for p in pieces for a in p.args if isinstance(a, Tensor)]
        read = problem.read_inputs
        ctx.save_for_backward(ys, *read, *bound)
        ctx.count = len(read)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        reject_change_since(ctx.problem)
        ys, *rest = ctx.saved_tensors
        bound = iter(rest[ctx.count :])
        pieces = [
            partial(func, *(next(bound) if a is True else a for a in args))
            for func, args in ctx.pieces
        ]
        starts, sizes = ctx.steps
        solution = StoredSolution(starts, sizes, pieces)
        solve = AdjointOverInterpolants(ctx.problem, ctx.options, ys, grad_ys, solution)
        grad_y0, grad_t, *grads = solve.solve(needs_grad_t=ctx.needs_input_grad[4])
        return None, None, None, grad_y0, grad_t, *grads


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
    """da/dt = -a df/dy(t, y(t)) from the last output time to the first."""

    def __init__(
        self,
        problem: Problem,
        options: Interpolated,
        ys: Tensor,
        grad_ys: Tensor,
        solution: StoredSolution,
    ):
        self._solution = solution
        self._panels = GaussPanels(options.quadrature_points)
        self._variation = 0.0  # of the parameter gradients: the sum of all terms' sizes
        self._evaluate = Evaluator(problem)
        self._pullback = Pullback(self._evaluate)
        solver: Solver = options.backward_solver(problem.solver, problem.times)
        super().__init__(problem, ys, grad_ys, solver, options.chooses_method)

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
