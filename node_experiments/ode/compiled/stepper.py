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
from ..methods.explicit_runge_kutta import EndDerivatives
from ..methods.interpolation import hermite_interpolation, runge_kutta_interpolation
from ..norms import ErrorRatio
from ..solution import StepCounts
from ..solver import Solver
from ..step_size_control import step_after_trial, trial_step
from .capture import CapturedField
from .lowering import Compiled, Lowering
from .step_graphs import Derivative, EulerTrial, Start, Step, nodes_of
from .step_grid import StepGrid

__all__ = ["Compilation", "CompiledSteps", "compiled_function", "measured"]


class Compilation(NamedTuple):
    """A captured vector field, and the compiler of functions of it."""

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
        """Create a stepper of a method; see `CompiledSteps`."""
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
    """Return a function of the captured vector field, compiled when it is first requested.

    Args:
        function: A dataclass, equal to others that compute the same.
        inputs: Example inputs.
    """
    compiled = compilation.field.graph.compiled
    key = (function, tuple((x.shape, x.dtype) for x in inputs))
    if key not in compiled:
        compiled[key] = compilation.lower(function, inputs)
    return compiled[key]


class CompiledSteps(EndDerivatives[float], Stepper):
    """Explicit Runge-Kutta steps, each one call of compiled code, without a graph.

    Args:
        tableau: The method.
        like: An example state, with the shape, dtype and device of all states.
        counts: Where evaluations are counted.
        adaptive: Whether errors are estimated.
        tolerances: rtol and atol, if the steps measure their errors in them; their shapes
            broadcast to a state.
        keeps_stages: Whether outputs inside most steps are expected.

    Attributes:
        measures_error: Whether the steps measure their errors, as `ratio`.
        needs_first: Whether steps take the derivative at their start as an input.
        nodes: Nodes of the times in `size_and_times`.
        first: The derivative that the last step took as an input, if any.
        size_and_times: Size of the last step and the times of its stages.
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
        self.measures_error = adaptive and tolerances is not None
        self._tolerances: list[Tensor] = []
        if self.measures_error:
            assert tolerances is not None
            self._tolerances = [
                x.view_as(like) if isinstance(x, Tensor) else like.new_tensor(x)
                for x in tolerances
            ]
        self._tail = [*self._tolerances, *self._tensors]
        self._measure = "nothing" if not adaptive else "ratio" if self.measures_error else "error"
        self._keeps_stages = keeps_stages and tableau.dense is not None and not tableau.dense_a
        self._carries = tableau.first_same_as_last
        self.needs_first = adaptive or self._carries
        self.nodes = nodes_of(tableau)
        self._functions: dict[bool, Compiled] = {}
        self._stages: Tensor | None = None
        self.first: Tensor | None = None
        self.size_and_times = like.new_zeros(())
        self.ratio = like.new_zeros(())
        self.reset()

    def accept(self, h: float) -> None:
        """Do nothing: these steps keep no history."""
        return

    def pack_size_and_times(self, t: float, h: float) -> Tensor:
        """The size of a step and the times of its stages, shape `(1 + stage,)`."""
        return self._on_device([h, *map(t.__add__, map(h.__mul__, self.nodes))])

    def _on_device(self, numbers: list[float]) -> Tensor:
        if self._device.type == "cpu":
            return torch.tensor(numbers, dtype=self._dtype, device="cpu")
        # The copy from pinned memory runs while the host continues.
        pinned = self._device.type == "cuda"
        host = torch.tensor(numbers, dtype=self._dtype, device="cpu", pin_memory=pinned)
        return host.to(self._device, non_blocking=True)

    def evaluate(self, t: float, y: Tensor) -> Tensor:
        self.counts.evaluations += 1
        function = Derivative(self._compilation.field.graph)
        inputs = [y, self._on_device([0.0, t]), *self._tensors]
        (derivative,) = compiled_function(self._compilation, function, inputs)(inputs)
        return derivative

    def step(self, t: float, h: float, y: Tensor) -> Tensor:
        first = self._at_end if y is self._end else self._at_start if y is self._start else None
        if first is None and self.needs_first:
            first = self.derivative(t, y)
        size_and_times = self.pack_size_and_times(t, h)
        has_first = first is not None
        inputs = [y, size_and_times, *self._tail]
        if first is not None:
            inputs.insert(1, first)
        function = self._functions.get(has_first)
        if function is None:
            function = self._compiled(has_first, self._keeps_stages, inputs)
            self._functions[has_first] = function
        end, *others = function(inputs)
        self.counts.evaluations += self.tableau.stages - has_first
        self._start, self._at_start, self._end = y, first, end
        self._at_end = others.pop(0) if self._carries else None
        if self.measures_error:
            self.ratio = others.pop(0)
        elif self._adaptive:
            self.error = others.pop(0)
        self._stages = others.pop() if self._keeps_stages else None
        self.first, self.size_and_times = first, size_and_times
        return end

    def steps(self, y: Tensor, grid: StepGrid) -> tuple[list[Tensor], list[Tensor]]:
        """Take all steps of a fixed grid from `y`.

        Returns:
            The states at the ends of all steps, after the initial one, and the derivatives at the
            starts of all steps, if the steps take them as inputs.
        """
        states, firsts, tail = [y], [], self._tail
        if self.needs_first:
            first = self.derivative(grid.starts[0], y)
            function = self._stepping([y, first, grid.sizes_and_times[0], *tail])
            for size_and_times in grid.sizes_and_times:
                firsts.append(first)
                y, first = function([y, first, size_and_times, *tail])
                states.append(y)
        else:
            function = self._stepping([y, grid.sizes_and_times[0], *tail])
            for size_and_times in grid.sizes_and_times:
                (y,) = function([y, size_and_times, *tail])
                states.append(y)
        steps = len(grid.sizes)
        self.counts.evaluations += steps * (self.tableau.stages - self.needs_first)
        self.counts.accept_steps(steps, grid.smallest, grid.largest)
        return states, firsts

    def _stepping(self, inputs: Sequence[Tensor]) -> Compiled:
        return self._compiled(self.needs_first, False, inputs)

    def _compiled(self, has_first: bool, with_stages: bool, inputs: Sequence[Tensor]) -> Compiled:
        graph = self._compilation.field.graph
        function = Step(graph, self.tableau, self._measure, has_first, with_stages)
        return compiled_function(self._compilation, function, inputs)

    def interpolant(self, t: float, h: float, y0: Tensor, y1: Tensor) -> Interpolant:
        tableau = self.tableau
        if tableau.dense is None:
            end = self.derivative_at_end(t, h, y1)
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
        """Recompute the stages of the last step and of its interpolant, shape `(stage, n)`."""
        first = [] if self.first is None else [self.first]
        inputs = [y0, *first, self.size_and_times, *self._tail]
        return self._compiled(bool(first), True, inputs)(inputs)[-1]

    def first_step(
        self, times: Sequence[float], y0: Tensor, error_order: int, max_step: float
    ) -> float:
        """Size of the first step; see `step_size_control.first_steps`."""
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
        trial = compiled_function(self._compilation, EulerTrial(graph), inputs)
        self.counts.evaluations += 1
        (change,) = trial(inputs)
        return step_after_trial(h, d1, float(change), error_order, longest)


class MeasuredRatio(ErrorRatio):
    """The error ratio of a step that the step itself measured."""

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
    """Size of the first step, and error ratios, for steps that measure their errors."""
    assert isinstance(stepper, CompiledSteps)
    h = solver.first_step
    if h is None:
        h = stepper.first_step(times, y0, error_order, solver.max_step)
    return h, MeasuredRatio(stepper)
