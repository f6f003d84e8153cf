"""The adjoint equation alone, over the interpolants of the forward solve.

The adjoint method also solves for y backwards. Keeping the interpolants of the forward steps saves
that: da/dt = -a df/dy(t, y(t)) has the size of the state, and instability of y backwards in time
does no harm; see `adjoint_over_interpolants`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence  # noqa: F401  fields of Adjoint name them
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..inside_steps import interpolates_by_substeps
from ..integrate import solve_forward
from ..methods.base import Interpolant, Stepper
from ..problem import Problem
from ..solution import Solution, SolveError, Trajectory  # noqa: F401  likewise
from ..solver import Solver  # noqa: F401  likewise
from .adjoint import Adjoint
from .adjoint_over_interpolants import AdjointOverInterpolants, StoredSolution
from .backward_pass import backward_pass, check_field_unchanged, forward_pass
from .backward_solve import check_dense_inputs

__all__ = ["Interpolated"]


@dataclass(frozen=True)
class Interpolated(Adjoint):
    """Gradient of the continuous solution, from stored interpolants.

    `atol`, by default that of the forward solve, is to the adjoint what it is to the state,
    relative to the sizes of both: gradients are proportional to the loss.

    It has the options of `Adjoint` except `norm` and `watch`, which concern a state that is solved
    backwards; for the same reason `seminorm` and `state_tolerance` have no effect. In addition:

    Attributes:
        quadrature_points: Gauss points of each backward step; p of them integrate polynomials of
            degree 2p - 1 exactly. In adaptive solves with an odd number of at least 3, the error
            is estimated, and the step is halved where it is too large.

    Raises:
        ValueError: No quadrature points, or an option of the augmented state.

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
                    f"gradient='interpolated' solves for the adjoint alone, and gradient.{name} "
                    "also takes the state; leave it out, or use gradient='adjoint'"
                )

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: A sparse tensor needs a gradient; the method has no interpolants, or none
                as accurate as its steps; or the method of the backward solve is not explicit.
        """
        check_dense_inputs(problem, "interpolated")
        solver, backwards = problem.solver, self.backward_solver(problem.solver, problem.times)
        if interpolates_by_substeps(problem):
            raise ValueError(
                "gradient='interpolated' needs the solution inside of steps, and those of "
                f"solver.method={solver.method!r} may be too long to be interpolated; use "
                "gradient='discrete' or 'adjoint'"
            )
        explicit = backwards.properties.family in ("explicit", "multistep")
        if solver.properties.family == "scipy" or not explicit:
            raise ValueError(
                "gradient='interpolated' needs interpolants in the forward solve and an explicit "
                f"method in the backward pass; found solver.method={solver.method!r} and the "
                f"method {backwards.method!r} backwards; set gradient.method=dopri5, or use "
                "gradient='adjoint'"
            )
        trajectories: list[Trajectory] = []
        ys = InterpolatedSolve.apply(
            problem, self, trajectories, problem.y0, problem.t, *problem.inputs
        )
        return ys, trajectories[0]


class InterpolatedSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    @forward_pass
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
        # An interpolant is a partial function; autograd keeps the tensors bound to it.
        ctx.pieces = [(p.func, [isinstance(a, Tensor) or a for a in p.args]) for p in pieces]
        bound = [a for p in pieces for a in p.args if isinstance(a, Tensor)]
        read = problem.read_inputs
        ctx.save_for_backward(ys, *read, *bound)
        ctx.count = len(read)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        check_field_unchanged(ctx.problem)
        problem, options = ctx.problem, ctx.options
        ys, *rest = ctx.saved_tensors
        bound = iter(rest[ctx.count :])
        pieces = [
            partial(func, *(next(bound) if a is True else a for a in args))
            for func, args in ctx.pieces
        ]
        starts, sizes = ctx.steps
        solution = StoredSolution(starts, sizes, pieces)
        solver = options.backward_solver(problem.solver, problem.times)
        solve = AdjointOverInterpolants(
            problem,
            ys,
            grad_ys,
            solution,
            solver,
            options.method_is_chosen,
            options.quadrature_points,
        )
        grad_y0, grad_t, *grads = solve.solve(needs_grad_t=ctx.needs_input_grad[4])
        return None, None, None, grad_y0, grad_t, *grads
