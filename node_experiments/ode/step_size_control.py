"""Which step to try next: an even grid, or control of the local error.

Everything here is Python floats on the host: time stays in double precision on every device, and
a decision costs no device operation.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from .solver import Solver

__all__ = ["AdaptiveControl", "Controller", "FixedGrid"]

# Gains on the last three error ratios: Gustafsson 1991 (PI), Soderlind 2003 (PID).
GAINS = {"i": (1.0, 0.0, 0.0), "pi": (0.7, -0.4, 0.0), "pid": (0.49, -0.34, 0.10)}


class Controller(Protocol):
    """Proposes where the next step ends, and judges the error that it made.

    Attributes:
        at_stop: Whether the proposed step ends where one has to end, however short it is.
    """

    at_stop: bool

    def propose(self, t: float) -> float:
        """The time at which a step from `t` shall end."""
        ...

    def resume(self, t: float) -> float:
        """The time at which the next step starts after one that ended at `t`."""
        ...

    def judge(self, h: float, ratio: float) -> bool:
        """Whether a step of size `h` whose error is `ratio` times the tolerance is accepted."""
        ...


class FixedGrid:
    """Steps that do not depend on the solution.

    With `num_steps` the interval is cut into equal steps; with `step_size` all steps have that
    size except the last, which ends at t1; with neither, steps end at the times `step_t`. The
    steps are generated one by one, so that their number costs no memory and may be infinite.

    Args:
        times: Output times. A step that would end within their rounding of one ends there, so
            that nothing has to be interpolated, and no tiny step follows.
        resolution: Relative precision of the output times.
    """

    def __init__(
        self,
        times: Sequence[float],
        solver: Solver,
        resolution: float = sys.float_info.epsilon,
    ):
        self._times, self._t1 = times, times[-1]
        furthest = max(abs(t) for t in (times[0], *times[-2:]) if math.isfinite(t))
        self._rounding = 4 * resolution * furthest
        self._ends = self._grid(times[0], times[-1], solver)
        self._is_given = solver.num_steps is None and solver.step_size is None
        self.at_stop = False

    def _grid(self, t0: float, t1: float, solver: Solver) -> Iterator[float]:
        span = t1 - t0
        if solver.num_steps is not None:
            count = solver.num_steps
            yield from self._on_outputs(
                (t0 + span * n / count for n in range(1, count)), span / count
            )
        elif solver.step_size is not None:
            step = math.copysign(solver.step_size, span)
            yield from self._on_outputs((t0 + step * n for n in self._numbers(span, step)), step)
        else:
            inside = {t for t in solver.step_t if min(t0, t1) < t < max(t0, t1)}
            yield from sorted(inside, reverse=t1 < t0)
        yield t1

    def _numbers(self, span: float, step: float) -> Iterable[int]:
        """Numbers of the steps before the last one, which ends at t1."""
        if math.isinf(span):
            return itertools.count(1)
        slack = max(min(self._rounding / abs(step), 1e-3), 1e-9)
        return range(1, max(1, math.ceil(span / step - slack)))

    def _on_outputs(self, points: Iterable[float], step: float) -> Iterator[float]:
        """The points, or the outputs that they were meant to be."""
        slack = min(self._rounding, 1e-3 * abs(step))
        ahead = iter(self._times[1:-1])
        output = next(ahead, self._t1)
        for point in points:
            while output != self._t1 and (point - output) * math.copysign(1, step) > slack:
                output = next(ahead, self._t1)
            yield output if output != self._t1 and abs(point - output) <= slack else point

    def propose(self, t: float) -> float:
        t_next = next(self._ends)
        self.at_stop = self._is_given or t_next == self._t1
        return t_next

    def resume(self, t: float) -> float:
        return t

    def judge(self, h: float, ratio: float) -> bool:
        return True


class AdaptiveControl:
    """I, PI or PID control of the local error (Hairer & Wanner II, section IV.2).

    The next step is h * safety * r_n^-g1 * r_{n-1}^-g2 * r_{n-2}^-g3, with the error ratios r of
    the last steps and gains g divided by `error_order`, the power of h in the error estimate.

    Steps end at the times `solver.step_t`. At a time of `solver.jump_t` the vector field jumps:
    a step ends just before it and the next one starts just after it, so that no step sees both
    sides.

    Args:
        resolution: Relative precision of the time that the vector field is given.
    """

    def __init__(
        self,
        t1: float,
        first_step: float,
        error_order: int,
        solver: Solver,
        resolution: float = sys.float_info.epsilon,
    ):
        self._t1 = t1
        self._resolution = resolution
        self._least = solver.min_step if solver.accept_min_step else 0.0
        self._h = max(min(first_step, solver.max_step), self._least)
        self._solver = solver
        self._gains = [gain / error_order for gain in GAINS[solver.controller]]
        self._past = (1.0, 1.0)
        self._was_rejected = False
        self._cut_short = False
        self.at_stop = False

    def retarget(self, t1: float) -> None:
        """Go on towards another end, keeping the step size and the memory of past errors."""
        self._t1 = t1

    def propose(self, t: float) -> float:
        stop = self._next_stop(t)
        remaining = stop - t
        self._cut_short = abs(remaining) < self._h
        # A step that ends within rounding of a stop would leave one of a few ulps behind.
        self.at_stop = abs(remaining) <= self._h * (1 + 1e-9)
        return stop if self.at_stop else t + math.copysign(self._h, remaining)

    def resume(self, t: float) -> float:
        for jump in self._solver.jump_t:
            gap = self._gap(jump)
            if abs(t - jump) <= gap * 1.5:
                return self._t1 if abs(self._t1 - jump) <= gap else jump + self._signed(t, gap)
        return t

    def _next_stop(self, t: float) -> float:
        """The end, or the next time before it where a step has to end."""
        stops = list(self._solver.step_t)
        stops += [jump - self._signed(t, self._gap(jump)) for jump in self._solver.jump_t]
        ahead = [stop for stop in stops if min(t, self._t1) < stop < max(t, self._t1)]
        return min([*ahead, self._t1], key=lambda stop: abs(stop - t))

    def _gap(self, jump: float) -> float:
        return self._resolution * max(abs(jump), 1e-3)

    def _signed(self, t: float, size: float) -> float:
        return math.copysign(size, self._t1 - t)

    def judge(self, h: float, ratio: float) -> bool:
        solver = self._solver
        if abs(h) <= self._least * (1 + 1e-9) and math.isfinite(ratio):
            ratio = min(ratio, 1.0)
        if not ratio <= 1:  # also true of NaN
            factor = self._factor(ratio) if math.isfinite(ratio) else solver.min_factor
            self._h = max(abs(h) * min(factor, solver.safety), self._least)
            self._was_rejected = True
            return False
        ratio = max(ratio, 1e-10)
        # Right after a rejection the step must not grow (Hairer I, section II.4).
        factor = min(self._factor(ratio), 1.0 if self._was_rejected else solver.max_factor)
        proposal = abs(h) * factor
        # A step that the end of the interval cut short says nothing against a longer one.
        proposal = max(proposal, self._h if self._cut_short else self._least)
        self._h = min(proposal, solver.max_step)
        self._past = (ratio, self._past[0])
        self._was_rejected = False
        return True

    def _factor(self, ratio: float) -> float:
        factor = self._solver.safety
        for gain, past_ratio in zip(self._gains, (ratio, *self._past), strict=True):
            factor *= past_ratio**-gain
        return min(max(factor, self._solver.min_factor), self._solver.max_factor)
