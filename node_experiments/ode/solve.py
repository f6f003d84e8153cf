"""The one door to the solvers: the paper's ODESolve(z(t0), f, t0, t1, theta)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .adapted import Adapted
from .autocast import autocast_like_now, full_precision
from .captured_tensors import (
    SameRandomNumbers,
    constants_of,
    find_parameters,
    modules_of,
    refuse_batch_statistics,
)
from .constants import Constants
from .dense_solution import DenseOutput
from .event_solve import packed_events, solve_to_event
from .events import Event
from .forward import conclude, solve_forward
from .gradients import Adjoint, Backprop, Gradient, make_gradient
from .gradients.vjp import Evaluator
from .integrate import Watch
from .methods.make_step import can_be_recorded, has_graph
from .methods.registry import METHODS
from .per_sample_steps import solve_independent
from .problem import Problem
from .solution import Solution, SolveError, Status
from .solver import Solver
from .stability import warn_of_unstable_steps
from .state import FlatArguments, FlatState, SampleState
from .traced import is_traced, solve_traced
from .validation import (
    GraphLost,
    check_choices,
    check_times,
    check_transform,
    checked,
    transformed,
)

__all__ = ["solve"]


def solve(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor | Sequence[float],
    solver: Solver | str = "dopri5",
    gradient: Gradient | str = "adjoint",
    *,
    args: tuple = (),
    parameters: Iterable[Tensor] | None = None,
    throw: bool = True,
    dense: bool = False,
    events: Sequence[Event | Callable[..., Any]] = (),
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
            increasing or strictly decreasing; the first is the time of y0. The last may be
            infinite where `events` end the solve. A sequence of Python floats is a tensor like
            the state, and what a fixed-step solve needs to be traced (see `traced`).
        solver: The method with its tolerances, or the name of an adaptive method.
        gradient: How gradients are computed, or its name.
        args: Further arguments of `func`; gradients flow into tensors among them, also into those
            in tuples, lists and dicts.
        parameters: Tensors that `func` reads by itself and that need gradients. When None they
            are found: those of the modules that `func` is, belongs to or holds, and the leaves
            of the graph of one evaluation.
        throw: Raise when the end was not reached; otherwise return the part that was.
        dense: Keep the interpolants of all steps, as `solution.interpolant`.
        events: Functions of (t, state, *args) whose first zero ends the solve; see `Event`. If
            none comes the status is REACHED, or NO_EVENT where the last time is infinite.
        norm: Maps a state to a 0-d tensor, instead of the root mean square of its components.
        watch: Called with every step that was accepted or rejected, as (t, h, state, accepted).
            With events these are the steps of the search, the last of which the event cuts short.

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
    if not isinstance(t, Tensor) and is_traced(solver, gradient):
        return solve_traced(func, y0, t, solver, args)
    origin = func.origin if isinstance(func, Adapted) else func
    # The halves of a state are told apart by their place.
    by_place = METHODS[solver.method].family == "symplectic"
    independent = solver.batching == "independent"
    state = SampleState(y0) if independent else FlatState(y0, keeps_layout=not by_place)
    # A copy, for a vector field that changes its state is found out too late for the user's y0.
    packed = state.pack(y0).clone(memory_format=torch.contiguous_format)
    if transformed(packed, t):
        check_transform(t, events=bool(events))
    times = check_times(t, endless=bool(events))
    if not isinstance(t, Tensor):
        dtype = torch.promote_types(packed.dtype, torch.float32)
        t = torch.tensor(times, dtype=dtype, device=packed.device)
    if not packed.is_floating_point() or packed.numel() == 0:
        raise ValueError(
            f"y0 must hold at least one floating-point number; found {packed.dtype} of shape "
            f"{tuple(packed.shape)}"
        )
    asked = {"dense": dense, "events": events, "norm": norm is not None, "watch": watch}
    check_choices(solver, state, times, [name for name, value in asked.items() if value])
    context = autocast_like_now(packed.device, isinstance(make_gradient(gradient), Backprop))
    arguments = FlatArguments(args)
    field = arguments.wrap(evaluated_in(context, func))
    field = state.wrap(checked(field)) if state.is_single else checked(state.wrap(field))
    field = SameRandomNumbers(field, packed.device, origin=origin)
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
        method = way_to_gradients(problem, origin, gradient, parameters)
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
        if has_graph(problem.solver.method):
            return method
        # Not one that is recorded, which is right where nothing needs a gradient.
    else:
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
