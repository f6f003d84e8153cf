"""The loop over steps, and the solve without a graph that gradient methods start from.

The loop runs over steps, never over output times. A plain step costs two calls of Python functions
besides those of the vector field: one of the method and one of the step size controller. An
adaptive step costs a third, which measures its error.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .fixed_grid import FixedGrid
from .methods.base import StepFailed, Stepper
from .methods.interpolation import linear_interpolation
from .norms import ErrorRatio
from .problem import Observe, OnAccept, Problem, Watch
from .solution import Status, StepCounts, Trajectory
from .solver import Solver
from .step_size_control import AdaptiveControl, Controller, first_step

__all__ = ["cause_of", "integrate", "make_controller", "run", "solve_forward"]

Enter = Callable[[float, float], None]


def integrate(
    stepper: Stepper,
    controller: Controller,
    y0: Tensor,
    times: Sequence[float],
    counts: StepCounts,
    solver: Solver,
    error_ratio: Callable[[float, Tensor, Tensor], float] | None = None,
    on_accept: OnAccept | None = None,
    observe: Observe | None = None,
    watch: Watch | None = None,
    enter: Enter | None = None,
) -> Trajectory:
    """Step from the first of `times` to the last, with outputs at all of them.

    Args:
        y0: State at `times[0]`.
        times: Strictly monotonic output times, in units of t; the last may be infinite, in which
            case only `observe` can end the loop successfully.
        solver: Holds the bounds on step sizes, which apply to adaptive steps only, and on the
            number of steps, which do not apply to a finite grid, and the kind of interpolation.
        error_ratio: Error of a step (h, y0, y1) in multiples of the tolerance, or None for steps
            that are always accepted.
        on_accept: Called with every accepted step (t, t_end, y), where y is the state at t.
        observe: Called with every accepted step (stepper, t, h, y, y_next) before it is committed;
            if it returns True, the loop ends before this step with the status `EVENT`.
        watch: Called with every step (t, h, y, accepted).
        enter: Called with the times of both ends of a step before it is taken.
    """
    adaptive = error_ratio is not None
    min_step = solver.min_step if adaptive and not solver.accept_min_step else 0.0
    # The last stage is evaluated just before a grid point, but the next step starts just after it.
    perturbed = solver.perturb and solver.properties.family in ("explicit", "implicit")
    linear = solver.interpolation == "linear"
    y, t, end = y0, controller.t, times[-1]
    bounded = adaptive or math.isinf(end)
    max_steps = solver.max_steps if bounded else math.inf
    max_steps_between = solver.max_steps_between_outputs if bounded else None
    direction = math.copysign(1.0, end - times[0])
    step, judge, needs_accept = stepper.step, controller.judge, stepper.needs_accept
    if t != times[0]:
        stepper.reset()
    result = Trajectory(outputs=[y0], t=t)
    next_output = 1
    ratio = 0.0
    steps = steps_since_output = 0
    failed = False
    while t != end:
        t_next = controller.t_next
        h = result.h = t_next - t
        size = abs(h)
        resolution = 4 * sys.float_info.epsilon * max(abs(t), abs(t_next))
        finite = math.isfinite(h) and math.isfinite(ratio)
        if not (size > max(resolution, min_step) or (finite and controller.at_stop)):
            result.status = Status.STEP_UNDERFLOW if finite else Status.NON_FINITE
            if failed:
                result.status = Status.NOT_CONVERGED
            break
        if steps >= max_steps or steps_since_output == max_steps_between:
            result.status = Status.MAX_STEPS
            break
        steps += 1
        steps_since_output += 1
        failed = False
        if enter is not None:
            enter(t, t_next)
        try:
            y_next = step(t, h, y)
            if error_ratio is not None:
                ratio = error_ratio(h, y, y_next)
        except StepFailed:
            failed, ratio = True, math.inf
            if error_ratio is None:
                result.status = Status.NOT_CONVERGED
                break
        accepted = judge(h, ratio)
        if watch is not None:
            watch(t, h, y, accepted)
        if not accepted:
            counts.rejected += 1
            continue
        if observe is not None and observe(stepper, t, h, y, y_next):
            result.status = Status.EVENT
            break
        thetas = []
        while next_output < len(times) and direction * (times[next_output] - t_next) < 0:
            thetas.append((times[next_output] - t) / h)
            next_output += 1
        if thetas:
            if linear:
                inside = linear_interpolation(y, y_next, thetas)
            else:
                inside = stepper.interpolant(t, h, y, y_next)(thetas)
            result.outputs.extend(inside.unbind())
            steps_since_output = 0
        if on_accept is not None:
            on_accept(t, t_next, y)
        if needs_accept:
            stepper.accept(h)
        # As in `StepCounts.accept`, without a call in every step.
        counts.accepted += 1
        if size < counts.smallest_step:
            counts.smallest_step = size
        if size > counts.largest_step:
            counts.largest_step = size
        t, y = controller.t, y_next
        if t != t_next or perturbed:
            stepper.reset()
        result.t = t
        while next_output < len(times) and direction * (times[next_output] - t) <= 0:
            result.outputs.append(y)
            next_output += 1
            steps_since_output = 0
    return result


def solve_forward(
    problem: Problem, on_accept: OnAccept | None = None, stepper: Stepper | None = None
) -> tuple[Tensor, Trajectory]:
    """Solve without a graph.

    Args:
        on_accept: Called with every accepted step (t, t_end, y).
        stepper: Takes the steps, for callers that inspect it; created if None.

    Returns:
        States at the output times that were reached, shape `(time, *state)`, and the trajectory.
    """
    if torch.is_grad_enabled():
        with torch.no_grad():
            return solve_forward(problem, on_accept, stepper)
    if problem.solver.properties.family == "scipy":
        trajectory = solve_by_scipy(problem, on_accept)
    else:
        stepper = stepper or problem.stepper(problem.stats.forward)
        if problem.compilation is not None and on_accept is None:
            from .compiled.fixed_steps import fixed_solve

            solved = fixed_solve(problem, stepper)
            if solved is not None:
                return solved.ys, solved.trajectory
        trajectory = run(problem, stepper, problem.start.detach(), on_accept)
    ys = torch.stack(trajectory.outputs)
    shape = problem.y0.shape
    return ys if ys.shape[1:] == shape else ys.view(-1, *shape), trajectory


def solve_by_scipy(problem: Problem, on_accept: OnAccept | None) -> Trajectory:
    """Solve by a method of SciPy, which takes its steps internally.

    Raises:
        ValueError: The steps are to be recorded.
    """
    from .methods.scipy import scipy_integrate

    solver, counts = problem.solver, problem.stats.forward
    if on_accept is not None:
        raise ValueError(
            f"solver.method={solver.method!r} hides its steps, which this gradient method "
            "records; use gradient='adjoint'"
        )
    return scipy_integrate(
        solver,
        problem.flat_field(counts),
        problem.start.detach(),
        problem.times,
        counts,
        problem.per_component(solver.rtol),
        problem.per_component(solver.atol),
        problem.linearize,
    )


ROUNDING_RATIO = 1e-9  # errors below this multiple of the tolerance are rounding


def run(
    problem: Problem, stepper: Stepper, y0: Tensor, on_accept: OnAccept | None = None
) -> Trajectory:
    """Integrate over the problem's times, with the step size control and limits of its solver.

    Args:
        y0: Initial state, in the layout of the stepper.
        on_accept: Called with every accepted step (t, t_end, y).
    """
    solver, times, counts = problem.solver, problem.times, problem.stats.forward
    rtol, atol = problem.per_component(solver.rtol), problem.per_component(solver.atol)
    controller: Controller
    ratio: ErrorRatio | None = None
    enter = None
    if solver.fixed_steps:
        controller = FixedGrid(times, solver, torch.finfo(problem.t.dtype).eps)
        enter = problem.enter_step if solver.perturb else None
    else:
        order, resolution = problem.error_order, torch.finfo(y0.dtype).eps
        if solver.properties.family == "implicit":
            # On a stiff problem a step may be far longer than the time scales of the solution
            # inside it, which no interpolant from its ends resolves: outputs are ends of steps.
            solver = replace(solver, step_t=(*solver.step_t, *times[1:-1]))
        if stepper.measures_error:
            from .compiled.stepper import measured

            h, ratio = measured(stepper, times, y0, order, solver)
        else:
            h = first_step(stepper, times, y0, order, solver, problem.norm, rtol, atol)
            ratio = ErrorRatio(stepper, y0, rtol, atol, problem.norm)
        controller = make_controller(stepper, times, h, order, solver, resolution)
    observe, watch = problem.observe, problem.watch
    trajectory = integrate(
        stepper, controller, y0, times, counts, solver, ratio, on_accept, observe, watch, enter
    )
    if enter is not None:
        problem.leave_step()
    if solver.fixed_steps and trajectory.status is Status.STEP_UNDERFLOW:
        trajectory.cause = (
            "the steps are shorter than the precision of the time. Take fewer steps, or move the "
            "origin of t near the solve"
        )
    if ratio is not None:
        if trajectory.status in (Status.NON_FINITE, Status.NOT_CONVERGED):
            trajectory.cause = cause_of(trajectory.outputs[-1].reshape(-1), rtol, atol)
        trajectory.shows_no_error = ratio.largest < ROUNDING_RATIO
    if stepper.has_second_solution and problem.stats.forward.accepted:
        from .stability import warn_if_solutions_differ

        warn_if_solutions_differ(solver, y0, stepper.both_solutions())
    return trajectory


def cause_of(y: Tensor, rtol: float | Tensor, atol: float | Tensor) -> str:
    """Message for a failure that a zero tolerance near `y` explains, or an empty string."""
    with torch.no_grad():
        if not bool((y.abs() * rtol + atol == 0).any()):
            return ""
    return (
        "the tolerance rtol * |y| + atol of a component is 0, so that its error cannot be "
        "measured. Set solver.atol > 0, and solver.rtol > 0 where atol is below rounding"
    )


def make_controller(
    stepper: Stepper,
    times: Sequence[float],
    first_step: float,
    error_order: int,
    solver: Solver,
    resolution: float,
) -> AdaptiveControl:
    """Create the step size controller for the interval of `times`; see `AdaptiveControl`."""
    if stepper.chooses_order:
        from .variable_order_control import VariableOrderControl

        orders = stepper.order_selection()
        return VariableOrderControl(times[0], times[-1], first_step, orders, solver, resolution)
    return AdaptiveControl(times[0], times[-1], first_step, error_order, solver, resolution)
