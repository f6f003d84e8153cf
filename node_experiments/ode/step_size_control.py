"""Which step to try next: an even grid, or control of the local error.

Everything about one step is Python floats on the host: time stays in double precision on every
device, and a decision costs no device operation.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from .methods.base import OrderSelection, Stepper
from .norms import Norm
from .solver import Solver

__all__ = [
    "AdaptiveControl",
    "Controller",
    "FixedGrid",
    "SampleControl",
    "first_step",
    "first_steps",
    "make_controller",
]

# Gains on the last three error ratios: Gustafsson 1991 (PI), Soderlind 2003 (PID).
GAINS = {"i": (1.0, 0.0, 0.0), "pi": (0.7, -0.4, 0.0), "pid": (0.49, -0.34, 0.10)}
SMALLEST_RATIO = 1e-10


class Controller(Protocol):
    """Proposes steps one after the other, and judges the errors that they made.

    Attributes:
        t, t_next: Where the proposed step starts and ends.
        at_stop: Whether it ends where one has to end, however short it is.
    """

    t: float
    t_next: float
    at_stop: bool

    def judge(self, h: float, ratio: float) -> bool:
        """Whether a step of size `h` whose error is `ratio` times the tolerance is accepted.

        The next step is proposed: it starts at the end of this one, or again at its start.
        """
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
        self, times: Sequence[float], solver: Solver, resolution: float = sys.float_info.epsilon
    ):
        t0, t1 = times[0], times[-1]
        self._t1, span = t1, t1 - t0
        furthest = max(abs(t0), abs(times[-2]), abs(t1) if math.isfinite(t1) else 0.0)
        rounding = 4 * resolution * furthest
        self._is_given = solver.num_steps is None and solver.step_size is None
        # Iterators of C: a step that starts costs no call of Python but this object's own.
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
            # A point may be the output that it was meant to be.
            while output is not None and (point - output) * self._sign > slack:
                output = next(self._outputs, None)
            self._output = output
            if output is not None and abs(point - output) <= slack:
                point = output
        self.t_next = point
        self.at_stop = self._is_given or point == self._t1
        return True


def step_numbers(span: float, step: float, rounding: float) -> Iterable[int]:
    """Numbers of the steps of one size before the last one, which ends at the end."""
    if math.isinf(span):
        return itertools.count(1)
    slack = max(min(rounding / abs(step), 1e-3), 1e-9)
    return range(1, max(1, math.ceil(span / step - slack)))


class AdaptiveControl:
    """I, PI or PID control of the local error (Hairer & Wanner II, section IV.2).

    The next step is h * safety * r_n^-g1 * r_{n-1}^-g2 * r_{n-2}^-g3, with the error ratios r of
    the last steps and gains g divided by `error_order`, the power of h in the error estimate.

    Steps end at the times `solver.step_t`. At a time of `solver.jump_t` the vector field jumps:
    a step ends just before it and the next one starts just after it, so that no step sees both
    sides.

    Args:
        t0, t1: Ends of the interval.
        resolution: Relative precision of the time that the vector field is given.
    """

    def __init__(
        self,
        t0: float,
        t1: float,
        first_step: float,
        error_order: int,
        solver: Solver,
        resolution: float = sys.float_info.epsilon,
    ):
        self._resolution, self._solver = resolution, solver
        self._least = solver.min_step if solver.accept_min_step else 0.0
        self._h = max(min(first_step, solver.max_step), self._least)
        self._exponents = tuple(-gain / error_order for gain in GAINS[solver.controller])
        self._past = (1.0, 1.0)
        self._was_rejected = False
        self._has_stops = bool(solver.step_t or solver.jump_t)
        self.t = self.t_next = t0
        self.at_stop = self._cut_short = False
        self.retarget(t0, t1)

    def retarget(self, t0: float, t1: float) -> None:
        """Go on over another interval, keeping the step size and the memory of past errors."""
        self._t1 = t1
        self.t = self._restart(t0)
        self._aim()

    def judge(self, h: float, ratio: float) -> bool:
        solver, size = self._solver, abs(h)
        if size <= self._least * (1 + 1e-9) and ratio < math.inf:
            ratio = min(ratio, 1.0)
        accepted = ratio <= 1  # not by NaN
        if ratio < math.inf:
            bounded = max(ratio, SMALLEST_RATIO)
            a, b, c = self._exponents
            factor = bounded**a * self._past[0] ** b * self._past[1] ** c * solver.safety
            factor = min(max(factor, solver.min_factor), solver.max_factor)
        else:
            factor = solver.min_factor
        if accepted:
            # Right after a rejection the step must not grow (Hairer I, section II.4). And one
            # that the end of the interval cut short says nothing against a longer one.
            proposal = size * (min(factor, 1.0) if self._was_rejected else factor)
            proposal = max(proposal, self._h if self._cut_short else self._least)
            self._h = min(proposal, solver.max_step)
            self._past = (bounded, self._past[0])
            self.t = self._restart(self.t_next) if self._has_stops else self.t_next
        else:
            self._h = max(size * min(factor, solver.safety), self._least)
        self._was_rejected = not accepted
        remaining = self._t1 - self.t
        if self._has_stops or abs(remaining) <= self._h * (1 + 1e-9):
            self._aim()
        else:
            self._cut_short = self.at_stop = False
            self.t_next = self.t + math.copysign(self._h, remaining)
        return accepted

    def _aim(self) -> None:
        """Propose the step from `t`."""
        stop = self._next_stop(self.t) if self._has_stops else self._t1
        remaining = stop - self.t
        self._cut_short = abs(remaining) < self._h
        # A step that ends within rounding of a stop would leave one of a few ulps behind.
        self.at_stop = abs(remaining) <= self._h * (1 + 1e-9)
        self.t_next = stop if self.at_stop else self.t + math.copysign(self._h, remaining)

    def _restart(self, t: float) -> float:
        """The time at which the next step starts after one that ended at `t`."""
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


class VariableOrderControl(AdaptiveControl):
    """Control of a method that proposes the size of a step together with its order."""

    def __init__(
        self,
        t0: float,
        t1: float,
        first_step: float,
        orders: OrderSelection,
        solver: Solver,
        resolution: float,
    ):
        self._orders, self._first_step = orders, min(first_step, solver.max_step)
        super().__init__(t0, t1, first_step, 2, solver, resolution)

    def judge(self, h: float, ratio: float) -> bool:
        accepted = ratio <= 1
        proposal = abs(h) * self._orders.choose(h, ratio)
        if accepted and self._cut_short:
            proposal = max(proposal, self._h)
        self._h = min(proposal, self._solver.max_step)
        self._was_rejected = not accepted
        if accepted:
            self.t = self._restart(self.t_next)
        self._aim()
        return accepted

    def retarget(self, t0: float, t1: float) -> None:
        # A method without a history has its lowest order.
        self._h = min(self._h, self._first_step)
        super().retarget(t0, t1)

    def _restart(self, t: float) -> float:
        start = super()._restart(t)
        if start != t:
            self._h = min(self._h, self._first_step)
        return start


class SampleControl:
    """`AdaptiveControl` of the samples of a batch, whose steps are independent.

    Attributes:
        h: Sizes of the next steps, shape `(batch,)`.
        ratio: Error ratios of the last steps.
    """

    def __init__(self, first_steps: Tensor, error_order: int, solver: Solver):
        self.h, self._solver = first_steps, solver
        self._exponents = [-gain / error_order for gain in GAINS[solver.controller]]
        self._past = torch.ones(2, len(first_steps), dtype=torch.float64)
        self._was_rejected = torch.zeros(len(first_steps), dtype=torch.bool)
        self.ratio = torch.zeros(len(first_steps), dtype=torch.float64)

    def judge(self, h: Tensor, ratio: Tensor, cut_short: Tensor) -> Tensor:
        """Which steps are accepted.

        Args:
            h: Sizes of the steps, with their sign.
            cut_short: Whether the end of the interval made a step shorter.
        """
        solver = self._solver
        accepted = ratio <= 1
        bounded = ratio.clamp(min=SMALLEST_RATIO).nan_to_num(nan=math.inf, posinf=math.inf)
        factor = torch.full_like(ratio, solver.safety)
        for exponent, past in zip(self._exponents, (bounded, *self._past), strict=True):
            if exponent:
                factor = factor * past**exponent
        factor = factor.clamp(solver.min_factor, solver.max_factor)
        limit = torch.full_like(ratio, solver.max_factor).masked_fill(self._was_rejected, 1.0)
        limit = limit.masked_fill(~accepted, solver.safety)
        proposal = h.abs() * torch.minimum(factor, limit)
        proposal = torch.where(accepted & cut_short, torch.maximum(proposal, self.h), proposal)
        self.h = proposal.clamp(max=solver.max_step)
        self._past = torch.where(accepted, torch.stack([bounded, self._past[0]]), self._past)
        self._was_rejected, self.ratio = ~accepted, ratio
        return accepted

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the samples."""
        self.h, self._past = self.h[rows], self._past[:, rows]
        self._was_rejected, self.ratio = self._was_rejected[rows], self.ratio[rows]


def make_controller(
    stepper: Stepper,
    times: Sequence[float],
    first_step: float,
    error_order: int,
    solver: Solver,
    resolution: float,
) -> AdaptiveControl:
    """Control of the steps over the interval of `times`; see `AdaptiveControl`."""
    if stepper.chooses_order:
        orders = stepper.order_selection()
        return VariableOrderControl(times[0], times[-1], first_step, orders, solver, resolution)
    return AdaptiveControl(times[0], times[-1], first_step, error_order, solver, resolution)


def first_step(
    stepper: Stepper,
    times: Sequence[float],
    y0: Tensor,
    error_order: int,
    solver: Solver,
    norm: Norm,
    rtol: float | Tensor,
    atol: float | Tensor,
) -> float:
    """The first step that the solver was given, or Hairer's, in units of t.

    Args:
        rtol, atol: Numbers, or one a component.

    Returns:
        The size |h|; NaN when the derivative at the start is not finite.
    """
    if solver.first_step is not None:
        return solver.first_step
    f0 = stepper.derivative(times[0], y0)
    with torch.no_grad():

        def sizes(*vectors: Tensor) -> Iterable[Sequence[float]]:
            return [[x] for x in torch.stack([norm(vector) for vector in vectors]).tolist()]

        def probe(signed: Sequence[float]) -> Tensor:
            (h,) = signed
            return stepper.probe(times[0] + h, torch.add(y0, f0, alpha=h))

        scale = y0.abs().reshape(-1).mul_(rtol).add_(atol).view_as(y0)
        (h,) = first_steps(sizes, probe, times, y0, f0, scale, error_order, solver.max_step)
    return h


def first_steps(
    sizes: Callable[..., Iterable[Sequence[float]]],
    probe: Callable[[Sequence[float]], Tensor],
    times: Sequence[float],
    y0: Tensor,
    f0: Tensor,
    scale: Tensor,
    error_order: int,
    max_step: float,
) -> list[float]:
    """First steps by the rule of Hairer, Norsett & Wanner I, section II.4.

    It makes an explicit Euler step of about 1 % of the state's size and looks how much the
    derivative changed, for one more evaluation.

    Args:
        sizes: Norms of vectors like the state, a sequence over the samples for each vector.
        probe: The derivatives after Euler steps of these signed sizes.
        y0, f0: State and derivative at the start.
        scale: Tolerances of the components, of the shape of the state.
        error_order: Power of h in the local error estimate.
    """
    longest = min(abs(times[-1] - times[0]), max_step)
    d0, d1 = sizes(y0 / scale, f0 / scale)
    trials = list(map(trial_step, d0, d1, itertools.repeat(longest)))
    if not any(map(math.isfinite, trials)):
        return trials
    signed = [math.copysign(h, times[-1] - times[0]) for h in trials]
    (changes,) = sizes((probe(signed) - f0) / scale)
    every = zip(trials, d1, changes, strict=True)
    return [step_after_trial(h, d, c, error_order, longest) for h, d, c in every]


def trial_step(d0: float, d1: float, longest: float) -> float:
    """The size of the Euler step, from the norms of the state and of its derivative."""
    if not math.isfinite(d1):
        return math.nan
    return min(1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, longest)


def step_after_trial(h: float, d1: float, change: float, order: int, longest: float) -> float:
    """The first step, from the norm of the change of the derivative along the Euler step."""
    d2 = change / h
    if not math.isfinite(d2):
        return h
    steepest = max(d1, d2)
    other = (0.01 / steepest) ** (1 / order) if steepest > 1e-15 else max(1e-6, h * 1e-3)
    return min(100 * h, other, longest)
