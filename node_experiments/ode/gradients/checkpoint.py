"""The discrete adjoint with a bound on how many states are kept between forward and backward.

While the solve runs nobody knows how many steps it will take, so states are kept at an even
stride that doubles whenever their number reaches the bound. In the backward pass the places that
fall free hold states between them, by the binomial schedule that needs the fewest steps for a
given number of places (Griewank & Walther 2000, "revolve"). The gradient is that of `discrete`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from ..integrate import solve_forward
from ..methods.base import Stepper
from ..methods.explicit_runge_kutta import ExplicitRungeKutta
from ..problem import Problem
from ..solution import StepCounts, Trajectory
from .base import Evaluator, Gradient, backward_pass
from .discrete import gradients_of, solve_recorded
from .records import Record, Span, Start, starts_of
from .replay import GraphSteps, implicit_stepper, stage_graphs
from .runge_kutta_adjoint import StepGraph

__all__ = ["Checkpoint", "CheckpointedSteps", "ThinnedRecord", "binomial_split"]

Replayed = TypeVar("Replayed")


@dataclass(frozen=True)
class Checkpoint(Gradient):
    """Gradient of the discrete solve, exact to rounding, from a bounded number of states.

    Attributes:
        checkpoints: States that are kept at a time. With c of them, a solve of up to
            binomial(c + r, r) steps repeats each step at most r times: 16 suffice for 153 steps
            with r = 2 and for 969 with r = 3.

    Raises:
        ValueError: No checkpoints.
    """

    checkpoints: int = 16

    def __post_init__(self) -> None:
        if self.checkpoints < 1:
            raise ValueError(f"gradient.checkpoints={self.checkpoints!r} must be at least 1")

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: A method that is no Runge-Kutta method.
        """
        _ = problem.runge_kutta  # before the solve, for it raises for other methods
        record = ThinnedRecord(limit=self.checkpoints)
        ys = CheckpointedSolve.apply(problem, record, problem.y0, problem.t, *problem.inputs)
        return ys, record.trajectory


@dataclass
class ThinnedRecord(Record):
    """The accepted steps with the states of every `stride`-th one, at most `limit` of them."""

    limit: int = 1
    stride: int = 1

    def __call__(self, t: float, h: float, y: Tensor) -> None:
        number = len(self.starts)
        self.append(t, h)
        if number % self.stride == 0:
            if len(self.states) == self.limit:
                self.states, self.firsts = self.states[::2], self.firsts[::2]
                self.stride *= 2
                if number % self.stride != 0:
                    return
            self.keep(y)


class CheckpointedSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    def forward(
        ctx: Any, problem: Problem, record: ThinnedRecord, y0: Tensor, t: Tensor, *inputs: Tensor
    ) -> Tensor:
        if problem.runge_kutta.explicit:
            ys, record.trajectory = solve_recorded(problem, record)
        else:
            ys, record.trajectory = solve_forward(problem, record)
        ctx.problem, ctx.spans = problem, record.spans
        ctx.stride, ctx.limit = record.stride, record.limit
        ctx.kept = len(record.states), len(record.firsts)
        ctx.save_for_backward(*record.states, *record.firsts, *inputs)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, time_gradients = ctx.problem, ctx.needs_input_grad[3]
        saved, (count, firsts) = ctx.saved_tensors, ctx.kept
        starts = starts_of(ctx.spans, saved[:count], saved[count : count + firsts], ctx.stride)
        evaluator = Evaluator(problem, time_gradients)
        steps = graph_steps(problem, evaluator, ctx.spans)
        grads = gradients_of(
            problem,
            grad_ys,
            evaluator,
            steps.last_to_first(starts, ctx.stride, ctx.limit),
            time_gradients,
        )
        return None, None, *grads


def graph_steps(
    problem: Problem, evaluator: Evaluator, spans: Sequence[Span]
) -> CheckpointedSteps[StepGraph]:
    """Accepted steps with graphs of their stages."""
    tableau, counts = problem.runge_kutta, problem.stats.backward
    if tableau.explicit:
        replay = GraphSteps(problem, evaluator, StepCounts()).replay
        return CheckpointedSteps(spans, problem.stepper(counts), replay, tableau.predicts)
    stepper = implicit_stepper(problem, counts)

    def implicit_replay(t: float, t_end: float, start: Start) -> StepGraph:
        stepper.reset()
        stepper.step(t, t_end - t, start[0])
        return stage_graphs(tableau, evaluator, (t, t_end), stepper.points)

    return CheckpointedSteps(spans, stepper, implicit_replay)


class CheckpointedSteps(Generic[Replayed]):
    """Makes the accepted steps again, last one first, from some of their states.

    Args:
        spans: Start and end of the steps.
        stepper: Makes steps without a graph.
        replay: Makes one step from its times and where it starts.
        predicts: Whether a step predicts the first derivative of the next one.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        stepper: Stepper,
        replay: Callable[[float, float, Start], Replayed],
        predicts: bool = False,
    ):
        self._spans, self._stepper, self._replay = spans, stepper, replay
        self._predictor: ExplicitRungeKutta | None = None
        if predicts:
            assert isinstance(stepper, ExplicitRungeKutta)
            self._predictor = stepper

    def last_to_first(
        self, starts: list[Start], stride: int, limit: int
    ) -> Iterator[tuple[Span, Replayed]]:
        """All steps.

        Args:
            starts: Where every `stride`-th step starts; emptied on the way.
            limit: How many states may be held at a time.
        """
        end = len(self._spans)
        while starts:
            free = limit - len(starts)
            at_start = starts.pop()
            start = len(starts) * stride
            yield from self._segment(start, end, at_start, free)
            end = start

    def _segment(
        self, start: int, end: int, at_start: Start, free: int
    ) -> Iterator[tuple[Span, Replayed]]:
        """Steps `start` to `end`, last one first, from where the first one starts."""
        while free > 0 and end - start > 1:
            middle = start + binomial_split(end - start, free + 1)
            at_middle = self._advance(at_start, start, middle)
            yield from self._segment(middle, end, at_middle, free - 1)
            end = middle
        for n in range(end - 1, start - 1, -1):
            t, t_end = self._spans[n]
            yield (t, t_end), self._replay(t, t_end, self._advance(at_start, start, n))

    def _advance(self, at_start: Start, start: int, end: int) -> Start:
        """Where step `end` starts, from where step `start` does."""
        if start == end:
            return at_start
        stepper, predictor, previous_end = self._stepper, self._predictor, math.nan
        y, first = at_start
        for t, t_end in self._spans[start:end]:
            if t != previous_end:
                stepper.reset()
            if predictor is not None and first is not None:
                predictor.starts_with(y, first)
            h, previous_end, first = t_end - t, t_end, None
            y = stepper.step(t, h, y)
            stepper.accept(h)
        if predictor is not None and self._spans[end][0] == previous_end:
            first = predictor.derivative_at_end(t, h, y)
        return y, first


def binomial_split(steps: int, places: int) -> int:
    """After how many of `steps` steps the next state is held, with the first one held already.

    Args:
        steps: More than 1.
        places: States that may be held, the first one included; more than 1.
    """
    repeats = 0
    while math.comb(places + repeats, places) < steps:
        repeats += 1
    fewest = math.comb(places + repeats - 2, places) if repeats > 1 else 1
    return max(fewest, steps - math.comb(places - 1 + repeats, repeats))
