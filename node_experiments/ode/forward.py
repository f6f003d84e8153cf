"""A forward solve without a graph: what every way to gradients but backprop starts from."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from .initial_step import initial_step
from .integrate import OnAccept, Step, Trajectory, integrate
from .methods.adams import AdamsControl, AdamsStep
from .methods.functional_step import FunctionalStep
from .methods.make_step import make_step
from .methods.newton import Linearization
from .methods.registry import METHODS
from .methods.scipy import scipy_integrate
from .norms import scaled_error
from .problem import Problem
from .solution import Solution, SolveError, Status
from .solver import Solver
from .step_size_control import AdaptiveControl, FixedGrid
from .vector_field import Field

__all__ = [
    "ErrorEstimatingStep",
    "ForwardDynamics",
    "cause_of",
    "conclude",
    "first_step",
    "make_controller",
    "run",
    "solve_forward",
]


class ErrorEstimatingStep(Step, Protocol):
    """A step that an adaptive controller can judge."""

    def derivative(self, t: float, y: Tensor) -> Tensor: ...
    def probe(self, t: float, y: Tensor) -> Tensor: ...
    def error(self, h: float) -> Tensor: ...


def solve_forward(
    problem: Problem, on_accept: OnAccept | None = None
) -> tuple[Tensor, Trajectory]:
    """Solve without a graph.

    Args:
        on_accept: Told of every accepted step (t, h, y).

    Returns:
        States at the output times that were reached, shape `(time, *state)`, and the trajectory.
    """
    y0 = problem.y0.detach()
    solver = problem.solver
    dynamics, counts = ForwardDynamics(problem), problem.stats.forward
    rtol, atol = problem.spread(solver.rtol), problem.spread(solver.atol)
    with torch.no_grad():
        if METHODS[solver.method].family == "scipy":
            if on_accept is not None:
                raise ValueError(
                    f"solver.method={solver.method!r} does not tell its steps, which this "
                    "gradient records; take gradient='adjoint'"
                )
            field = Field(dynamics, y0, counts)
            times = problem.times
            trajectory = scipy_integrate(
                solver, field, y0.reshape(-1), times, counts, rtol, atol, dynamics.linearize
            )
            return trajectory.ys.view(-1, *y0.shape), trajectory
        step = make_step(solver, dynamics, y0, counts, rtol, atol)
        trajectory = run(problem, step, y0.reshape(-1), on_accept)
        return trajectory.ys.view(-1, *y0.shape), trajectory


class ForwardDynamics:
    """The problem's vector field, written in place."""

    def __init__(self, problem: Problem):
        self._problem = problem

    def __call__(self, t: float, y: Tensor, derivative: Tensor, integrand: Tensor | None) -> None:
        problem = self._problem
        derivative.copy_(problem.func(problem.time(t), y, *problem.args))

    def linearize(self, t: float, y: Tensor) -> Linearization:
        """The Jacobian at (t, y), of a flat state `(n,)`."""
        problem = self._problem

        def flat(y: Tensor) -> Tensor:
            f = problem.func(problem.time(t), y.view(problem.y0.shape), *problem.args)
            return f.reshape(-1).to(y.dtype)

        return Linearization(flat, y)


ROUNDING_RATIO = 1e-9  # of an error that is none, in multiples of the tolerance


def run(
    problem: Problem, step: ErrorEstimatingStep, y0: Tensor, on_accept: OnAccept | None = None
) -> Trajectory:
    """Integrate over the problem's times, with the control and limits that its solver asks for.

    Args:
        y0: Initial state, shape `(n,)`.
        on_accept: Told of every accepted step (t, h, y).
    """
    solver, times, counts = problem.solver, problem.times, problem.stats.forward
    observe, watch = problem.observe, problem.watch
    if solver.fixed_steps:
        grid = FixedGrid(times, solver, torch.finfo(problem.t.dtype).eps)
        trajectory = integrate(
            step,
            grid,
            y0,
            times,
            counts,
            solver,
            on_accept=on_accept,
            observe=observe,
            watch=watch,
            enter=problem.enter if solver.perturb else None,
        )
        warn_of_parted_twins(problem, step, y0)
        return trajectory
    order = problem.error_order
    rtol, atol = problem.spread(solver.rtol), problem.spread(solver.atol)

    largest = 0.0

    def ratio(h: float, y: Tensor, y_next: Tensor) -> float:
        nonlocal largest
        with torch.no_grad():
            error = scaled_error(step.error(h), y, y_next, rtol, atol, problem.norm)
            value = step.read(error, h) if isinstance(step, AdamsStep) else float(error)
        largest = max(largest, value)
        return value

    if METHODS[solver.method].family == "implicit":
        # On a stiff problem a step may be far longer than the detail of the solution inside it,
        # which no interpolant from its ends can know: outputs are ends of steps.
        solver = replace(solver, step_t=(*solver.step_t, *times[1:-1]))
    h = first_step(step, times, y0, order, solver, problem.norm, rtol, atol)
    resolution = torch.finfo(y0.dtype).eps
    controller = make_controller(step, times[-1], h, order, solver, resolution)
    trajectory = integrate(
        step,
        controller,
        y0,
        times,
        counts,
        solver,
        ratio,
        on_accept,
        observe,
        watch,
    )
    trajectory.cause = cause_of(trajectory, trajectory.outputs[-1], rtol, atol)
    trajectory.shows_no_error = largest < ROUNDING_RATIO
    warn_of_parted_twins(problem, step, y0)
    return trajectory


def is_traced_or_transformed() -> bool:
    """Whether no value of a tensor can be looked at."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def warn_of_parted_twins(problem: Problem, step: Step, y0: Tensor) -> None:
    """Compare the two solutions that a reversible method computes, at the end of a solve.

    Their distance is no more than the error of a stable solve. Where the solution decays faster
    than the coupling allows it grows exponentially, and the local error does not show it.
    """
    twins = step.twins if isinstance(step, FunctionalStep) else None
    if twins is None or is_traced_or_transformed():
        return
    y, z = twins
    with torch.no_grad():
        size = float(torch.maximum(y0.detach().norm(), y.norm())) or 1.0
        distance = float((y - z).norm()) / size
    solver = problem.solver
    allowed = 1.0
    if not solver.fixed_steps:
        # Errors of many steps add up; and components of one state have their own sizes.
        rtol, atol = (float(torch.as_tensor(x).max()) for x in (solver.rtol, solver.atol))
        allowed = min(0.1, 1e3 * (rtol + atol * len(y) ** 0.5 / size))
    if math.isfinite(distance) and distance > allowed:
        warnings.warn(
            f"the two solutions of {solver.method} are {distance:.1e} of their size apart, above "
            f"{allowed:.1e}: the method is unstable on this problem and its solution cannot be "
            "trusted. Take shorter steps or tighter tolerances, or the method it is made of with "
            "gradient='checkpoint', whose memory is bounded too",
            stacklevel=2,
        )


def cause_of(trajectory: Trajectory, y: Tensor, rtol: float | Tensor, atol: float | Tensor) -> str:
    """What a failed solve owes to its tolerances near the states `y`, or nothing."""
    if trajectory.status not in (Status.NON_FINITE, Status.NOT_CONVERGED):
        return ""
    with torch.no_grad():
        if not bool((y.abs() * rtol + atol == 0).any()):
            return ""
    return (
        "the tolerance rtol * |y| + atol of a component is 0, so that its error cannot be "
        "measured. Set solver.atol > 0, and solver.rtol > 0 where atol is below rounding"
    )


def make_controller(
    step: ErrorEstimatingStep,
    end: float,
    first_step: float,
    error_order: int,
    solver: Solver,
    resolution: float,
) -> AdaptiveControl:
    """Control of the steps up to `end`; see `AdaptiveControl`."""
    if isinstance(step, AdamsStep):
        return AdamsControl(end, first_step, step, solver, resolution)
    return AdaptiveControl(end, first_step, error_order, solver, resolution)


def first_step(
    step: ErrorEstimatingStep,
    times: Sequence[float],
    y0: Tensor,
    order: int,
    solver: Solver,
    norm: Callable[[Tensor], Tensor],
    rtol: float | Tensor,
    atol: float | Tensor,
) -> float:
    """The first step that the solver was given, or Hairer's."""
    if solver.first_step is not None:
        return solver.first_step
    f0 = step.derivative(times[0], y0)
    with torch.no_grad():
        return initial_step(
            step.probe, times[0], times[-1], y0, f0, order, rtol, atol, solver.max_step, norm
        )


def conclude(problem: Problem, ys: Tensor, trajectory: Trajectory, throw: bool) -> Solution:
    """Wrap the outputs with statistics and status; raise when the end was not reached."""
    status = trajectory.status
    fixed = problem.solver.fixed_steps and not torch._C._are_functorch_transforms_active()
    if status.ok and fixed and not is_finite(ys[-1]):
        status = Status.NON_FINITE
    message = trajectory.cause or status.value
    if not status.ok:
        counts = problem.stats.forward
        message = (
            f"{problem.solver.method} stopped at t={trajectory.t:.6g} with step "
            f"{trajectory.h:.3g} after {counts.evaluations} evaluations "
            f"({counts.accepted} steps accepted, {counts.rejected} rejected): {message}"
        )
    solution = Solution(problem.t[: len(ys)].detach(), ys, problem.stats, status, message)
    if throw and not status.ok:
        raise SolveError(solution)
    return solution


def is_finite(y: Tensor) -> bool:
    """Whether all components are; their sum tells it with one operation, unless it overflows."""
    return math.isfinite(float(y.detach().sum())) or bool(torch.isfinite(y).all())
