"""Solutions of initial value problems: the paper's ODESolve(z(t0), f, t0, t1, theta)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_map

from .captured_tensors import (
    OPAQUE,
    Reachable,
    UnobservedTensors,
    constants_in,
    find_parameters,
    reachable_from,
    weights_in,
)
from .gradients import Gradient, make_gradient
from .gradients.backward_pass import Evaluator
from .gradients.base import DEFAULTS
from .integrate import solve_forward
from .lost_graphs import GraphLost
from .norms import one_number
from .problem import Constants, Problem, Watch
from .solution import Solution, SolveError, Status, Trajectory
from .solver import Solver
from .state import FlatArguments, FlatState, SampleState
from .validation import (
    check_arguments,
    check_choices,
    check_parameters,
    check_times,
    check_transform,
    is_in_vmap,
    is_mapped,
    reject_batch_statistics,
    transformed,
)
from .vector_field import AdaptedField, VectorField, checked

if TYPE_CHECKING:
    from .dense_solution import DenseOutput
    from .events import Event

__all__ = ["solve"]

SINGLE = {float, int, type(None)}  # types of a tolerance that holds for all components
SOLVERS_BY_NAME: dict[str, Solver] = {}  # solvers that were requested by the name of their method


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
            solver adds up the sizes of its steps in double precision.
        y0: Initial state: a floating-point or complex tensor of any shape, or a tuple, list or
            dict of them. If it has half precision, only `func` computes in it: the solver adds up
            its steps in single precision.
        t: Times at which the solution is wanted, shape `(time,)`, at least two, strictly
            increasing or strictly decreasing; the first is the time of y0. The last may be
            infinite if `events` end the solve. A sequence of Python floats is converted to a
            tensor; a fixed-step solve can be traced only with such a sequence (see `traced`).
        solver: The method with its tolerances, or the name of an adaptive method.
        gradient: The gradient method, or its name.
        args: Further arguments of `func`; gradients flow into tensors among them, also into those
            in tuples, lists and dicts.
        parameters: Tensors that `func` reads besides its arguments and that need gradients. If
            None, they are found: those of the modules that `func` is, belongs to or holds, and
            the leaves of the graph of one evaluation. If given, only they get gradients, except
            with `backprop`, which reaches all.
        throw: Whether to raise an error if the end is not reached; otherwise the part that was
            reached is returned.
        dense: Whether to keep the interpolants of all steps, as `solution.interpolant`. Its values
            have gradients only with `backprop` and without events.
        events: Functions of (t, state, *args) whose first zero ends the solve; see `Event`. If no
            event occurs, the status is REACHED, or NO_EVENT if the last time is infinite.
        norm: Maps a state to a 0-d tensor, instead of the root mean square of its components.
        watch: Called with every step that was accepted or rejected, as (t, h, state, accepted).
            With events these are the steps of the search, the last of which the event cuts short.

    Returns:
        The states at all times, statistics and the status. After an event the last time and state
        are those of the event, and gradients flow through both.

    Raises:
        ValueError: The arguments do not fit together, or the gradient method does not support the
            vector field.
        SolveError: The solve did not reach the end (with `throw`).

    Example:
        >>> rate = torch.tensor(0.5, requires_grad=True)
        >>> y0, t = torch.ones(1), torch.tensor([0.0, 2.0])
        >>> solution = solve(lambda t, y: -rate * y, y0, t, "dopri5", "discrete")
        >>> round(solution.ys[-1].item(), 3)  # exp(-1)
        0.368
        >>> solution.ys[-1].sum().backward()
        >>> round(rate.grad.item(), 3)  # -2 exp(-1)
        -0.736
    """
    if isinstance(solver, str):
        solver = SOLVERS_BY_NAME.get(solver) or SOLVERS_BY_NAME.setdefault(solver, Solver(solver))
    check_arguments(solver, args, parameters)
    options = {"dense": dense, "events": events, "norm": norm is not None, "watch": watch}
    others: dict[str, Any] = {
        "args": args, "parameters": parameters, "throw": throw, "dense": dense, "events": events,
        "norm": norm, "watch": watch,
    }  # fmt: skip
    if torch.compiler.is_compiling():
        from .traced import can_be_traced, solve_traced

        if can_be_traced(t, solver, gradient, options):
            return solve_traced(func, y0, t, solver, args)
        eager = torch.compiler.disable(solve)
        return eager(func, y0, t, solver, gradient, **others)
    if torch.is_inference_mode_enabled() and solver.properties.family == "implicit":
        with torch.inference_mode(False), torch.no_grad():  # Newton's method differentiates
            y0, t, args = tree_map(outside_inference, (y0, t, args))
            return solve(func, y0, t, solver, gradient, **others | {"args": args})
    if gradient == "reversible" or getattr(gradient, "replaces_method", False):
        solver = make_gradient(gradient).solver_for(solver)
    # The halves of a state are identified by their position, like tolerances of components.
    backward = getattr(gradient, "solver", None) or gradient
    tolerances = getattr(backward, "rtol", None), getattr(backward, "atol", None)
    by_component = not {*map(type, (solver.rtol, solver.atol, *tolerances))} <= SINGLE
    family = solver.properties.family
    by_position = by_component or family in ("symplectic", "one_step")
    independent = solver.batching == "independent"
    state = SampleState(y0) if independent else FlatState(y0, keeps_layout=not by_position)
    # Copied: a field that writes to its state is detected after the write, which must not reach
    # the user's y0.
    packed = state.pack(y0).clone(memory_format=torch.contiguous_format)
    arguments = FlatArguments(args)
    if transformed(func, packed, t, *arguments.leaves):
        check_transform(t, events=bool(events))
    times = check_times(t, endless=bool(events))
    if not isinstance(t, Tensor):
        dtype = torch.promote_types(packed.dtype, torch.float32)
        t = torch.tensor(times, dtype=dtype, device=packed.device)
    if not packed.is_floating_point() or packed.numel() == 0:
        raise ValueError(
            f"y0 must hold at least one floating-point number; found {packed.dtype} of shape "
            f"{tuple(packed.shape)}; integers need y0.float()"
        )
    check_choices(solver, state, times, options)
    if packed.is_meta:
        raise ValueError("y0 is on the device 'meta' and has no values; move it to another device")
    casts = torch.is_autocast_enabled(packed.device.type)
    keeps = bool(parametrize._cache_enabled)
    inner = func
    if casts or keeps:
        from .evaluation_contexts import with_current_contexts

        inner = with_current_contexts(func, packed.device, gradient)
    field, traced = packed_field(func, inner, state, arguments, packed.device)
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
        problem.norm = lambda x: one_number(norm(state.unpack(x.view(packed.shape))))
    if watch is not None:
        problem.watch = field.watched(
            lambda t, h, y, accepted: watch(t, h, state.unpack(y.view(packed.shape)), accepted)
        )
    output = None
    if dense:
        from .dense_solution import DenseOutput

        output = DenseOutput(problem, state, torch.finfo(t.dtype).eps)
        problem.observe = partial(output.record, problem)
    found: list[Event] = []
    if events:
        from .event_solve import packed_events

        found = packed_events(events, state, arguments)
    origin = field.origin
    if casts:
        from .autocast import full_precision

        with full_precision(packed.device):
            solution = solve_packed(problem, origin, traced, gradient, parameters, found, output)
    else:
        solution = solve_packed(problem, origin, traced, gradient, parameters, found, output)
    field.check_late_draws()
    problem.constants.ignore_own_changes()
    if output is not None:
        problem.observe = None  # breaks a reference cycle through the problem
        output.lacks_gradient = solution.ys.requires_grad and not output.requires_grad
    solution.ys = state.unpack_outputs(solution.ys)
    solution.interpolant = output
    if throw and solution.status not in (Status.REACHED, Status.EVENT):
        raise SolveError(solution)
    return solution


def outside_inference(leaf: Any) -> Any:
    """Copy a tensor that was created in inference mode, so that autograd may save it."""
    return leaf.clone() if isinstance(leaf, Tensor) and leaf.is_inference() else leaf


def packed_field(
    func: Callable[..., Any],
    inner: Callable[..., Any],
    state: FlatState,
    arguments: FlatArguments,
    device: torch.device,
) -> tuple[VectorField, Callable[..., Any]]:
    """The user's function on packed states and flat arguments, with checks and without.

    Args:
        inner: The same function, wrapped in the contexts of its evaluations.
    """
    origin = func.origin if isinstance(func, AdaptedField) else func
    inner = arguments.wrap(inner)
    field = state.wrap(checked(inner)) if state.is_single else checked(state.wrap(inner))
    # A function that nothing is wrapped around is called by the steps directly.
    direct = func if inner is func and state.is_packed else None
    traced = func if direct is not None else state.wrap(inner)
    known = VectorField(field, device, origin, direct)
    known.resolution = state.resolution
    return known, traced


def solve_packed(
    problem: Problem,
    func: Callable[..., Any],
    traced: Callable[..., Any],
    gradient: Gradient | str,
    parameters: Iterable[Tensor] | None,
    events: Sequence[Event],
    output: DenseOutput | None,
) -> Solution:
    """Compute the solution on packed states, by the gradient method if one is needed.

    Args:
        func: The vector field as the user gave it.
        traced: The same on packed states, without checks.
    """
    if problem.solver.compile:
        from .compiled.compilation import compilation_of

        problem.compilation = compilation_of(func, traced, problem.y0, problem.args)
    try:
        method = gradient_method(problem, func, gradient, parameters)
        ts = None
        if problem.solver.batching == "independent":
            from .per_sample_steps import check_independent, solve_samples

            check_independent(problem, differentiated=method is not None)
            if method is not None:
                ys, trajectory = method.solve_samples(problem)
            else:
                with torch.no_grad():
                    ys, trajectory = solve_samples(problem)
        elif events:
            from .event_solve import solve_to_event

            ts, ys, trajectory = solve_to_event(problem, events, method)
            if output is not None and trajectory.status is Status.EVENT:
                output.end_at(float(ts[-1].detach()))
        elif method is not None:
            ys, trajectory = method.solve(problem)
        else:
            ys, trajectory = solve_forward(problem)
    finally:
        for hook in problem.hooks:
            hook.remove()
    if output is not None and trajectory.status is Status.REACHED:
        output.end_at(problem.times[-1])
    measured = method is not None and method.solves_backwards
    if trajectory.shows_no_error and ys.requires_grad and not measured:
        from .stability import warn_of_unstable_steps

        warn_of_unstable_steps(problem)
    solution = make_solution(problem, ys, trajectory)
    if ts is not None:
        solution.ts = ts
    return solution


def make_solution(problem: Problem, ys: Tensor, trajectory: Trajectory) -> Solution:
    """Combine the outputs with the statistics, the status and its message."""
    ok = trajectory.status is Status.REACHED or trajectory.status is Status.EVENT
    if ok and problem.solver.fixed_steps and not torch._C._are_functorch_transforms_active():
        end = (trajectory.outputs or ys)[-1].detach()
        # One operation: a finite sum means finite entries; it may overflow, hence a second check.
        if not (math.isfinite(float(end.sum())) or bool(torch.isfinite(end).all())):
            trajectory.status, ok = Status.NON_FINITE, False
    ts = problem.t.detach().clone()
    if ys.shape[0] != ts.shape[0]:
        ts = ts[: len(ys)]
    status = trajectory.status
    if status is Status.REACHED:
        return Solution(ts, ys, problem.stats)
    if ok:
        return Solution(ts, ys, problem.stats, status, trajectory.cause or status.value)
    message = trajectory.failure(problem.solver.properties.name, problem.stats.forward)
    return Solution(ts, ys, problem.stats, status, message)


def gradient_method(
    problem: Problem,
    func: Callable[..., Any],
    gradient: Gradient | str,
    parameters: Iterable[Tensor] | None,
) -> Gradient | None:
    """Choose the gradient method of this solve; None if nothing needs a gradient.

    Sets the problem's parameters.

    Raises:
        ValueError: A transform cannot go through the steps, or the gradient method does not
            support the vector field.
    """
    known = DEFAULTS.get(gradient) if isinstance(gradient, str) else None
    method = known or make_gradient(gradient)
    solver_method = problem.solver.properties
    if transformed(func, problem.y0, problem.t, *problem.args):
        if problem.solver.batching == "independent":
            check_unmapped(problem)
        if not solver_method.recordable:
            raise ValueError(
                "torch.func transforms and forward-mode differentiation go through the steps of "
                "explicit Runge-Kutta, reversible and symplectic methods and fixed-step Adams "
                f"methods; found solver.method={problem.solver.method!r}; use 'rk4', for example"
            )
        # Whatever was chosen: a transform can only go through the operations of the steps.
        return make_gradient("backprop")
    if not torch.is_grad_enabled():
        return None
    if problem.compilation is not None:
        from .gradients.compiled import compiled_gradient

        replacement = compiled_gradient(problem, method, parameters)
        if replacement is not None:
            inputs = (problem.y0, *replacement.tensors(problem))
            return replacement if any(x.requires_grad for x in inputs) else None
    objects = [arg for arg in problem.args if not isinstance(arg, (Tensor, *OPAQUE))]
    if objects:
        func = partial(func, *objects)  # so that the tensors that they hold are found as well
    if method.records_steps and solver_method.has_graph:
        return method
    # Steps that cannot have a graph are still correct if nothing needs a gradient.
    reachable = reachable_from(func)
    if not method.records_steps:
        name = type(method).__name__.lower()
        problem.hooks = reject_batch_statistics(reachable, name)
    try:
        problem.parameters, unobserved = parameters_of(func, reachable, parameters, problem)
    except GraphLost:
        held = [p for module in reachable.modules for p in module.parameters()]
        if any(x.requires_grad for x in (problem.y0, problem.t, *problem.inputs, *held)):
            raise
        return None
    problem.unobserved, problem.weights = unobserved, weights_in(reachable)
    given = [x for x in problem.args if isinstance(x, Tensor) and not x.requires_grad]
    problem.constants = Constants([*given, *constants_in(reachable), *unobserved.parameters])
    problem.parameters_are_all = parameters is None
    if problem.y0.requires_grad or problem.t.requires_grad or problem.inputs:
        warn_of_detached_parameters(problem, unobserved)
        return method
    return None


def check_unmapped(problem: Problem) -> None:
    """Reject `torch.func.vmap` over what the individual step sizes of samples depend on.

    Raises:
        ValueError: It maps over the initial state, or over what the vector field reads.
    """
    start, y0 = problem.time(problem.times[0]), problem.y0
    if is_mapped(y0) or (is_in_vmap() and is_mapped(problem.func(start, y0, *problem.args))):
        raise ValueError(
            "torch.func.vmap cannot map over solver.batching='independent', because all samples "
            "of vmap share the steps; set solver.batching='joint', or pass the batch as y0 "
            "without vmap"
        )


def warn_of_detached_parameters(problem: Problem, unobserved: UnobservedTensors) -> None:
    """Warn if parameters alone need a gradient, and no derivative was observed to depend on them.

    Autograd would raise an error for a loss without a graph; a gradient method returns zeros.
    """
    detached = len(unobserved.parameters)
    inputs_differentiated = problem.y0.requires_grad or problem.t.requires_grad
    if detached and detached == len(problem.inputs) and not inputs_differentiated:
        warnings.warn(
            "the vector field holds tensors that need a gradient, and its derivatives at the "
            "start and at the end depend on none of them, so that their gradients are zero unless "
            "it reads them in between; look for .item(), .detach() or torch.no_grad() in it",
            stacklevel=5,
        )


def parameters_of(
    func: Callable[..., Any],
    reachable: Reachable,
    parameters: Iterable[Tensor] | None,
    problem: Problem,
) -> tuple[tuple[Tensor, ...], UnobservedTensors]:
    """Tensors that need a gradient and that `func` may read: those given, or all found."""
    if parameters is not None:
        given = tuple(parameters)
        check_parameters(given)
        # Tied weights are one tensor, whose gradient counts once.
        return tuple({id(p): p for p in given if p.requires_grad}.values()), UnobservedTensors()

    def evaluate(t: float) -> tuple[Tensor, Sequence[Tensor]]:
        evaluator = Evaluator(problem)
        _, y, derivative = evaluator.at(t, problem.y0)
        return derivative, (y, *evaluator.inputs)

    first, last = problem.times[0], problem.times[-1]
    jumps = [t for t in problem.solver.jump_t if min(first, last) < t < max(first, last)]
    end = [last] if math.isfinite(last) else []
    differentiated = problem.y0.requires_grad or problem.t.requires_grad or bool(problem.inputs)
    return find_parameters(func, reachable, evaluate, (first, *jumps, *end), differentiated)
