"""The way back of the adjoint method: one interval between outputs after the other.

The state is known at every output time and set to what is known, so that the errors of solving it
backwards do not add up. Between two outputs it is only as good as the backward solve, which on a
problem that forgets its past can be arbitrarily bad: how far it was off is looked at, and said.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from ..forward import first_step, make_controller
from ..integrate import Observe, Trajectory, Watch, integrate
from ..methods.make_step import make_step
from ..methods.registry import METHODS
from ..methods.scipy import scipy_integrate
from ..norms import rms_norm, scaled
from ..problem import Problem
from ..solution import Solution, SolveError
from ..solver import Solver
from ..step_size_control import AdaptiveControl, FixedGrid
from ..vector_field import Dynamics, Field
from .augmented import AugmentedDynamics, real_view

__all__ = ["BackwardSolve"]

LOW_ORDER = "ralston3"  # 3 evaluations a step, none at its end, from where the adjoint jumps


class BackwardOptions(Protocol):
    """What a gradient method says of its backward solve; see `Adjoint`."""

    @property
    def seminorm(self) -> bool: ...
    @property
    def method(self) -> str | None: ...
    @property
    def state_tolerance(self) -> float: ...
    @property
    def solver(self) -> Solver | None: ...
    @property
    def norm(self) -> Any: ...
    @property
    def watch(self) -> Any: ...
    def backward_solver(self, solver: Solver, times: Sequence[float]) -> Solver:
        """The solver of the backward solve."""
        ...


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
        options: BackwardOptions,
        ys: Tensor,
        grad_ys: Tensor,
        differentiable: Sequence[Tensor],
    ):
        self._problem, self._options = problem, options
        self._ys, self._grad_ys = ys, grad_ys
        self._differentiable = differentiable
        self._times = problem.times[: len(ys)]
        self._counts = problem.stats.backward
        self._inaccuracy = ys.new_zeros(())
        self._n = problem.y0.numel()
        self._chosen = options.backward_solver(problem.solver, problem.times)
        self._prepare()
        crowded = len(self._times) - 1 > problem.stats.forward.accepted
        by_choice = options.method or options.solver or self._chosen.fixed_steps
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
        self._rtol, self._quadrature_rtol = self._tolerances(self._chosen.rtol)
        self._atol, self._quadrature_atol = self._tolerances(self._chosen.atol)

    def _tolerances(
        self, tolerance: float | Sequence[float]
    ) -> tuple[float | Tensor, float | Tensor]:
        """A tolerance of state and adjoint, `(2n,)`, and of the quadratures, or numbers.

        One for each of all components may be given. Otherwise it is one of a state, and as
        parameters have no part there, the strictest one holds for them.
        """
        spread = self._problem.spread(tolerance, copies=2)
        if isinstance(spread, float | int):
            return spread, spread
        if len(spread) == 2 * self._n + len(self._quadrature):
            return spread[: 2 * self._n], spread[2 * self._n :]
        return spread, float(spread.min())

    def _observer(self) -> Observe | None:
        """Who is told of the steps."""
        return None

    def _enter(self, i: int) -> None:
        """The state is known at output time i: errors of the way back do not add up."""
        self._state[: self._n].copy_(self._ys[i].reshape(-1))

    def _leave(self, i: int) -> None:
        """Compare the state that was reconstructed at output time i with the known one."""
        known, reconstructed = self._ys[i].reshape(-1), self._state[: self._n]
        norm = torch.linalg.vector_norm
        size = torch.maximum(norm(known), norm(self._ys[i + 1])).clamp_min(1e-30)
        # It stays on the device until the end of the way back.
        self._inaccuracy = torch.maximum(self._inaccuracy, norm(reconstructed - known) / size)

    def _conclude_reconstruction(self) -> None:
        error, allowed = float(self._inaccuracy), self._options.state_tolerance
        if not error <= allowed:
            warnings.warn(
                f"the adjoint method solved y backwards with a relative error of {error:.1e}, "
                f"above gradient.state_tolerance={allowed:.1e}; its gradient cannot "
                "be trusted. Take gradient='interpolated', 'discrete' or 'checkpoint', "
                "which do not solve y backwards, or tighter tolerances",
                stacklevel=2,
            )

    def _input_gradients(self) -> list[Tensor | None]:
        return list(self._by_input(self._quadrature))

    def _by_input(self, quadrature: Tensor) -> tuple[Tensor, ...]:
        """A vector of quadratures `(q,)` as tensors of the shapes of the inputs."""
        sizes = [real_view(p).numel() for p in self._differentiable]
        pieces = zip(quadrature.split(sizes), self._differentiable, strict=True)
        return tuple(
            torch.view_as_complex(piece.view(*p.shape, 2)).to(p.dtype)
            if p.is_complex()
            else piece.view(p.shape).to(p.dtype)
            for piece, p in pieces
        )

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
            self._leave(i - 1)
            if i == last:
                # It also paid for finding the step size, and says nothing.
                before = self._counts.evaluations
            mean = (self._counts.evaluations - before) / max(last - i, 1)
            if self._solver != self._chosen and mean > self._cost_of_chosen:
                self._use(self._chosen)
        self._conclude_reconstruction()
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
        # A copy, for the vector field may keep the states it is called with.
        step, start_state = self._step, self._state.clone()
        if solver.fixed_steps:
            grid = FixedGrid(interval, solver, torch.finfo(self._problem.t.dtype).eps)
            trajectory = integrate(
                step,
                grid,
                start_state,
                interval,
                counts,
                solver,
                observe=self._observer(),
                enter=self._problem.enter if solver.perturb else None,
                watch=self._watch(),
            )
        else:
            order = METHODS[solver.method].error_order
            assert order is not None
            if self._controller is None:
                h = first_step(
                    step,
                    interval,
                    start_state,
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
                start_state,
                interval,
                counts,
                solver,
                self._error_ratio,
                observe=self._observer(),
                watch=self._watch(),
            )
        self._conclude(trajectory)

    def _solve_with_scipy(self, interval: list[float]) -> Trajectory:
        n, q = len(self._state), len(self._quadrature)
        # The parameter gradients are part of SciPy's state.
        atol = self._state.new_full((n + q,), float(torch.as_tensor(self._atol).max()))
        atol[:n] = self._atol
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

    @property
    def _measures_quadratures(self) -> bool:
        """Whether the errors of the parameter gradients count.

        A seminorm leaves them out, for a Runge-Kutta step that is short enough for the state is so
        for them. A multistep method integrates them by a polynomial through many steps, which may
        be long and of high order where the adjoint state is constant: they have to be looked at.
        """
        long_memory = METHODS[self._solver.method].family in ("multistep", "scipy")
        return long_memory or not self._options.seminorm

    def _watch(self) -> Watch | None:
        """Who is called with every step, in terms of packed states."""
        watch = self._options.watch
        if watch is None:
            return None
        return lambda t, h, x, accepted: watch(t, h, self._unpacked(x), accepted)

    def _unpacked(self, x: Tensor) -> tuple[Any, Any]:
        """State and adjoint, of the structure that the user gave."""
        unpack, shape = self._problem.unpack, self._problem.y0.shape
        return unpack(x[: self._n].view(shape)), unpack(x[self._n :].view(shape))

    def _norm(self, x: Tensor, quadrature: Tensor | None = None) -> Tensor:
        """The norm of an error of state and adjoint, and of one of the quadratures beside them."""
        norm = self._options.norm
        if norm is not None:
            beside = torch.zeros_like(self._quadrature) if quadrature is None else quadrature
            return norm(*self._unpacked(x), self._by_input(beside))
        # A norm that the user gave knows states: each half is one, and the quadratures are none.
        size = torch.maximum(self._problem.norm(x[: self._n]), self._problem.norm(x[self._n :]))
        return size if quadrature is None else torch.maximum(size, rms_norm(quadrature).to(size))

    def _error_ratio(self, h: float, state0: Tensor, state1: Tensor) -> float:
        step = self._step
        error = scaled(step.error(h), state0, state1, self._rtol, self._atol)
        beside = None
        if len(self._quadrature) and (self._options.norm or self._measures_quadratures):
            rtol, atol = self._quadrature_rtol, self._quadrature_atol
            after = self._quadrature + step.quadrature_increment(h)
            beside = scaled(step.quadrature_error(h), self._quadrature, after, rtol, atol)
        return float(self._norm(error, beside))
