"""Terminal events: a solve ends where a function of time and state crosses zero.

Every accepted step is searched: the function is evaluated at its end and at a few points of its
interpolant, and a change of sign between two of them is located to rounding precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .inside_steps import interpolates_by_substeps, step_interpolant
from .methods.base import Interpolant, Stepper
from .problem import Problem
from .vector_field import changed_in_place

__all__ = ["Event", "EventFinder", "Zero", "first_zero", "value_of"]

# A change at a single point above this fraction of the change over the bracket counts as a jump.
JUMP = 1e-2


@dataclass(frozen=True)
class Event:
    """A terminal event: ends a solve where `func(t, y, *args)` crosses or reaches zero.

    The value may be continuous or jump. For a boolean function the event is where it changes; a
    change from False to True counts as rising. If a value reaches zero and stays there, like that
    of `relu`, the event is the first zero. A function that is zero at the start does not end the
    solve there, but at its next zero.

    What happens between two evaluations is not detected. A function that is positive at both, and
    negative for a while between them, is missed, and so is one that touches zero and turns back,
    or a periodic one whose period is shorter. With the default of `points`, two zeros are found
    if they are at least a ninth of a step apart; bound the steps by `Solver(max_step=...)`, or
    raise `points`, to find closer ones. For a zero that is only touched, use the derivative of
    the function as the event.

    Gradients flow through the time of the event and the state there, by the implicit function
    theorem. If that does not apply (a function without a derivative, one that jumps or is flat at
    its zero), their values are correct, but a gradient through them raises a RuntimeError.

    Attributes:
        func: Maps a 0-d time, a state and the arguments of the solve to one number: a tensor of
            any real dtype with one element, or a Python or NumPy number.
        direction: 1 counts only crossings from below, -1 only those from above, 0 both.
        points: Evaluations inside each step besides that at its end, on the method's interpolant
            (a straight line for reversible, symplectic and fixed-step Adams methods, whose
            interpolants need further evaluations of the vector field). The largest number among
            the events of a solve applies to all of them.
        at_start: Whether the solve ends immediately if the function is exactly zero at the start,
            with the start as the time of the event.

    Raises:
        ValueError: `direction` is not -1, 0 or 1, or `points` is negative or not whole.

    Example:
        A ball that falls from a height of 1 with an acceleration of 2:

        >>> from node_experiments.ode import solve
        >>> ground = Event(lambda t, y: y[0], direction=-1)
        >>> y0, t = torch.tensor([1.0, 0.0]), torch.tensor([0.0, math.inf])
        >>> fall = lambda t, y: torch.stack([y[1], torch.tensor(-2.0)])
        >>> solution = solve(fall, y0, t, events=[ground])
        >>> solution.status.name, round(solution.ts[-1].item(), 3)
        ('EVENT', 1.0)
    """

    func: Callable[..., Any]
    direction: int = 0
    points: int = 8
    at_start: bool = False

    def __post_init__(self) -> None:
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"direction={self.direction!r} of an event must be -1, 0 or 1")
        if not (isinstance(self.points, Integral) and self.points >= 0):
            raise ValueError(f"points={self.points!r} of an event must be a whole number >= 0")


class EventFinder:
    """Watches the accepted steps of a solve for the first event.

    Args:
        events: The events, whose functions take packed states.

    Attributes:
        index: Index of the event that occurred, or None.
        t: Time of that event.
        jumps: Whether its function jumps there, and so has no derivative.
        failed: Index of an event whose value was not finite, which ends the solve, or None.
    """

    def __init__(self, problem: Problem, events: Sequence[Event]):
        self._problem, self._events = problem, events
        points = max(event.points for event in events)
        self._thetas = [n / (points + 1) for n in range(1, points + 1)]
        t0 = problem.times[0]
        self._before = self._values([t0], [problem.y0.detach()])[0]
        zeros = [i for i, e in enumerate(events) if e.at_start and self._before[i] == 0]
        self.index: int | None = zeros[0] if zeros else None
        self.t = t0 if zeros else math.nan
        self.jumps = False
        self.failed: int | None = None
        self._is_coarse = interpolates_by_substeps(problem)
        self._start, self._h = t0, math.nan
        self._interpolant: Interpolant | None = None
        self._line: Interpolant
        self._make_interpolant: Callable[[], Interpolant]

    def __call__(self, step: Stepper, t: float, h: float, y0: Tensor, y1: Tensor) -> bool:
        """Whether an event ends the solve in the accepted step from (t, y0) to (t + h, y1)."""
        *inside, after = self._values_in(step, t, h, y0, y1)
        for i, (a, b) in enumerate(zip(self._before, after, strict=True)):
            if not (math.isfinite(a) and math.isfinite(b)):
                self.failed = i
                return True
        self._start, self._h = t, h
        self._interpolant, self._line = None, partial(straight_line, y0, y1)
        self._make_interpolant = partial(step_interpolant, self._problem, step, t, h, y0, y1)
        # Values inside may be those of a line through the step, which the interpolant is not.
        on_line = self._is_coarse or not step.has_free_interpolant
        found = []
        for i, event in enumerate(self._events):
            theta0, value0 = 0.0, self._before[i]
            for theta, values in zip([*self._thetas, 1.0], [*inside, after], strict=True):
                value, is_known = values[i], theta == 1 or not on_line
                if not is_known and crosses(value0, value, 0):
                    value, is_known = self._value(i, theta), True
                if crosses(value0, value, event.direction):
                    found.append((i, Bracket(theta0, theta, value0, value)))
                    break
                # Zero has no sign: the value before it decides about the next crossing. And a
                # value that is not finite may be due to an interpolant outside the domain.
                if is_known and value != 0 and math.isfinite(value):
                    theta0, value0 = theta, value
            self._before[i] = value0
        if not found:
            return False
        zeros = {i: self._zero_in(bracket, i) for i, bracket in found}
        self.failed = next((i for i, zero in zeros.items() if zero is None), None)
        if self.failed is not None:
            return True
        zero, self.index = min((zero, i) for i, zero in zeros.items() if zero is not None)
        self.t, self.jumps = t + zero.theta * h, zero.jumps
        if self.t == self._problem.times[0]:
            # The solve up to the event needs a step, however short.
            self.t = math.nextafter(self.t, t + h)
        return True

    def at(self, times: Sequence[float]) -> Tensor:
        """States at times inside the step of the event, shape `(times, n)`."""
        return self._interpolate([(t - self._start) / self._h for t in times])

    def _interpolate(self, thetas: Sequence[float]) -> Tensor:
        """States inside the step of the last call; most steps are over without any."""
        with torch.no_grad():
            if self._interpolant is None:
                self._interpolant = self._make_interpolant()
            states = self._interpolant(thetas)
            if not bool(states.isfinite().all()):
                # The field overflows at the end of a fixed step, whose slope the interpolant has.
                self._interpolant = self._line
                states = self._interpolant(thetas)
            return states

    def _values_in(
        self, step: Stepper, t: float, h: float, y0: Tensor, y1: Tensor
    ) -> list[list[float]]:
        """Values of all events at the points inside a step and at its end."""
        times, states = [t + theta * h for theta in self._thetas], []
        if times and step.has_free_interpolant:
            with torch.no_grad():
                states = list(step.interpolant(t, h, y0, y1)(self._thetas))
        elif times:
            states = list(straight_line(y0, y1, self._thetas))
        return self._values([*times, t + h], [*states, y1])

    def _values(self, times: Sequence[float], states: Sequence[Tensor]) -> list[list[float]]:
        """Values of all events at each point, with one synchronisation."""
        problem = self._problem
        with torch.no_grad():
            values = [
                value_of(event, problem, problem.time(t), y.view(problem.y0.shape))
                for t, y in zip(times, states, strict=True)
                for event in self._events
            ]
            numbers = torch.stack(values).tolist()
        width = len(self._events)
        return [numbers[i : i + width] for i in range(0, len(numbers), width)]

    def _zero_in(self, bracket: Bracket, index: int) -> Zero | None:
        """Zero of an event in a bracket; None if the search meets a value that is not finite."""
        problem = self._problem
        with torch.no_grad():
            coarse = problem.func.resolution
            resolution = max(torch.finfo(problem.y0.dtype).eps, coarse)
            # A value in half precision jumps by its rounding.
            size = float(self._interpolate([0.0]).abs().max()) if coarse else 0.0
            value = partial(self._value, index)
            return first_zero(value, bracket, resolution, 8 * coarse * (1 + size))

    def _value(self, index: int, theta: float) -> float:
        """Value of an event at the position `theta` in the step of the last call."""
        problem, event = self._problem, self._events[index]
        with torch.no_grad():
            y = self._interpolate([theta]).view(problem.y0.shape)
            return float(value_of(event, problem, problem.time(self._start + theta * self._h), y))


def straight_line(y0: Tensor, y1: Tensor, thetas: Sequence[float]) -> Tensor:
    """States between two ends, shape `(theta, *state)`."""
    return torch.stack([torch.lerp(y0, y1, theta) for theta in thetas])


def value_of(
    event: Event, problem: Problem, t: Tensor, y: Tensor, args: tuple | None = None
) -> Tensor:
    """Value of an event, 0-d on the device of the state; -1 for False and 1 for True.

    Raises:
        ValueError: The function did not return one real number, or changed the time or the state
            in place.
    """
    versions = (t._version, y._version) if problem.func.has_versions else None
    result = event.func(t, y, *(problem.args if args is None else args))
    if versions is not None and (t._version, y._version) != versions:
        raise changed_in_place(t._version != versions[0], "an event")
    value = torch.as_tensor(result, device=y.device)
    if value.numel() != 1 or value.is_complex():
        raise ValueError(
            "an event must return one real number; found "
            f"shape {tuple(value.shape)}, {value.dtype}; make an event of each component"
        )
    value = value.reshape(())
    return 2 * value.to(y.dtype) - 1 if value.dtype == torch.bool else value


def crosses(before: float, after: float, direction: int) -> bool:
    """Whether a value crossed or reached zero in the given direction."""
    if before == 0 or math.copysign(1, before) * after > 0 or math.isnan(after):
        return False
    return direction == 0 or (after > before) == (direction > 0)


class Bracket(NamedTuple):
    """Positions in a step between which a value changes sign or becomes zero.

    The value `at_low` is not zero; `at_high` is zero or has the opposite sign.
    """

    low: float
    high: float
    at_low: float
    at_high: float


class Zero(NamedTuple):
    """Position of a zero in a step, and whether the value jumps over it."""

    theta: float
    jumps: bool


def first_zero(
    value: Callable[[float], float], bracket: Bracket, resolution: float, rounding: float = 0.0
) -> Zero | None:
    """Find the zero in a bracket by secants (Illinois), with bisection as the fallback.

    Args:
        resolution: Relative precision of the position.
        rounding: Largest change of the value that does not count as a jump.

    Returns:
        The end of the final bracket, where the value is zero or has changed sign; None if a value
        is not finite.
    """
    low, high, at_low, at_high = bracket
    weight_low, weight_high = at_low, at_high
    is_flat, last_moved = False, ""
    for n in range(500):
        width = high - low
        if width <= resolution * high:
            break
        if at_high == 0 and not is_flat:
            # Is the zero a single point, or the end of an interval of zeros?
            middle = high - width * math.sqrt(resolution)
        elif at_high == 0 or n % 3 == 2:
            # Bisect every third time, because secants converge slowly to a jump.
            middle = low + width / 2
        else:
            middle = high - weight_high * width / (weight_high - weight_low)
        if not low < middle < high:
            middle = low + width / 2
        at_middle = value(middle)
        if not math.isfinite(at_middle):
            return None
        if at_middle == 0 or (at_middle > 0) != (at_low > 0):
            is_flat = is_flat or at_high == at_middle == 0
            weight_low /= 2 if last_moved == "high" else 1
            high, at_high, weight_high, last_moved = middle, at_middle, at_middle, "high"
        else:
            weight_high /= 2 if last_moved == "low" else 1
            low, at_low, weight_low, last_moved = middle, at_middle, at_middle, "low"
    jump = max(JUMP * abs(bracket.at_high - bracket.at_low), rounding)
    return Zero(high, abs(at_high - at_low) > jump)
