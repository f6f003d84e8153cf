"""The backward solve of an adjoint equation, from the last output time to the first.

It solves one interval between outputs after the other: at each output, the adjoint jumps by the
gradient that arrives there (Chen et al. 2018, algorithm 2 of appendix C). Each gradient method
decides what is solved together with the adjoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..fixed_grid import FixedGrid
from ..integrate import integrate, make_controller
from ..methods.explicit_runge_kutta import StageTimes
from ..methods.make_stepper import make_stepper
from ..norms import scaled
from ..problem import Observe, Problem, Watch
from ..solution import Solution, SolveError, Status, Trajectory
from ..solver import Solver
from ..step_size_control import AdaptiveControl, first_step
from ..vector_field import Dynamics

if TYPE_CHECKING:
    from ..methods.newton import Linear

__all__ = ["BackwardSolve", "check_dense_inputs", "strictest"]

LOW_ORDER = "ralston3"  # 3 evaluations per step, none at its end, where the adjoint jumps


def strictest(tolerance: float | Tensor) -> float:
    """The smallest of the tolerances of all components."""
    return float(torch.as_tensor(tolerance).min())


def check_dense_inputs(problem: Problem, gradient: str) -> None:
    """Reject sparse tensors that need a gradient, which would be integrated as a dense one.

    Raises:
        ValueError: With the layout and shape that were found.
    """
    for x in problem.inputs:
        if x.layout is not torch.strided:
            raise ValueError(
                f"gradient={gradient!r} integrates gradients of dense tensors; found one of shape "
                f"{tuple(x.shape)} with the layout {x.layout} that needs a gradient; make it in "
                "the vector field from its values, a dense tensor, or use gradient='discrete'"
            )


class BackwardSolve:
    """Base class of the backward solves of gradient methods.

    Args:
        ys, grad_ys: States at the output times and the gradients that arrive there, shape
            `(time, *state)`.
        solver: Solver of the backward solve.
        method_is_chosen: Whether the user chose its method. Otherwise, where outputs are closer
            together than the steps of the forward solve, a low-order method with cheaper steps
            replaces it as long as one such step is enough for an interval.

    Attributes:
        _state: Current value of what is solved, a vector `(m,)`; `_adjoint` is its part dL/dy,
            shape `(n,)`.
        _quadrature: Integrals along the solution, shape `(q,)`.
        _dynamics, _linearize, _time, _stage_times, _rtol, _atol: As in `make_stepper`.
    """

    _state: Tensor
    _adjoint: Tensor
    _quadrature: Tensor
    _dynamics: Dynamics
    _linearize: Callable[[float, Tensor], Linear]
    _time: Callable[[float], Tensor]
    _stage_times: StageTimes[float] | None
    _rtol: float | Tensor
    _atol: float | Tensor

    def __init__(
        self, problem: Problem, ys: Tensor, grad_ys: Tensor, solver: Solver, method_is_chosen: bool
    ):
        self._problem, self._ys, self._grad_ys = problem, ys, grad_ys
        self._times = problem.times[: len(ys)]
        self._counts = problem.stats.backward
        self._chosen = solver
        self._prepare()
        crowded = len(self._times) - 1 > problem.stats.forward.accepted
        replaceable = solver.properties.family == "explicit" and not solver.fixed_steps
        if crowded and replaceable and not method_is_chosen:
            solver = replace(solver, method=LOW_ORDER)
        self._set_solver(solver)

    def _prepare(self) -> None:
        """Set the attributes that describe what is solved."""
        raise NotImplementedError

    def _before_interval(self, i: int) -> None:
        """Called at output time i, before solving back to output time i - 1."""

    def _after_interval(self, i: int) -> None:
        """Called at output time i, after solving back to it from output time i + 1."""

    def _finish(self) -> list[Tensor | None]:
        """Gradients of the inputs of the vector field, called after the last interval."""
        raise NotImplementedError

    def _observer(self) -> Observe | None:
        """Callback for accepted steps, or None."""
        return None

    def _watch(self) -> Watch | None:
        """Callback for every step, or None."""
        return None

    def _norm(self, x: Tensor) -> Tensor:
        """Error norm of the state."""
        return self._problem.norm(x)

    def _error_ratio(self, h: float, state0: Tensor, state1: Tensor) -> float:
        """The error of the last step in multiples of the tolerance."""
        error = scaled(self._stepper.error, state0, state1, self._rtol, self._atol)
        return float(self._norm(error))

    def _set_solver(self, solver: Solver) -> None:
        self._solver = solver
        self._controller: AdaptiveControl | None = None
        self._uses_scipy = solver.properties.family == "scipy"
        if self._uses_scipy:
            return
        self._stepper = make_stepper(
            solver,
            self._dynamics,
            self._state,
            self._counts,
            self._rtol,
            self._atol,
            time=self._time,
            linearize=self._linearize,
            args=(None,),
            stage_times=self._stage_times,
            quadrature=self._quadrature if len(self._quadrature) else None,
        )

    def solve(self, needs_grad_t: bool) -> list[Tensor | None]:
        """Gradients of y0, of t (or None), and of each input of the vector field."""
        a = self._adjoint
        grad_t = torch.zeros_like(self._problem.t) if needs_grad_t else None
        last = len(self._times) - 1
        before = self._counts.evaluations
        cost_of_chosen = self._chosen.properties.stages + 1  # NFE of an interval in one step
        for i in range(last, 0, -1):
            self._before_interval(i)
            a.add_(self._grad_ys[i].reshape(-1))
            if grad_t is not None:
                grad_t[i] = self._inner_product_with_field(i, self._grad_ys[i])
            self._solve_interval(self._times[i], self._times[i - 1])
            self._after_interval(i - 1)
            if i == last:
                # This interval also paid for the initial step size: it is not representative.
                before = self._counts.evaluations
            mean = (self._counts.evaluations - before) / max(last - i, 1)
            if self._solver != self._chosen and mean > cost_of_chosen:
                self._set_solver(self._chosen)
        grads = self._finish()
        grad_y0 = a.view(self._ys.shape[1:])
        if grad_t is not None:
            grad_t[0] = -self._inner_product_with_field(0, grad_y0)
        return [grad_y0 + self._grad_ys[0], grad_t, *grads]

    def _solve_interval(self, start: float, end: float) -> None:
        interval = [start, end]
        trajectory = (
            self._solve_by_scipy(interval) if self._uses_scipy else self._step_through(interval)
        )
        if trajectory.status is not Status.REACHED:
            message = trajectory.failure(
                self._solver.properties.name, self._counts, " of the backward solve"
            )
            message += (
                ". If the equation is unstable backwards in time, as stiff ones are, use "
                "gradient='discrete', which solves nothing backwards"
            )
            ts, stats = self._problem.t[: len(self._ys)].detach(), self._problem.stats
            raise SolveError(Solution(ts, self._ys, stats, trajectory.status, message))
        self._state.copy_(trajectory.outputs[-1].view(-1))

    def _step_through(self, interval: list[float]) -> Trajectory:
        problem, solver, stepper = self._problem, self._solver, self._stepper
        stepper.reset()
        # A copy, since the vector field may keep the states it is called with.
        state = self._state.clone()
        controller: AdaptiveControl | FixedGrid
        enter = ratio = None
        if solver.fixed_steps:
            controller = FixedGrid(interval, solver, torch.finfo(problem.t.dtype).eps)
            enter = problem.enter_step if solver.perturb else None
        else:
            ratio = self._error_ratio
            if self._controller is None:
                order = solver.properties.error_order
                assert order is not None
                h = first_step(
                    stepper, interval, state, order, solver, self._norm, self._rtol, self._atol
                )
                resolution = torch.finfo(state.dtype).eps
                self._controller = make_controller(stepper, interval, h, order, solver, resolution)
            else:
                self._controller.retarget(*interval)
            controller = self._controller
        observe, watch = self._observer(), self._watch()
        trajectory = integrate(
            stepper, controller, state, interval, self._counts, solver, ratio,
            observe=observe, watch=watch, enter=enter,
        )  # fmt: skip
        problem.leave_step()
        if stepper.has_second_solution and trajectory.status is Status.REACHED:
            from ..stability import warn_if_solutions_differ

            warn_if_solutions_differ(solver, state, stepper.both_solutions())
        return trajectory

    def _solve_by_scipy(self, interval: list[float]) -> Trajectory:
        from ..flat_field import FlatField
        from ..methods.scipy import scipy_integrate

        n, q = len(self._state), len(self._quadrature)
        field = FlatField(self._dynamics, self._state, self._counts, self._time, (None,), q)
        # The integrals are part of SciPy's state.
        atol = self._state.new_full((n + q,), float(torch.as_tensor(self._atol).max()))
        atol[:n] = self._atol
        together = torch.cat([self._state, self._quadrature])
        trajectory = scipy_integrate(
            self._solver, field, together, interval, self._counts, strictest(self._rtol), atol
        )
        if trajectory.status is Status.REACHED:
            end = trajectory.outputs[-1]
            self._quadrature.copy_(end[n:])
            trajectory.outputs[-1] = end[:n]
        return trajectory

    def _inner_product_with_field(self, i: int, cotangent: Tensor) -> Tensor:
        """Inner product of the cotangent with f at output time i."""
        self._counts.evaluations += 1
        time = self._problem.time(self._times[i])
        f = self._problem.func(time, self._ys[i], *self._problem.args)
        return (f * cotangent).sum()
