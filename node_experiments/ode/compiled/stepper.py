"""Steps that are one call of compiled code each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ..methods.base import Interpolant, Stepper
from ..methods.butcher_tableau import Tableau
from ..methods.interpolation import hermite_interpolation, runge_kutta_interpolation
from ..norms import ErrorRatio
from ..solution import StepCounts
from ..solver import Solver
from ..step_size_control import step_after_trial, trial_step
from .capture import CapturedField
from .lowering import Compiled, Lowering
from .step_graphs import Derivative, Start, Step, Trial, nodes_of
from .step_grid import StepGrid

__all__ = ["Compilation", "CompiledSteps", "compiled_function", "measured"]


class Compilation(NamedTuple):
    """A vector field that was captured, and how functions of it are compiled."""

    field: CapturedField
    lower: Lowering

    def stepper(
        self,
        tableau: Tableau,
        like: Tensor,
        counts: StepCounts,
        *,
        adaptive: bool,
        tolerances: tuple[float | Tensor, float | Tensor] | None,
        keeps_stages: bool,
    ) -> CompiledSteps:
        """Steps of a method; see `CompiledSteps`."""
        return CompiledSteps(
            self,
            tableau,
            like,
            counts,
            adaptive=adaptive,
            tolerances=tolerances,
            keeps_stages=keeps_stages,
        )


def compiled_function(
    compilation: Compilation, function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]
) -> Compiled:
    """A function of the captured vector field, compiled when it is first asked for.

    Args:
        function: A dataclass, equal to others that compute the same.
        inputs: Examples.
    """
    known = compilation.field.graph.known
    key = (function, tuple((x.shape, x.dtype) for x in inputs))
    if key not in known:
        known[key] = compilation.lower(function, inputs)
    return known[key]


class CompiledSteps(Stepper):
    """Explicit Runge-Kutta steps, each one call of compiled code, without a graph.

    Args:
        tableau: The method.
        like: A state; its shape, dtype and device are those of all states.
        counts: Where evaluations are counted.
        adaptive: Whether errors are estimated.
        tolerances: rtol and atol, if the steps measure their errors in them; shapes that broadcast
            to a state.
        keeps_stages: Whether outputs inside of most steps are expected.

    Attributes:
        measures: Whether the steps measure their errors, as `ratio`.
        needs_first: Whether steps are given the derivative at their start.
        nodes: Where in a step `numbers` has times.
        first: The derivative that the last step was given at its start, if any.
        numbers: Its size and the times of its stages.
    """

    def __init__(
        self,
        compilation: Compilation,
        tableau: Tableau,
        like: Tensor,
        counts: StepCounts,
        *,
        adaptive: bool,
        tolerances: tuple[float | Tensor, float | Tensor] | None,
        keeps_stages: bool,
    ):
        self.tableau, self.counts = tableau, counts
        self._compilation, self._adaptive = compilation, adaptive
        self._dtype, self._device = like.dtype, like.device
        self._tensors = [x.detach() for x in compilation.field.tensors]
        self.measures = adaptive and tolerances is not None
        self._tolerances: list[Tensor] = []
        if self.measures:
            assert tolerances is not None
            self._tolerances = [
                x.view_as(like) if isinstance(x, Tensor) else like.new_tensor(x)
                for x in tolerances
            ]
        self._tail = [*self._tolerances, *self._tensors]
        self._measure = "nothing" if not adaptive else "ratio" if self.measures else "error"
        self._keeps_stages = keeps_stages and tableau.dense is not None and not tableau.dense_a
        self._carries = tableau.first_same_as_last
        self.needs_first = adaptive or self._carries
        self.nodes = nodes_of(tableau)
        self._functions: dict[bool, Compiled] = {}
        self._stages: Tensor | None = None
        self.first: Tensor | None = None
        self.numbers = like.new_zeros(())
        self.ratio = like.new_zeros(())
        self.reset()

    def reset(self) -> None:
        # Where the last step started and ended, and the derivatives there.
        self._start: Tensor | None = None
        self._end: Tensor | None = None
        self._at_start: Tensor | None = None
        self._at_end: Tensor | None = None

    def accept(self, h: float) -> None:
        """There is nothing to remember."""
        return

    def numbers_of(self, t: float, h: float) -> Tensor:
        """The size of a step and the times of its stages, shape `(1 + stage,)`."""
        return self._on_device([h, *map(t.__add__, map(h.__mul__, self.nodes))])

    def _on_device(self, numbers: list[float]) -> Tensor:
        if self._device.type == "cpu":
            return torch.tensor(numbers, dtype=self._dtype, device="cpu")
        # From pinned memory a device takes them while the host continues.
        pinned = self._device.type == "cuda"
        host = torch.tensor(numbers, dtype=self._dtype, device="cpu", pin_memory=pinned)
        return host.to(self._device, non_blocking=True)

    def derivative(self, t: float, y: Tensor) -> Tensor:
        if y is self._end and self._at_end is not None:
            return self._at_end
        if y is not self._start or self._at_start is None:
            self._start, self._at_start = y, self.probe(t, y)
        return self._at_start

    def probe(self, t: float, y: Tensor) -> Tensor:
        self.counts.evaluations += 1
        function = Derivative(self._compilation.field.graph)
        inputs = [y, self._on_device([0.0, t]), *self._tensors]
        (derivative,) = compiled_function(self._compilation, function, inputs)(inputs)
        return derivative

    def step(self, t: float, h: float, y: Tensor) -> Tensor:
        first = self._at_end if y is self._end else self._at_start if y is self._start else None
        if first is None and self.needs_first:
            first = self.derivative(t, y)
        numbers = self.numbers_of(t, h)
        given = first is not None
        inputs = [y, numbers, *self._tail]
        if first is not None:
            inputs.insert(1, first)
        function = self._functions.get(given)
        if function is None:
            function = self._functions[given] = self._compiled(given, self._keeps_stages, inputs)
        end, *others = function(inputs)
        self.counts.evaluations += self.tableau.stages - given
        self._start, self._at_start, self._end = y, first, end
        self._at_end = others.pop(0) if self._carries else None
        if self.measures:
            self.ratio = others.pop(0)
        elif self._adaptive:
            self.error = others.pop(0)
        self._stages = others.pop() if self._keeps_stages else None
        self.first, self.numbers = first, numbers
        return end

    def steps(self, y: Tensor, grid: StepGrid) -> tuple[list[Tensor], list[Tensor]]:
        """All fixed steps from `y`.

        Returns:
            The states at the ends of all steps, the initial one first, and the derivatives that
            the steps were given, if they are.
        """
        states, firsts, tail = [y], [], self._tail
        if self.needs_first:
            first = self.derivative(grid.starts[0], y)
            function = self._stepping([y, first, grid.numbers[0], *tail])
            for numbers in grid.numbers:
                firsts.append(first)
                y, first = function([y, first, numbers, *tail])
                states.append(y)
        else:
            function = self._stepping([y, grid.numbers[0], *tail])
            for numbers in grid.numbers:
                (y,) = function([y, numbers, *tail])
                states.append(y)
        counts, steps = self.counts, len(grid.sizes)
        counts.evaluations += steps * (self.tableau.stages - self.needs_first)
        counts.accepted += steps
        counts.smallest_step = min(counts.smallest_step, grid.smallest)
        counts.largest_step = max(counts.largest_step, grid.largest)
        return states, firsts

    def _stepping(self, inputs: Sequence[Tensor]) -> Compiled:
        return self._compiled(self.needs_first, False, inputs)

    def _compiled(self, given: bool, with_stages: bool, inputs: Sequence[Tensor]) -> Compiled:
        graph = self._compilation.field.graph
        function = Step(graph, self.tableau, self._measure, given, with_stages)
        return compiled_function(self._compilation, function, inputs)

    def interpolant(self, t: float, h: float, y0: Tensor, y1: Tensor) -> Interpolant:
        tableau = self.tableau
        if tableau.dense is None:
            end = self._derivative_at_end(t, h, y1)
            first = self.first
            if first is None:
                first = self._stages_of(y0)[0].view_as(y0)
            return partial(hermite_interpolation, y0, first, y1, end, h)
        stages = self._stages
        if stages is None:
            stages = self._stages_of(y0)
            self.counts.evaluations += len(tableau.dense_a)
        return partial(runge_kutta_interpolation, tableau, y0, stages, h)

    def _stages_of(self, y0: Tensor) -> Tensor:
        """The stages of the last step and of its interpolant, shape `(stage, n)`, made again."""
        given = [] if self.first is None else [self.first]
        inputs = [y0, *given, self.numbers, *self._tail]
        return self._compiled(bool(given), True, inputs)(inputs)[-1]

    def _derivative_at_end(self, t: float, h: float, y1: Tensor) -> Tensor:
        """dy/dt at the end of the last step, kept for the next one."""
        if self._at_end is None or self._end is not y1:
            self._end, self._at_end = y1, self.probe(t + h, y1)
        return self._at_end

    def first_step(
        self, times: Sequence[float], y0: Tensor, error_order: int, max_step: float
    ) -> float:
        """The size of the first step; see `step_size_control.first_steps`."""
        graph, t0, span = self._compilation.field.graph, times[0], times[-1] - times[0]
        longest = min(abs(span), max_step)
        inputs = [y0, self._on_device([0.0, t0]), *self._tail]
        start = compiled_function(self._compilation, Start(graph), inputs)
        first, norms = start(inputs)
        self._start, self._at_start = y0, first
        self.counts.evaluations += 1
        d0, d1 = norms.tolist()
        h = trial_step(d0, d1, longest, times[0])
        if not math.isfinite(h):
            return h
        signed = math.copysign(h, span)
        inputs = [y0, first, self._on_device([signed, t0 + signed]), *self._tail]
        trial = compiled_function(self._compilation, Trial(graph), inputs)
        self.counts.evaluations += 1
        (change,) = trial(inputs)
        return step_after_trial(h, d1, float(change), error_order, longest)


class MeasuredRatio(ErrorRatio):
    """The error of a step that the step itself measured."""

    def __init__(self, stepper: CompiledSteps):
        self._stepper: CompiledSteps = stepper
        self.largest = 0.0

    def __call__(self, h: float, y0: Tensor, y1: Tensor) -> float:
        ratio = float(self._stepper.ratio)
        if ratio > self.largest:
            self.largest = ratio
        return ratio


def measured(
    stepper: Stepper, times: Sequence[float], y0: Tensor, error_order: int, solver: Solver
) -> tuple[float, MeasuredRatio]:
    """The size of the first step, and the errors of all, of steps that measure them."""
    assert isinstance(stepper, CompiledSteps)
    h = solver.first_step
    if h is None:
        h = stepper.first_step(times, y0, error_order, solver.max_step)
    return h, MeasuredRatio(stepper)
