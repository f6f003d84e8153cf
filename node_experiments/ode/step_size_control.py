"""Step size control: the next step from the local errors of the last ones.

All quantities of a step are numbers on the host: time stays in double precision on every device,
and a decision costs no device operation.
"""

from __future__ import annotations

import itertools
import math
import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol

import torch
from torch import Tensor

from .methods.base import Number, Stepper
from .norms import Norm, read
from .solver import Solver

__all__ = [
    "AdaptiveControl",
    "Answer",
    "Arithmetic",
    "Controller",
    "ErrorControl",
    "first_step",
    "first_steps",
]

# Gains on the last three error ratios: Gustafsson 1991 (PI), Soderlind 2003 (PID).
GAINS = {"i": (1.0, 0.0, 0.0), "pi": (0.7, -0.4, 0.0), "pid": (0.49, -0.34, 0.10)}
SMALLEST_RATIO = 1e-10


class Controller(Protocol):
    """Proposes steps one after the other, and judges their errors.

    Attributes:
        t, t_next: Start and end of the proposed step.
        at_stop: Whether it ends at a time where a step has to end, however short it is.
    """

    t: float
    t_next: float
    at_stop: bool

    def judge(self, h: float, ratio: float) -> bool:
        """Whether a step of size `h` whose error is `ratio` times the tolerance is accepted.

        Also proposes the next step, from the end of an accepted step or the start of a rejected
        one.
        """
        ...


Answer = Any
"""A truth value: a bool, or a bool tensor with one entry per sample."""


@dataclass(frozen=True)
class Arithmetic(Generic[Number]):
    """The arithmetic of the controller, on floats or on vectors of them.

    Attributes:
        number: Converts a float to a constant.
        choose: Maps ((value if False, value if True), condition) to a value.
    """

    number: Callable[[float], Number]
    choose: Callable[[tuple[Number, Number], Answer], Number]
    smaller: Callable[[Number, Number], Number]
    larger: Callable[[Number, Number], Number]
    copysign: Callable[[Number, Number], Number]


NUMBERS = Arithmetic[float](float, operator.getitem, min, max, math.copysign)


class ErrorControl(Generic[Number]):
    """I, PI or PID control of the local error (Hairer & Wanner II, section IV.2).

    The next step is h * safety * r_n^-g1 * r_{n-1}^-g2 * r_{n-2}^-g3, with the error ratios r of
    the last steps and gains g divided by `error_order`, the power of h in the error estimate.

    The same code controls a whole state (floats) and the samples of a batch (vectors). Branches
    are selections by functions; for floats these are built-ins, so that a plain step calls no
    Python function except `judge`.

    Args:
        t0, t1: Ends of the interval.
        first_step: Size of the first step.

    Attributes:
        t, t_next: Start and end of the proposed steps.
        at_stop: Whether they end at a time where a step has to end, however short they are.
        h: Their sizes, unless a stop cuts them short.
    """

    at_stop: Answer
    _is_cut_short: Answer
    _was_accepted: Answer = True

    def __init__(
        self,
        t0: Number,
        t1: Number,
        first_step: Number,
        error_order: int,
        solver: Solver,
        arithmetic: Arithmetic[Number],
    ):
        number, smaller, larger = arithmetic.number, arithmetic.smaller, arithmetic.larger
        self._choose: Callable[[tuple[Number, Number], Answer], Number] = arithmetic.choose
        self._smaller: Callable[[Number, Number], Number] = smaller
        self._larger: Callable[[Number, Number], Number] = larger
        self._copysign: Callable[[Number, Number], Number] = arithmetic.copysign
        self._exponents = tuple(-gain / error_order for gain in GAINS[solver.controller])
        self._accepts_least = solver.accept_min_step
        self._longest: Number = number(solver.max_step)
        self._least: Number = number(solver.min_step if solver.accept_min_step else 0.0)
        self._safety: Number = number(solver.safety)
        self._factors: tuple[Number, ...] = (
            number(1.0), number(solver.min_factor), number(solver.max_factor),
        )  # fmt: skip
        self._ratios: tuple[Number, Number] = number(SMALLEST_RATIO), number(math.inf)
        self._past: tuple[Number, Number] = number(1.0), number(1.0)
        # An estimated first step may be below the minimum, though a longer one is accurate enough.
        least = 0.0 if solver.first_step is not None else solver.min_step * (1 + 1e-9)
        self.h: Number = larger(smaller(first_step, self._longest), number(least))
        self.h = larger(self.h, self._least)
        self.t: Number = t0
        self.t_next: Number = t0
        self._t1: Number = t1
        self._aims_always = True
        self._aim()

    def judge(self, h: Number, ratio: Number) -> Answer:
        """Whether steps of sizes `h` whose errors are `ratio` times the tolerance are accepted.

        Also proposes the next steps.
        """
        choose, smaller, larger = self._choose, self._smaller, self._larger
        one, min_factor, max_factor = self._factors
        smallest, infinite = self._ratios
        size, (past, before), (a, b, c) = abs(h), self._past, self._exponents
        if self._accepts_least:
            is_least = (size <= self._least * (1 + 1e-9)) & (ratio < math.inf)
            ratio = choose((ratio, smaller(ratio, one)), is_least)
        accepted = ratio <= 1  # False for NaN
        bounded = choose((infinite, larger(ratio, smallest)), ratio < math.inf)
        factor = larger(bounded**a * past**b * before**c * self._safety, min_factor)
        # Right after a rejection the step must not grow (Hairer I, section II.4).
        limit = choose((one, max_factor), self._was_accepted)
        factor = smaller(factor, choose((self._safety, limit), accepted))
        # A step that was cut short by the end of the interval is no evidence against a longer one.
        least = choose((self._least, self.h), accepted & self._is_cut_short)
        self.h = smaller(larger(size * factor, least), self._longest)
        self._past = choose((past, bounded), accepted), choose((before, past), accepted)
        self._was_accepted = accepted
        self.t = choose((self.t, self.t_next), accepted)
        remaining = self._t1 - self.t
        if self._aims_always or abs(remaining) <= self.h * (1 + 1e-9):
            self._aim()
        else:
            self._is_cut_short = self.at_stop = False
            self.t_next = self.t + self._copysign(self.h, remaining)
        return accepted

    def _aim(self) -> None:
        """Propose the step from `t`."""
        stop = self._next_stop()
        remaining = stop - self.t
        self._is_cut_short = abs(remaining) < self.h
        # A step that ends within rounding of a stop would leave a step of a few ulps.
        self.at_stop = abs(remaining) <= self.h * (1 + 1e-9)
        further = self.t + self._copysign(self.h, remaining)
        self.t_next = self._choose((further, stop), self.at_stop)

    def _next_stop(self) -> Number:
        """Time that the next step must not pass."""
        return self._t1


class AdaptiveControl(ErrorControl[float]):
    """Step size controller for a state as a whole.

    Steps end at the times `solver.step_t`. At a time of `solver.jump_t` the vector field jumps:
    a step ends just before it and the next one starts just after it, so that no step sees both
    sides.

    Args:
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
        super().__init__(t0, t1, first_step, error_order, solver, NUMBERS)
        self._aims_always = bool(solver.step_t or solver.jump_t)

    def retarget(self, t0: float, t1: float) -> None:
        """Continue over another interval, keeping the step size and the memory of past errors."""
        self.t, self._t1 = t0, t1
        self._aim()

    def _restart(self, t: float) -> float:
        """Start of the next step after one that ended at `t`: beyond the jump, if one is there."""
        for jump in self._solver.jump_t:
            gap = self._gap(jump)
            if abs(t - jump) <= gap * 1.5:
                return self._t1 if abs(self._t1 - jump) <= gap else jump + self._signed(t, gap)
        return t

    def _next_stop(self) -> float:
        t = self.t = self._restart(self.t)
        stops = list(self._solver.step_t)
        stops += [jump - self._signed(t, self._gap(jump)) for jump in self._solver.jump_t]
        ahead = [stop for stop in stops if min(t, self._t1) < stop < max(t, self._t1)]
        return min([*ahead, self._t1], key=lambda stop: abs(stop - t))

    def _gap(self, jump: float) -> float:
        return self._resolution * max(abs(jump), 1e-3)

    def _signed(self, t: float, size: float) -> float:
        return math.copysign(size, self._t1 - t)


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
    """Size of the first step, as given in the solver or by Hairer's rule, in units of t.

    Args:
        rtol, atol: Numbers, or one per component.

    Returns:
        The size |h|; NaN if the derivative at the start is not finite.
    """
    if solver.first_step is not None:
        return solver.first_step
    f0 = stepper.derivative(times[0], y0)
    with torch.no_grad():

        def sizes(*vectors: Tensor) -> Iterable[Sequence[float]]:
            return [[x] for x in read([norm(vector) for vector in vectors])]

        def derivative_after(signed: Sequence[float]) -> Tensor:
            (h,) = signed
            return stepper.evaluate(times[0] + h, torch.add(y0, f0, alpha=h))

        scale = y0.abs().reshape(-1).mul_(rtol).add_(atol).view_as(y0)
        (h,) = first_steps(
            sizes, derivative_after, times, y0, f0, scale, error_order, solver.max_step
        )
    return h


def first_steps(
    sizes: Callable[..., Iterable[Sequence[float]]],
    derivative_after: Callable[[Sequence[float]], Tensor],
    times: Sequence[float],
    y0: Tensor,
    f0: Tensor,
    scale: Tensor,
    error_order: int,
    max_step: float,
) -> list[float]:
    """First steps by the rule of Hairer, Norsett & Wanner I, section II.4.

    It takes an explicit Euler step of about 1 % of the state's size and measures the change of
    the derivative, which costs one evaluation.

    Args:
        sizes: Computes norms of vectors like the state: for each, a sequence over the samples.
        derivative_after: Computes the derivatives after Euler steps of given signed sizes.
        y0, f0: State and derivative at the start.
        scale: Tolerances of the components, of the shape of the state.
        error_order: Power of h in the local error estimate.
    """
    longest = min(abs(times[-1] - times[0]), max_step)
    d0, d1 = sizes(y0 / scale, f0 / scale)
    trials = list(map(trial_step, d0, d1, itertools.repeat(longest), itertools.repeat(times[0])))
    if not any(map(math.isfinite, trials)):
        return trials
    signed = [math.copysign(h, times[-1] - times[0]) for h in trials]
    (changes,) = sizes((derivative_after(signed) - f0) / scale)
    every = zip(trials, d1, changes, strict=True)
    return [step_after_trial(h, d, c, error_order, longest) for h, d, c in every]


def trial_step(d0: float, d1: float, longest: float, start: float) -> float:
    """Size of the Euler step, from the norms of the state and of its derivative.

    If these are nearly zero, it is a small step that the precision of time at `start` resolves.
    """
    if not math.isfinite(d1):
        return math.nan
    smallest = max(1e-6, 1e4 * sys.float_info.epsilon * abs(start))
    return min(smallest if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, longest)


def step_after_trial(h: float, d1: float, change: float, order: int, longest: float) -> float:
    """Size of the first step, from the norm of the change of the derivative in the Euler step."""
    d2 = change / h
    if not math.isfinite(d2):
        return h
    steepest = max(d1, d2)
    other = (0.01 / steepest) ** (1 / order) if steepest > 1e-15 else max(1e-6, h * 1e-3)
    return min(100 * h, other, longest)
