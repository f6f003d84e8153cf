"""Grids of steps that do not depend on the solution."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Iterator, Sequence

from .solver import Solver

__all__ = ["FixedGrid", "step_numbers"]


class FixedGrid:
    """Steps that do not depend on the solution.

    With `num_steps` the interval is cut into equal steps; with `step_size` all steps have that
    size except the last, which ends at t1; with neither, steps end at the times `step_t`. The
    steps are generated one by one, so that their number takes no memory and may be infinite.

    Args:
        times: Output times. A step that would end within rounding of one ends exactly there, so
            that nothing has to be interpolated and no tiny step follows.
        resolution: Relative precision of the output times.
    """

    def __init__(
        self, times: Sequence[float], solver: Solver, resolution: float = sys.float_info.epsilon
    ):
        t0, t1 = times[0], times[-1]
        self._t1, span = t1, t1 - t0
        furthest = max(abs(t0), abs(times[-2]), abs(t1) if math.isfinite(t1) else 0.0)
        rounding = 4 * resolution * furthest
        self._is_given = solver.num_steps is None and solver.step_size is None
        # Iterators in C: starting a step costs no Python call except that of `judge`.
        self._points: Iterator[float]
        if solver.num_steps is not None:
            count = solver.num_steps
            step = span / count
            fractions = map(float(count).__rtruediv__, map(span.__mul__, range(1, count)))
            self._points = map(t0.__add__, fractions)
        elif solver.step_size is not None:
            step = math.copysign(solver.step_size, span)
            numbers = step_numbers(span, step, rounding)
            self._points = map(t0.__add__, map(step.__mul__, numbers))
        else:
            inside = {t for t in solver.step_t if min(t0, t1) < t < max(t0, t1)}
            self._points, step = iter(sorted(inside, reverse=t1 < t0)), span
        self._sign, self._slack = math.copysign(1.0, span), min(rounding, 1e-3 * abs(step))
        self._outputs = iter(() if self._is_given else times[1:-1])
        self._output = next(self._outputs, None)
        self.t_next = t0
        self.judge(0.0, 0.0)

    def judge(self, h: float, ratio: float) -> bool:
        self.t = self.t_next
        point, slack, output = next(self._points, self._t1), self._slack, self._output
        if output is not None:
            # A grid point within rounding of an output time is replaced by it.
            while output is not None and (point - output) * self._sign > slack:
                output = next(self._outputs, None)
            self._output = output
            if output is not None and abs(point - output) <= slack:
                point = output
        self.t_next = point
        self.at_stop = self._is_given or point == self._t1
        return True


def step_numbers(span: float, step: float, rounding: float) -> Iterable[int]:
    """Numbers of the equal steps, counted from 1, without the last one, which ends at t1."""
    if math.isinf(span):
        return itertools.count(1)
    slack = max(min(rounding / abs(step), 1e-3), 1e-9)
    return range(1, max(1, math.ceil(span / step - slack)))
