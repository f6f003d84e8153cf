"""Replay of accepted steps, last step first, from a bounded number of their states.

The number of steps is unknown while the solve runs, so states are kept at a constant stride that
doubles whenever their number reaches the bound. In the backward pass, slots that become free hold
states in between, by the binomial schedule that needs the fewest steps for a given number of slots
(Griewank & Walther 2000, "revolve").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from ..methods.explicit_runge_kutta import ExplicitRungeKutta
from .records import Record, Span, Start

__all__ = ["CheckpointedSteps", "ThinnedRecord", "binomial_split"]

Replayed = TypeVar("Replayed")


@dataclass
class ThinnedRecord(Record):
    """The accepted steps with the state of every `stride`-th step, at most `limit` states."""

    limit: int = 1
    stride: int = 1

    def __call__(self, t: float, t_end: float, y: Tensor) -> None:
        number = len(self.spans)
        self.spans.append((t, t_end))
        if number % self.stride == 0:
            if len(self.states) == self.limit:
                self.states, self.initial_derivatives = (
                    self.states[::2],
                    self.initial_derivatives[::2],
                )
                self.stride *= 2
                if number % self.stride != 0:
                    return
            self.keep(y)


class StepRepeater(Protocol):
    """Repeats accepted steps, without estimating their errors; see `Stepper`."""

    def reset(self) -> None: ...

    def step(self, t: float, h: float, y: Tensor) -> Tensor: ...

    def accept(self, h: float) -> None: ...


class CheckpointedSteps(Generic[Replayed]):
    """Replays the accepted steps, last step first, from some of their states.

    Args:
        spans: Start and end of the steps.
        stepper: Makes steps without a graph, to reach states that were not kept.
        replay: Replays one step, given its start and end time and its `Start`.
        predicts: Whether a step predicts the first derivative of the next one.
        enter: Called with the start and end time of a step before it is made, if the vector field
            is evaluated inside of each step and steps share no derivative; see `Solver.perturb`.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        stepper: StepRepeater,
        replay: Callable[[float, float, Start], Replayed],
        predicts: bool = False,
        enter: Callable[[float, float], None] | None = None,
    ):
        self._enter = enter
        self._spans, self._stepper, self._replay = spans, stepper, replay
        self._predictor: ExplicitRungeKutta | None = None
        if predicts:
            assert isinstance(stepper, ExplicitRungeKutta)
            self._predictor = stepper

    def last_to_first(
        self, starts: list[Start], stride: int, limit: int
    ) -> Iterator[tuple[Span, Replayed]]:
        """Iterate over all steps, last step first.

        Args:
            starts: Starts of every `stride`-th step; emptied on the way.
            limit: Number of states that may be held at a time.
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
        """Iterate over steps `start` to `end`, last step first, from the start of the first."""
        while free > 0 and end - start > 1:
            middle = start + binomial_split(end - start, free + 1)
            at_middle = self._advance(at_start, start, middle)
            yield from self._segment(middle, end, at_middle, free - 1)
            end = middle
        for n in range(end - 1, start - 1, -1):
            t, t_end = self._spans[n]
            yield (t, t_end), self._replay(t, t_end, self._advance(at_start, start, n))

    def _advance(self, at_start: Start, start: int, end: int) -> Start:
        """The start of step `end`, given that of step `start`."""
        if start == end:
            return at_start
        stepper, predictor, previous_end = self._stepper, self._predictor, math.nan
        y, first = at_start
        for t, t_end in self._spans[start:end]:
            if t != previous_end or self._enter is not None:
                stepper.reset()
            if self._enter is not None:
                self._enter(t, t_end)
            if predictor is not None and first is not None:
                predictor.starts_with(y, first)
            h, previous_end, first = t_end - t, t_end, None
            y = stepper.step(t, h, y)
            stepper.accept(h)
        if self._spans[end][0] != previous_end:
            stepper.reset()  # the vector field jumps between the two steps
        elif predictor is not None:
            first = predictor.derivative_at_end(t, h, y)
        return y, first


def binomial_split(steps: int, slots: int) -> int:
    """Number of steps after which to hold the next state, if the first state is held already.

    Args:
        steps: Number of steps to replay; more than 1.
        slots: Number of states that may be held, including the first; more than 1.
    """
    repeats = 0
    while math.comb(slots + repeats, slots) < steps:
        repeats += 1
    fewest = math.comb(slots + repeats - 2, slots) if repeats > 1 else 1
    return max(fewest, steps - math.comb(slots - 1 + repeats, repeats))
