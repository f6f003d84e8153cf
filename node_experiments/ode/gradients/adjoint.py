"""The adjoint method of Chen et al. 2018, section 2 and appendices B and C.

The adjoint a(t) = dL/dy(t) obeys da/dt = -a df/dy. Solving it backwards together with y itself
needs no stored activations, so the memory does not grow with the number of evaluations, and one
call yields all gradients:

    dL/dtheta = -integral from t_N to t_0 of a df/dtheta dt,
    dL/dt_i = dL/dy(t_i) f(t_i, y(t_i)),    dL/dt_0 = -a(t_0) f(t_0, y(t_0)).

At every output time the adjoint jumps by the gradient that arrives there. The parameter gradients
do not feed back into the solution, so they are a quadrature beside it and not part of its state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..controllers import AdaptiveControl, FixedGrid
from ..field import Dynamics, Field
from ..forward import first_step, make_controller, solve_forward
from ..integrate import Observe, Trajectory, integrate
from ..linearization import AugmentedLinearization, Linearization
from ..methods import METHODS
from ..norms import error_ratio
from ..problem import Problem
from ..scipy_methods import scipy_integrate
from ..solution import Solution, SolveError
from ..solver import Solver
from ..steps import make_step
from .base import backward_pass
from .evaluation import Evaluator

__all__ = ["Adjoint", "BackwardSolve"]

LOW_ORDER = "bosh3"  # 3 evaluations a step, and one where the adjoint jumps


@dataclass(frozen=True)
class Adjoint:
    """The paper's gradient: within the solver's tolerance, in constant memory.

    Attributes:
        rtol, atol: Tolerances of the backward solve; those of the forward solve when None. The
            absolute one is in units of the state and of the gradient that arrives alike, as in
            the paper: for gradients much smaller than `atol` the state alone decides the steps.
        seminorm: Leave the parameter gradients out of the error norm (Kidger et al. 2021): they
            do not feed back into the solution, and fewer steps give the same accuracy.
        method: Method of the backward solve. When None it is that of the forward solve; but where
            outputs lie closer than its steps did, every interval costs a whole step, and a method
            of low order with cheaper steps is taken as long as one of them is enough.

    Raises:
        ValueError: A negative tolerance, or an unknown method.
    """

    rtol: float | None = None
    atol: float | None = None
    seminorm: bool = True
    method: str | None = None

    def __post_init__(self) -> None:
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"gradient.{name}={value!r} must be a number >= 0, or null")
        if self.method is not None and self.method not in METHODS:
            raise ValueError(
                f"gradient.method={self.method!r} is unknown; allowed: {', '.join(METHODS)}, "
                "or null"
            )

    def backward_solver(self, solver: Solver, times: Sequence[float]) -> Solver:
        """The solver of the way back: its own method and tolerances, the same fixed step."""
        step_size = solver.step_size
        if solver.num_steps is not None:
            step_size = abs(times[-1] - times[0]) / solver.num_steps
        return replace(
            solver,
            method=self.method or solver.method,
            rtol=solver.rtol if self.rtol is None else self.rtol,
            atol=solver.atol if self.atol is None else self.atol,
            num_steps=None,
            step_size=step_size,
        )

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: A symplectic method: the augmented system is not separable.
        """
        method = self.method or problem.solver.method
        if METHODS[method].family == "symplectic":
            raise ValueError(
                f"gradient='adjoint' cannot use the method {method!r}, whose backward problem is "
                "not separable; set gradient.method, or take gradient='reversible' or 'backprop'"
            )
        trajectories: list[Trajectory] = []
        ys = _Solve.apply(
            problem,
            self,
            trajectories,
            problem.y0,
            problem.t,
            *problem.inputs,
        )
        return ys, trajectories[0]


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        problem: Problem,
        options: Adjoint,
        trajectories: list[Trajectory],
        y0: Tensor,
        t: Tensor,
        *differentiable: Tensor,
    ) -> Tensor:
        ys, trajectory = solve_forward(problem)
        trajectories.append(trajectory)
        ctx.problem, ctx.options = problem, options
        ctx.save_for_backward(ys, *differentiable)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        ys, *differentiable = ctx.saved_tensors
        backward_solve = BackwardSolve(ctx.problem, ctx.options, ys, grad_ys, differentiable)
        with torch.no_grad():
            grad_y0, grad_t, *grads = backward_solve.solve(needs_grad_t=ctx.needs_input_grad[4])
        return None, None, None, grad_y0, grad_t, *grads


class AugmentedDynamics:
    """(y, a) -> (f, -a df/dy), with -a df/dtheta beside it: one evaluation and one product."""

    def __init__(self, problem: Problem):
        self._problem = problem
        self._shape = problem.y0.shape
        self._evaluate = Evaluator(problem)

    def __call__(self, t: float, y: Tensor, derivative: Tensor, integrand: Tensor | None) -> None:
        n = len(y) // 2
        y, a = y[:n].view(self._shape), y[n:].view(self._shape)
        inputs = self._evaluate.inputs
        _, y, f = self._evaluate(t, y)
        if f.requires_grad:
            grad_y, *grads = torch.autograd.grad(
                f, (y, *inputs), (-a).to(f.dtype), allow_unused=True, materialize_grads=True
            )
        else:
            grad_y, *grads = [torch.zeros_like(x) for x in (y, *inputs)]
        derivative[:n].copy_(f.detach().reshape(-1))
        derivative[n:].copy_(grad_y.reshape(-1))
        if integrand is not None and grads:
            torch.cat([real_view(grad).reshape(-1) for grad in grads], out=integrand)

    def linearize(self, t: float, y: Tensor) -> AugmentedLinearization:
        """The Jacobian at (t, y), for implicit methods."""
        problem = self._problem

        def flat(y: Tensor) -> Tensor:
            f = problem.func(problem.time(t), y.view(self._shape), *problem.args)
            return f.reshape(-1).to(y.dtype)

        return AugmentedLinearization(Linearization(flat, y[: len(y) // 2]))


class BackwardSolve:
    """The augmented ODE from the last output time to the first.

    Args:
        ys, grad_ys: States at the output times and the gradients that arrive there, shape
            `(time, *state)`.
        differentiable: Arguments and parameters of the vector field that need gradients.
    """

    def __init__(
        self,
        problem: Problem,
        options: Adjoint,
        ys: Tensor,
        grad_ys: Tensor,
        differentiable: Sequence[Tensor],
    ):
        self._problem, self._options = problem, options
        self._ys, self._grad_ys = ys, grad_ys
        self._differentiable = differentiable
        self._times = problem.times[: len(ys)]
        self._counts = problem.stats.backward
        self._n = problem.y0.numel()
        self._chosen = options.backward_solver(problem.solver, problem.times)
        self._prepare()
        crowded = len(self._times) - 1 > problem.stats.forward.accepted
        by_choice = options.method is not None or self._chosen.fixed_steps
        explicit = METHODS[self._chosen.method].family == "explicit"
        low_order = crowded and explicit and not by_choice
        self._use(replace(self._chosen, method=LOW_ORDER) if low_order else self._chosen)

    def _prepare(self) -> None:
        """Allocate what is integrated: (y, a), and the parameter gradients beside it."""
        self._state = self._ys.new_zeros(2 * self._n)
        self._adjoint = self._state[self._n :]
        self._quadrature = self._ys.new_zeros(
            sum(real_view(p).numel() for p in self._differentiable)
        )
        self._dynamics: Dynamics = AugmentedDynamics(self._problem)
        self._rtol = self._problem.spread(self._chosen.rtol, copies=2)
        self._atol = self._problem.spread(self._chosen.atol, copies=2)

    def _observer(self) -> Observe | None:
        """Who is told of the steps."""
        return None

    def _enter(self, i: int) -> None:
        """The state is known at output time i: errors of the way back do not add up."""
        self._state[: self._n].copy_(self._ys[i].reshape(-1))

    def _input_gradients(self) -> list[Tensor | None]:
        sizes = [real_view(p).numel() for p in self._differentiable]
        pieces = zip(self._quadrature.split(sizes), self._differentiable, strict=True)
        return [
            torch.view_as_complex(piece.view(*p.shape, 2)).to(p.dtype)
            if p.is_complex()
            else piece.view(p.shape).to(p.dtype)
            for piece, p in pieces
        ]

    def _use(self, solver: Solver) -> None:
        self._solver = solver
        self._controller: AdaptiveControl | None = None
        self._uses_scipy = METHODS[solver.method].family == "scipy"
        if self._uses_scipy:
            self._field = Field(self._dynamics, self._state, self._counts, len(self._quadrature))
            return
        self._step = make_step(
            solver,
            self._dynamics,
            self._state,
            self._counts,
            self._rtol,
            self._atol,
            self._quadrature if len(self._quadrature) else None,
        )

    def solve(self, needs_grad_t: bool) -> list[Tensor | None]:
        """Gradients of y0, of t (or None), and of each tensor of `differentiable`."""
        a = self._adjoint
        grad_t = torch.zeros_like(self._problem.t) if needs_grad_t else None
        last = len(self._times) - 1
        before = self._counts.evaluations
        for i in range(last, 0, -1):
            self._enter(i)
            a.add_(self._grad_ys[i].reshape(-1))
            if grad_t is not None:
                grad_t[i] = self._flow_along(i, self._grad_ys[i])
            if not self._uses_scipy:
                self._step.forget()
            self._solve_interval(self._times[i], self._times[i - 1])
            if i == last:
                # It also paid for finding the step size, and says nothing.
                before = self._counts.evaluations
            mean = (self._counts.evaluations - before) / max(last - i, 1)
            if self._solver != self._chosen and mean > self._cost_of_chosen:
                self._use(self._chosen)
        grad_y0 = a.view(self._ys.shape[1:])
        if grad_t is not None:
            grad_t[0] = -self._flow_along(0, grad_y0)
        return [grad_y0 + self._grad_ys[0], grad_t, *self._input_gradients()]

    @property
    def _cost_of_chosen(self) -> int:
        """Evaluations of an interval that is one step of the chosen method."""
        return METHODS[self._chosen.method].stages + 1

    def _solve_interval(self, start: float, end: float) -> None:
        solver, counts = self._solver, self._counts
        interval = [start, end]
        if self._uses_scipy:
            self._conclude(self._solve_with_scipy(interval))
            return
        step = self._step
        if solver.fixed_steps:
            grid = FixedGrid(start, end, solver)
            trajectory = integrate(
                step,
                grid,
                self._state.clone(),
                interval,
                counts,
                solver.max_steps,
                observe=self._observer(),
            )
        else:
            order = METHODS[solver.method].error_order
            assert order is not None
            if self._controller is None:
                h = first_step(
                    step,
                    interval,
                    self._state,
                    order,
                    solver,
                    self._norm,
                    self._rtol,
                    self._atol,
                )
                resolution = torch.finfo(self._state.dtype).eps
                self._controller = make_controller(step, end, h, order, solver, resolution)
            self._controller.retarget(end)
            trajectory = integrate(
                step,
                self._controller,
                self._state.clone(),
                interval,
                counts,
                solver.max_steps,
                solver.min_step,
                self._error_ratio,
                observe=self._observer(),
            )
        self._conclude(trajectory)

    def _solve_with_scipy(self, interval: list[float]) -> Trajectory:
        n, q = len(self._state), len(self._quadrature)
        # The parameter gradients are part of SciPy's state, and the seminorm an endless tolerance.
        atol = self._state.new_full((n + q,), math.inf if self._options.seminorm else 0.0)
        atol[:n] = self._atol
        if not self._options.seminorm:
            atol[n:] = float(torch.as_tensor(self._atol).max())
        atol.clamp_(max=1e30)
        rtol = self._rtol if isinstance(self._rtol, float) else float(self._rtol.min())
        together = torch.cat([self._state, self._quadrature])
        trajectory = scipy_integrate(
            self._solver, self._field, together, interval, self._counts, rtol, atol
        )
        if trajectory.status.ok:
            end = trajectory.outputs[-1].view(-1)
            self._quadrature.copy_(end[n:])
            trajectory.outputs[-1] = end[:n].unsqueeze(0)
        return trajectory

    def _conclude(self, trajectory: Trajectory) -> None:
        solver, counts = self._solver, self._counts
        if not trajectory.status.ok:
            message = (
                f"{solver.method} stopped at t={trajectory.t:.6g} of the backward solve with step "
                f"{trajectory.h:.3g} after {counts.evaluations} evaluations "
                f"({counts.accepted} steps accepted, {counts.rejected} rejected): "
                f"{trajectory.status.value}"
            )
            ts = self._problem.t[: len(self._ys)].detach()
            raise SolveError(
                Solution(ts, self._ys, self._problem.stats, trajectory.status, message)
            )
        self._state.copy_(trajectory.outputs[-1].view(-1))

    def _flow_along(self, i: int, cotangent: Tensor) -> Tensor:
        """Inner product of the cotangent with f at output time i."""
        self._counts.evaluations += 1
        time = self._problem.time(self._times[i])
        f = self._problem.func(time, self._ys[i], *self._problem.args)
        return (f * cotangent).sum()

    def _norm(self, x: Tensor) -> Tensor:
        return torch.maximum(self._problem.norm(x[: self._n]), self._problem.norm(x[self._n :]))

    def _error_ratio(self, h: float, state0: Tensor, state1: Tensor) -> float:
        step = self._step
        ratio = error_ratio(step.error(h), state0, state1, self._rtol, self._atol, self._norm)
        if self._options.seminorm or not len(self._quadrature):
            return ratio
        # Parameters have no part of the state; the strictest tolerance holds for them.
        rtol, atol = (float(torch.as_tensor(x).min()) for x in (self._rtol, self._atol))
        after = self._quadrature + step.quadrature_increment(h)
        error = step.quadrature_error(h)
        return max(
            ratio,
            error_ratio(error, self._quadrature, after, rtol, atol, self._problem.norm),
        )


def real_view(x: Tensor) -> Tensor:
    """A complex tensor as pairs of real numbers; a real one as it is."""
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
