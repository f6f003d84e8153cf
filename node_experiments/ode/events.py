"""Terminal events: a solve ends where a function of time and state crosses zero.

The time of the event, t*, is defined by g(t*, y(t*)) = 0, so that its derivative with respect to
anything that y or g depend on is that of the implicit function theorem (Chen, Amos & Nickel 2021):

    dt* = -(dg at fixed t) / (dg/dt + dg/dy f),    dy(t*) = dy at fixed t + f dt*.

Parameters of g need no special care: they get their gradient through g itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .integrate import Step
from .problem import Problem

__all__ = ["Event", "EventFinder", "event_gradients"]


@dataclass(frozen=True)
class Event:
    """Ends a solve where `func(t, y, *args)` crosses zero.

    A function that is zero at the start does not end the solve there.

    Attributes:
        func: Maps a 0-d time, a state and the arguments of the solve to a tensor of one number.
        direction: 1 counts only crossings from below, -1 only those from above, 0 both.
    """

    func: Callable[..., Tensor]
    direction: int = 0

    def __post_init__(self) -> None:
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"direction={self.direction!r} of an event must be -1, 0 or 1")


class EventFinder:
    """Watches the accepted steps of a solve for the first event.

    Args:
        events: The events, whose functions take packed states.

    Attributes:
        index: Which of the events came, or None.
        t: When.
        failed: The event whose value was not finite, or None; such a value ends the solve.
    """

    def __init__(self, problem: Problem, events: Sequence[Event]):
        self._problem, self._events = problem, events
        self._before = self._values(problem.times[0], problem.y0.detach().reshape(-1))
        self.index: int | None = None
        self.failed: int | None = None
        self.t = math.nan
        self.h = math.nan
        self._start = math.nan
        self._interpolant: Callable[[Sequence[float]], Tensor] | None = None

    def __call__(self, step: Step, t: float, h: float, y0: Tensor, y1: Tensor) -> bool:
        """Whether the accepted step from (t, y0) to (t + h, y1) is the last, by an event."""
        after = self._values(t + h, y1)
        if not all(map(math.isfinite, (*self._before, *after))):
            pairs = zip(self._before, after, strict=True)
            finite = [math.isfinite(a) and math.isfinite(b) for a, b in pairs]
            self.failed = finite.index(False)
            return True
        crossed = [
            i
            for i, event in enumerate(self._events)
            if crosses(self._before[i], after[i], event.direction)
        ]
        if not crossed:
            # Zero has no sign: what was there before it decides about the next crossing.
            self._before = [b if a == 0 else a for a, b in zip(after, self._before, strict=True)]
            return False
        with torch.no_grad():
            self._interpolant = step.interpolant(t, h, y0, y1)
            roots = [(self._root(i, t, h, after[i]), i) for i in crossed]
        self.failed = next((i for theta, i in roots if math.isnan(theta)), None)
        if self.failed is not None:
            return True
        theta, self.index = min(roots)
        self._start, self.h, self.t = t, h, t + theta * h
        if self.t == self._problem.times[0]:
            # The solve up to the event has a step, however short.
            self.t = math.nextafter(self.t, t + h)
        return True

    def at(self, times: Sequence[float]) -> Tensor:
        """States inside the step of the event, shape `(times, n)`."""
        assert self._interpolant is not None
        return self._interpolant([(t - self._start) / self.h for t in times])

    def _values(self, t: float, y: Tensor) -> list[float]:
        problem = self._problem
        with torch.no_grad():
            y = y.view(problem.y0.shape)
            values = [e.func(problem.time(t), y, *problem.args).reshape(()) for e in self._events]
            return torch.stack(values).tolist()

    def _root(self, index: int, t: float, h: float, after: float) -> float:
        """Position of the zero in the step: bisection with secants (Illinois).

        NaN when the function is not finite on the way to it.
        """
        assert self._interpolant is not None
        event = self._events[index]
        low, high, at_low, at_high = 0.0, 1.0, self._before[index], after
        for _ in range(100):
            if high - low <= 4e-16 or at_high == 0:
                break
            middle = high - at_high * (high - low) / (at_high - at_low)
            if not low < middle < high:
                middle = (low + high) / 2
            y = self._interpolant([middle]).view(self._problem.y0.shape)
            time = self._problem.time(t + middle * h)
            value = float(event.func(time, y, *self._problem.args))
            if not math.isfinite(value):
                return math.nan
            if value == 0:
                return middle
            if (value > 0) == (at_high > 0):
                high, at_high, at_low = middle, value, at_low / 2
            else:
                low, at_low, at_high = middle, value, at_high / 2
        return high


def crosses(before: float, after: float, direction: int) -> bool:
    """Whether a value went through zero, or came to it, in the given direction."""
    if before == 0 or before * after > 0:
        return False
    rises = after > before
    return direction == 0 or rises == (direction > 0)


def event_gradients(problem: Problem, event: Event, t: float, y: Tensor) -> tuple[Tensor, Tensor]:
    """Time and state of an event, in the graph.

    Args:
        t: Time of the event.
        y: State at the fixed time `t`, in the graph, of the shape of the problem's state.

    Returns:
        The time, 0-d of the dtype of the problem's times, and the state, of the shape of `y`.
    """
    time = problem.time(t)
    with torch.enable_grad():
        leaf_t, leaf_y = time.clone().requires_grad_(), y.detach().requires_grad_()
        detached: list[Any] = [a.detach() if isinstance(a, Tensor) else a for a in problem.args]
        value = event.func(leaf_t, leaf_y, *detached).reshape(())
        g_t, g_y = torch.autograd.grad(value, (leaf_t, leaf_y), materialize_grads=True)
    with torch.no_grad():
        problem.stats.forward.evaluations += 1
        f = problem.func(time, y, *problem.args).to(y.dtype)
        rate = g_t + (g_y * f).sum()
    value = event.func(time, y, *problem.args).reshape(())
    shift = -(value - value.detach()) / rate
    exact = torch.as_tensor(t, dtype=problem.t.dtype, device=shift.device)
    return exact + shift.to(exact.dtype), y + f * shift
