"""Time and state of an event as differentiable functions of everything that they depend on.

The time t* is defined by g(t*, y(t*)) = 0, so the implicit function theorem gives its derivative
with respect to anything that y or g depend on (Chen, Amos & Nickel 2021):

    dt* = -(dg at fixed t) / (dg/dt + dg/dy f),    dy(t*) = dy at fixed t + f dt*.

Both are recorded as iterations of the chord method s <- s - g(t* + s, y(t* + s)) / rate from
s = 0. Every iteration makes the derivatives of one more order exact, and so does every order of
the method that computes y(t* + s) from y(t*) by a step of zero length.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .events import Event, value_of
from .methods.explicit_runge_kutta import ExplicitRungeKutta
from .methods.explicit_tableaus import EXPLICIT_TABLEAUS
from .problem import Problem

__all__ = ["event_gradients", "moved_in_time"]

STEP = EXPLICIT_TABLEAUS["heun3"]


def event_gradients(
    problem: Problem, event: Event, name: str, t: float, y: Tensor, jumps: bool
) -> tuple[Tensor, Tensor]:
    """Return time and state of an event in the graph, with exact derivatives up to order 3.

    Args:
        name: Name of the event in error messages.
        t: Time of the event.
        y: State at the fixed time `t`, in the graph, of the shape of the problem's state.
        jumps: Whether the event's function jumps there.

    Returns:
        The time, 0-d and of the dtype of the problem's times, and the state, shaped like `y`.
    """
    time = problem.time(t)
    exact = torch.as_tensor(t, dtype=problem.t.dtype, device=y.device)
    if not (y.requires_grad or value_of(event, problem, time, y).requires_grad):
        return exact, y
    problem.stats.forward.evaluations += 1
    f = problem.func(time, y, *problem.args).to(y.dtype)
    rate, why = rate_of_change(problem, event, time, y, f.detach(), jumps)
    if why:
        if not y.requires_grad:
            return exact, y
        message = (
            f"{name} has no gradient where it ended the solve, at t={t:.6g}: its function "
            f"{why}; detach its time and state, or make it a smooth function (y - c, not y > c)"
        )
        zero = torch.zeros((), dtype=y.dtype, device=y.device, requires_grad=True)
        s = NoGradient.apply(zero, message)
        return exact + s.to(exact.dtype), y + f.detach() * s
    value = value_of(event, problem, time, y)
    if not value.requires_grad:
        return exact, y
    s = (value.detach() - value) / rate
    for _ in range(STEP.order - 1):
        value = value_of(event, problem, time + s, moved_in_time(problem, time, y, s, f))
        s = s + (value.detach() - value) / rate
    return exact + s.to(exact.dtype), moved_in_time(problem, time, y, s, f)


def rate_of_change(
    problem: Problem, event: Event, time: Tensor, y: Tensor, f: Tensor, jumps: bool
) -> tuple[float, str]:
    """Rate of change of an event's value along the solution, or the reason why it has none."""
    if jumps:
        return math.nan, "jumps there"
    args = tuple(a.detach() if isinstance(a, Tensor) else a for a in problem.args)
    with torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of float(y) and the like, as we do below
        time, y = time.clone().requires_grad_(), y.detach().requires_grad_()
        try:
            value = value_of(event, problem, time, y, args)
        except RuntimeError as error:  # it was evaluated without a graph before
            return math.nan, f"cannot be evaluated with a graph ({error})"
        if not value.requires_grad:
            return math.nan, "returns a value without a graph"
        g_t, g_y = torch.autograd.grad(value, (time, y), materialize_grads=True, allow_unused=True)
    rate = float(g_t + (g_y * f).sum())
    if rate == 0 or not math.isfinite(rate):
        return rate, f"changes at the rate {rate} along the solution there"
    return rate, ""


def moved_in_time(problem: Problem, time: Tensor, y: Tensor, s: Tensor, f: Tensor) -> Tensor:
    """State at the time `s` after that of `y`, where s is zero but its derivatives are not.

    Args:
        time, s: 0-d.
        f: The derivative at (time, y).
    """

    def stage_times(t: float, h: float, nodes: Sequence[float]) -> tuple[list[Tensor], Tensor]:
        return [time + c * s for c in nodes], s

    counts = problem.stats.forward
    stepper = ExplicitRungeKutta(
        STEP, problem.func, y, counts, args=problem.args, records=True, stage_times=stage_times
    )
    stepper.starts_with(y, f)
    return stepper.step(0.0, 0.0, y)


class NoGradient(torch.autograd.Function):
    """A zero that raises an error when a nonzero gradient flows into it."""

    @staticmethod
    def forward(ctx: Any, zero: Tensor, message: str) -> Tensor:
        ctx.message = message
        return zero.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        if bool(grad != 0):
            raise RuntimeError(ctx.message)
        return grad, None
