"""The one door to the solvers: the paper's ODESolve(z(t0), f, t0, t1, theta)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .batched import solve_independent
from .boundary import GraphLost, check_choices, check_times, check_transform, checked, transformed
from .constants import Constants
from .dense_output import DenseOutput
from .discovery import (
    SameRandomNumbers,
    constants_of,
    find_parameters,
    modules_of,
    refuse_batch_statistics,
)
from .equilibrium import warn_of_unstable_steps
from .events import Event, EventFinder, event_gradients
from .forward import conclude, solve_forward
from .gradients import Adjoint, Backprop, Gradient, make_gradient
from .gradients.evaluation import Evaluator
from .integrate import Step, Trajectory, Watch
from .methods import METHODS
from .precision import autocast_like_now, full_precision
from .problem import Problem
from .solution import Solution, SolveError, Status
from .solver import Solver
from .state import FlatArguments, FlatState, SampleState
from .steps import can_be_recorded

__all__ = ["solve"]


def solve(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    solver: Solver | str = "dopri5",
    gradient: Gradient | str = "adjoint",
    *,
    args: tuple = (),
    parameters: Iterable[Tensor] | None = None,
    throw: bool = True,
    dense: bool = False,
    events: Sequence[Event | Callable[..., Tensor]] = (),
    norm: Callable[[Any], Tensor] | None = None,
    watch: Watch | None = None,
) -> Solution:
    """Solve dy/dt = func(t, y, *args) with y(t[0]) = y0 (Chen et al. 2018, section 2).

    Args:
        func: The vector field. It takes a 0-d time, a state and `args`, and returns a derivative
            of the shape, dtype and device of the state. The time has the dtype of the state: in
            float32 it is exact to 0.06 near t = 1e6, so move the origin of t near the solve. The
            steps themselves are added up in double precision.
        y0: Initial state: a floating-point or complex tensor of any shape, or a tuple, list or
            dict of them.
        t: Times at which the solution is wanted, shape `(time,)`, at least two, strictly
            increasing or strictly decreasing; the first is the time of y0.
        solver: The method with its tolerances, or the name of an adaptive method.
        gradient: How gradients are computed, or its name.
        args: Further arguments of `func`; gradients flow into tensors among them, also into those
            in tuples, lists and dicts.
        parameters: Tensors that `func` reads by itself and that need gradients. When None they
            are found: those of the modules that `func` is, belongs to or holds, and the leaves
            of the graph of one evaluation.
        throw: Raise when the end was not reached; otherwise return the part that was.
        dense: Keep the interpolants of all steps, as `solution.interpolant`.
        events: Functions of (t, state, *args) whose first zero ends the solve.
        norm: Maps a state to a 0-d tensor, instead of the root mean square of its components.
        watch: Told of every step that was accepted or rejected, as (t, h, state, accepted).

    Returns:
        The states at all times, statistics and the status. After an event the last time and state
        are those of the event, and gradients flow through both.

    Raises:
        ValueError: Arguments that do not fit together, or a vector field that this way to
            gradients cannot do justice.
        SolveError: The solve did not reach the end (with `throw`).
    """
    if isinstance(solver, str):
        solver = Solver(solver)
    # The halves of a state are told apart by their place.
    by_place = METHODS[solver.method].family == "symplectic"
    independent = solver.batching == "independent"
    state = SampleState(y0) if independent else FlatState(y0, keeps_layout=not by_place)
    # A copy, for a vector field that changes its state is found out too late for the user's y0.
    packed = state.pack(y0).clone(memory_format=torch.contiguous_format)
    if transformed(packed, t):
        check_transform(t, events=bool(events))
    times = check_times(t)
    if not packed.is_floating_point() or packed.numel() == 0:
        raise ValueError(
            f"y0 must hold at least one floating-point number; found {packed.dtype} of shape "
            f"{tuple(packed.shape)}"
        )
    asked = {"dense": dense, "events": events, "norm": norm is not None, "watch": watch}
    check_choices(solver, state, [name for name, value in asked.items() if value])
    context = autocast_like_now(packed.device, isinstance(make_gradient(gradient), Backprop))
    arguments = FlatArguments(args)
    field = arguments.wrap(evaluated_in(context, func))
    field = state.wrap(checked(field)) if state.is_single else checked(state.wrap(field))
    field = SameRandomNumbers(field, packed.device, origin=func)
    problem = Problem(
        func=field,
        y0=packed,
        t=t,
        times=times,
        solver=solver,
        args=arguments.leaves,
        part_sizes=state.sizes,
        unpack=state.unpack,
    )
    if norm is not None:
        problem.norm = lambda x: norm(state.unpack(x.view(packed.shape)))
    if watch is not None:
        problem.watch = lambda t, h, y, accepted: watch(
            t, h, state.unpack(y.view(packed.shape)), accepted
        )
    output = None
    if dense:
        output = DenseOutput(state, packed.shape, times[0])
        problem.observe = output.record
    ts = None
    with full_precision(packed.device):
        method = way_to_gradients(problem, func, gradient, parameters)
        if solver.batching == "independent":
            ys, trajectory = solve_independent(problem, method)
        elif events:
            ts, ys, trajectory = solve_to_event(
                problem, packed_events(events, state, arguments), method
            )
            if output is not None and trajectory.status is Status.EVENT:
                output.end_at(float(ts[-1].detach()))
        elif method is not None:
            ys, trajectory = method.solve(problem)
        else:
            ys, trajectory = solve_forward(problem)
        if output is not None and trajectory.status is Status.REACHED:
            output.end_at(times[-1])
        if ys.requires_grad and not isinstance(method, Adjoint):
            warn_of_unstable_steps(problem, trajectory)
        solution = conclude(problem, ys, trajectory, throw=False)
    field.settle()
    problem.constants.settle()
    if ts is not None:
        solution.ts = ts
    solution.ys = state.unpack(solution.ys)
    solution.interpolant = output
    if throw and not solution.status.ok:
        raise SolveError(solution)
    return solution


def way_to_gradients(
    problem: Problem,
    func: Callable[..., Any],
    gradient: Gradient | str,
    parameters: Iterable[Tensor] | None,
) -> Gradient | None:
    """How this solve is differentiated; None when nothing needs a gradient.

    Sets the problem's parameters.

    Raises:
        ValueError: A transform of adaptive steps, or a vector field that this way to gradients
            cannot do justice.
    """
    method = make_gradient(gradient)
    if transformed(problem.y0, problem.t, *problem.args):
        if not problem.solver.fixed_steps:
            raise ValueError(
                "torch.func transforms and forward-mode differentiation go through fixed steps "
                "only, for the steps of an adaptive solve depend on the values; set "
                "solver.num_steps or solver.step_size"
            )
        if not can_be_recorded(problem.solver.method):
            raise ValueError(
                "torch.func transforms and forward-mode differentiation go through the steps of "
                "explicit Runge-Kutta, reversible and symplectic methods and fixed-step Adams "
                f"methods; found solver.method={problem.solver.method!r}; take 'rk4', say"
            )
        # Whatever the choice: the operations of the steps are what a transform can go through.
        return Backprop()
    if not torch.is_grad_enabled():
        return None
    if isinstance(method, Backprop):
        return method
    refuse_batch_statistics(func, type(method).__name__.lower())
    try:
        problem.parameters = parameters_of(func, parameters, problem)
    except GraphLost:
        held = [p for module in modules_of(func) for p in module.parameters()]
        if any(x.requires_grad for x in (problem.y0, problem.t, *problem.inputs, *held)):
            raise
        return None
    given = [x for x in problem.args if isinstance(x, Tensor) and not x.requires_grad]
    problem.constants = Constants([*given, *constants_of(func)])
    problem.parameters_are_all = parameters is None
    inputs = (problem.y0, problem.t, *problem.inputs)
    return method if any(x.requires_grad for x in inputs) else None


def parameters_of(
    func: Callable[..., Any], parameters: Iterable[Tensor] | None, problem: Problem
) -> tuple[Tensor, ...]:
    """Tensors that need a gradient and that `func` reads by itself: those given, or all found."""
    if parameters is not None:
        # Tied weights are one tensor, whose gradient counts once.
        return tuple({id(p): p for p in parameters if p.requires_grad}.values())

    def evaluate(t: float) -> tuple[Tensor, Sequence[Tensor]]:
        evaluator = Evaluator(problem)
        _, y, derivative = evaluator(t, problem.y0)
        return derivative, (y, *evaluator.inputs)

    first, last = problem.times[0], problem.times[-1]
    jumps = [t for t in problem.solver.jump_t if min(first, last) < t < max(first, last)]
    return find_parameters(func, evaluate, (first, *jumps, last))


def solve_to_event(
    problem: Problem, events: Sequence[Event], method: Gradient | None
) -> tuple[Tensor, Tensor, Trajectory]:
    """Solve up to the first event: find it without a graph, then solve up to it with one.

    Returns:
        Times and states that were reached, the event's last, and the trajectory.
    """
    others = problem.observe
    finder = EventFinder(problem, events)

    def observe(step: Step, t: float, h: float, y0: Tensor, y1: Tensor) -> bool:
        if others is not None:
            others(step, t, h, y0, y1)
        return finder(step, t, h, y0, y1)

    problem.observe = observe
    ys, trajectory = solve_forward(problem)
    problem.observe = None
    if finder.failed is not None:
        trajectory.status = Status.NON_FINITE
        trajectory.cause = (
            f"the function of events[{finder.failed}] returned NaN or infinity in the step from "
            "here; keep it finite on the whole solution, and let it change its sign"
        )
        return problem.t[: len(ys)].detach(), ys, trajectory
    if finder.index is None:
        if method is not None and trajectory.status.ok:
            ys, trajectory = method.solve(problem)
        return problem.t[: len(ys)].detach(), ys, trajectory
    sign = math.copysign(1.0, problem.times[-1] - problem.times[0])
    reached = [time for time in problem.times if sign * (finder.t - time) > 0]
    inside = reached[len(ys) :]
    end = problem.t.new_tensor([finder.t]).detach()
    ts = torch.cat([problem.t[: len(reached)].detach(), end])
    if method is None:
        ends = finder.at([*inside, finder.t]).view(-1, *problem.y0.shape)
        return ts, torch.cat([ys, ends]), trajectory
    solver = problem.solver
    if solver.num_steps is not None:
        span = abs(problem.times[-1] - problem.times[0])
        solver = replace(solver, num_steps=None, step_size=span / solver.num_steps)
    until = replace(
        problem,
        solver=solver,
        times=[*reached, finder.t],
        t=torch.cat([problem.t[: len(reached)], end]),
    )
    ys, trajectory = method.solve(until)
    if not trajectory.status.ok:
        return ts[: len(ys)], ys, trajectory
    trajectory.status = Status.EVENT
    t_event, y_event = event_gradients(until, events[finder.index], finder.t, ys[-1])
    ts = torch.cat([ts[:-1], t_event.unsqueeze(0)])
    return ts, torch.cat([ys[:-1], y_event.unsqueeze(0)]), trajectory


def packed_events(
    events: Sequence[Event | Callable[..., Tensor]], state: FlatState, arguments: FlatArguments
) -> list[Event]:
    """The events with functions of packed states."""

    def packed(func: Callable[..., Tensor]) -> Callable[..., Tensor]:
        func = arguments.wrap(func)
        return lambda t, y, *args: func(t, state.unpack(y), *args)

    known = [event if isinstance(event, Event) else Event(event) for event in events]
    return [replace(event, func=packed(event.func)) for event in known]


def evaluated_in(
    context: Callable[[], AbstractContextManager], func: Callable[..., Any]
) -> Callable[..., Any]:
    """`func`, each evaluation of which is made in a context of its own."""
    if context is nullcontext:
        return func

    def call(*args: Any) -> Any:
        with context():
            return func(*args)

    return call
