"""The loop over steps. It runs over steps, never over output times."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from .methods.registry import METHODS
from .solution import Status, StepCounts
from .solver import Solver
from .step_size_control import Controller

__all__ = ["Observe", "OnAccept", "Step", "StepFailed", "Trajectory", "Watch", "integrate"]

OnAccept = Callable[[float, float, Tensor], None]
Watch = Callable[[float, float, Tensor, bool], None]
Enter = Callable[[float, float], None]
Observe = Callable[["Step", float, float, Tensor, Tensor], bool]


class StepFailed(ArithmeticError):
    """A step whose equations were not solved; a smaller one may succeed."""


class Step(Protocol):
    """One step of a method; `ExplicitStep` is the in-place implementation."""

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor: ...
    def accept(self, h: float) -> None: ...
    def forget(self) -> None: ...
    def interpolate(
        self, t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
    ) -> Tensor: ...
    def interpolant(
        self, t: float, h: float, y0: Tensor, y1: Tensor
    ) -> Callable[[Sequence[float]], Tensor]: ...


@dataclass
class Trajectory:
    """States at the output times that were reached, and how the loop ended.

    Attributes:
        outputs: Pieces of shape `(times, n)`, in order.
        t, h: Where the loop ended, and the step it last tried.
        cause: What to do about a failure, where the status does not say it all.
        shows_no_error: Whether the estimated error of every adaptive step was zero but for
            rounding, so that nothing bounded the steps.
    """

    outputs: list[Tensor] = field(default_factory=list)
    status: Status = Status.REACHED
    t: float = math.nan
    h: float = math.nan
    cause: str = ""
    shows_no_error: bool = False

    @property
    def ys(self) -> Tensor:
        return torch.cat(self.outputs)


def integrate(
    step: Step,
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
        y0: State at `times[0]`, shape `(n,)`.
        times: Strictly monotonic output times, in units of t; the last may be infinite, when only
            `observe` can end the loop in success.
        solver: Its bounds on the size of steps, which hold for adaptive steps only, and on their
            number, which do not hold for those of a finite grid; and its interpolation.
        error_ratio: Error of a step (h, y0, y1) in multiples of the tolerance, or None for steps
            that are always accepted.
        on_accept: Told of every accepted step (t, h, y) with its state y at t, shape `(n,)`.
        observe: Told of every accepted step (step, t, h, y, y_next) before it is committed; the
            loop ends before this step when it answers True, with status `EVENT`.
        watch: Told of every step (t, h, y, accepted).
        enter: Called with both ends of a step before it is made.
    """
    adaptive = error_ratio is not None
    min_step = solver.min_step if adaptive and not solver.accept_min_step else 0.0
    interpolate = linear_interpolation if solver.interpolation == "linear" else step.interpolate
    # What the last stage saw just before a grid point, the next step sees just after it.
    perturbed = solver.perturb and METHODS[solver.method].family in ("explicit", "implicit")
    y = y0
    end = times[-1]
    bounded = adaptive or math.isinf(end)
    max_steps = solver.max_steps if bounded else math.inf
    max_steps_between = solver.max_steps_between_outputs if bounded else None
    direction = math.copysign(1.0, end - times[0])
    t = controller.resume(times[0])
    if t != times[0]:
        step.forget()
    result = Trajectory(outputs=[y0.unsqueeze(0)], t=t)
    next_output = 1
    ratio = 0.0
    steps = steps_since_output = 0
    failed = False
    while t != end:
        t_next = controller.propose(t)
        h = result.h = t_next - t
        resolution = 4 * sys.float_info.epsilon * max(abs(t), abs(t_next))
        finite = math.isfinite(h) and math.isfinite(ratio)
        if not (abs(h) > max(resolution, min_step) or (finite and controller.at_stop)):
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
            ratio = 0.0 if error_ratio is None else error_ratio(h, y, y_next)
        except StepFailed:
            failed, ratio = True, math.inf
        if failed and error_ratio is None:
            result.status = Status.NOT_CONVERGED
            break
        accepted = controller.judge(h, ratio)
        if watch is not None:
            watch(t, h, y, accepted)
        if not accepted:
            counts.rejected += 1
            continue
        if observe is not None and observe(step, t, h, y, y_next):
            result.status = Status.EVENT
            break
        thetas = []
        while next_output < len(times) and direction * (times[next_output] - t_next) < 0:
            thetas.append((times[next_output] - t) / h)
            next_output += 1
        if thetas:
            result.outputs.append(interpolate(t, h, y, y_next, thetas))
            steps_since_output = 0
        if on_accept is not None:
            on_accept(t, h, y)
        step.accept(h)
        counts.accept(h)
        t, y = controller.resume(t_next), y_next
        if t != t_next or perturbed:
            step.forget()
        result.t = t
        while next_output < len(times) and direction * (times[next_output] - t) <= 0:
            result.outputs.append(y.unsqueeze(0))
            next_output += 1
            steps_since_output = 0
    return result


def linear_interpolation(
    t: float, h: float, y0: Tensor, y1: Tensor, thetas: Sequence[float]
) -> Tensor:
    """States on the line between the ends of a step, shape `(len(thetas), n)`."""
    return torch.lerp(y0, y1, y0.new_tensor(thetas).unsqueeze(1))
