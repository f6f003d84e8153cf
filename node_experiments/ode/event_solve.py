"""A solve up to the first of several events."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .event_gradients import event_gradients, moved_in_time
from .events import Event, EventFinder
from .gradients import Gradient
from .integrate import solve_forward
from .methods.base import Stepper
from .problem import Problem
from .solution import Status, Trajectory
from .state import FlatArguments, FlatState

__all__ = ["packed_events", "solve_to_event"]


def packed_events(
    events: Sequence[Event | Callable[..., Any]], state: FlatState, arguments: FlatArguments
) -> list[Event]:
    """Convert events to ones whose functions take packed states.

    Raises:
        ValueError: `events` is not a sequence of functions or events.
    """
    listed = isinstance(events, Iterable)
    events = list(events) if listed else events
    if not listed or not all(isinstance(each, Event) or callable(each) for each in events):
        raise ValueError(
            "events must be a list of functions of (t, state), or of Event; found "
            f"{type(events).__name__}; write events=[event]"
        )

    def packed(func: Callable[..., Any]) -> Callable[..., Any]:
        func = arguments.wrap(func)
        return lambda t, y, *args: func(state.time(t), state.unpack(y), *args)

    known = [event if isinstance(event, Event) else Event(event) for event in events]
    return [replace(event, func=packed(event.func)) for event in known]


def solve_to_event(
    problem: Problem, events: Sequence[Event], method: Gradient | None
) -> tuple[Tensor, Tensor, Trajectory]:
    """Solve up to the first event: find it without a graph, then solve up to it with one.

    The problem's `observe` and `watch` see the steps of the search, each once.

    Returns:
        Times and states that were reached, those of the event last, and the trajectory.
    """
    finder = EventFinder(problem, events)
    if finder.index is not None:
        return event_at_start(problem, events[finder.index], finder.index)
    ys, trajectory = search(problem, finder)
    # The search cached casts of weights without a graph; the solve up to the event records one.
    torch.clear_autocast_cache()
    problem = replace(problem, observe=None, watch=None)
    if finder.failed is not None:
        trajectory.status = Status.NON_FINITE
        trajectory.cause = (
            f"the function of events[{finder.failed}] returned NaN or infinity in the step from "
            "here; keep it finite on the whole solution, and let it change its sign"
        )
        return problem.t[: len(ys)].detach(), ys, trajectory
    if finder.index is None:
        if math.isinf(trajectory.h) or (
            math.isinf(problem.times[-1]) and trajectory.status is Status.MAX_STEPS
        ):
            trajectory.status = Status.NO_EVENT
        if method is not None and trajectory.status.ok:
            ys, trajectory = method.solve(problem)
        return problem.t[: len(ys)].detach(), ys, trajectory
    sign = math.copysign(1.0, problem.times[-1] - problem.times[0])
    reached = [time for time in problem.times if sign * (finder.t - time) > 0]
    end = problem.t.new_tensor([finder.t]).detach()
    if method is None:
        inside = reached[len(ys) :]
        ends = finder.at([*inside, finder.t]).view(-1, *problem.y0.shape)
        ys = torch.cat([ys, ends])
    else:
        problem = up_to(problem, reached, finder.t, end)
        ys, trajectory = method.solve(problem)
    ts = torch.cat([problem.t[: len(reached)].detach(), end])
    if not trajectory.status.ok:
        return ts[: len(ys)], ys, trajectory
    trajectory.status = Status.EVENT
    if torch.is_grad_enabled():
        event, name = events[finder.index], f"events[{finder.index}]"
        t, y = event_gradients(problem, event, name, finder.t, ys[-1], finder.jumps)
        ts = torch.cat([ts[:-1], t.unsqueeze(0).to(ts.device)])
        ys = torch.cat([ys[:-1], y.unsqueeze(0)])
    return ts, ys, trajectory


def search(problem: Problem, finder: EventFinder) -> tuple[Tensor, Trajectory]:
    """Solve without a graph until the finder has found an event, or to the end."""
    others = problem.observe

    def observe(step: Stepper, t: float, h: float, y0: Tensor, y1: Tensor) -> bool:
        if others is not None:
            others(step, t, h, y0, y1)
        return finder(step, t, h, y0, y1)

    return solve_forward(replace(problem, observe=observe))


def up_to(problem: Problem, reached: Sequence[float], t: float, end: Tensor) -> Problem:
    """Return the same problem, ending at the event at `t`.

    Args:
        reached: Output times before the event.
        end: The time of the event, shape `(1,)`.
    """
    solver = problem.solver
    if solver.num_steps is not None:
        span = abs(problem.times[-1] - problem.times[0])
        solver = replace(solver, num_steps=None, step_size=span / solver.num_steps)
    return replace(
        problem, solver=solver, times=[*reached, t], t=torch.cat([problem.t[: len(reached)], end])
    )


def event_at_start(
    problem: Problem, event: Event, index: int
) -> tuple[Tensor, Tensor, Trajectory]:
    """Solution that consists of the start and an event at the start."""
    t, y = problem.times[0], problem.y0
    trajectory = Trajectory(status=Status.EVENT, t=t, h=0.0)
    time = problem.t[0].detach()
    if torch.is_grad_enabled():
        if problem.t.requires_grad:
            # The state at the fixed time of the event, from which the start moves away.
            shift = (problem.t[0] - time).to(y.dtype)
            start = problem.time(t) + shift
            f = problem.func(start, y, *problem.args).to(y.dtype)
            y = moved_in_time(problem, start, y, -shift, f)
        time, y = event_gradients(problem, event, f"events[{index}]", t, y, jumps=False)
    ts = torch.stack([problem.t[0].detach(), time.to(problem.t.device)])
    return ts, torch.stack([problem.y0, y]), trajectory
