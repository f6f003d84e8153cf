"""The backward pass over compiled steps, by one call of compiled code for each step.

The call repeats the step from its state and backpropagates through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..compiled.lowering import Compiled
from ..compiled.step_graphs import DerivativeGradient, Step, StepGradient
from ..compiled.stepper import compiled_function
from ..methods.butcher_tableau import hermite_weights
from ..methods.interpolation import dense_weights
from ..problem import Problem
from .records import Span

__all__ = ["AcceptedStep", "CompiledBackward"]


class AcceptedStep(NamedTuple):
    """Data to repeat a step: state, derivative there if it is an input, size and times."""

    y: Tensor
    first: Tensor | None
    size_and_times: Tensor


class CompiledBackward:
    """Propagates the gradient of the loss backwards over the accepted steps, last step first.

    Args:
        grad_ys: Gradients that arrive at the outputs, shape `(time, *state)`.
        tensors: Tensors that the vector field reads.
        needed: Indices of those that need a gradient.

    Attributes:
        state: Gradient of the state at the start of the earliest step processed so far.
        gradients: Gradients of the tensors that need one.
    """

    def __init__(
        self,
        problem: Problem,
        grad_ys: Tensor,
        tensors: Sequence[Tensor],
        needed: tuple[int, ...],
    ):
        assert problem.compilation is not None
        self._counts, self._tableau = problem.stats.backward, problem.tableau
        self._carries = self._tableau.first_same_as_last
        self._is_linear = problem.solver.interpolation == "linear"
        self._compilation, self._needed = problem.compilation, needed
        self._times = problem.times[: len(grad_ys)]
        self._direction = 1.0 if problem.times[-1] > problem.times[0] else -1.0
        self._grad_ys, self._rows = grad_ys, list(grad_ys.unbind())
        self._output = len(self._rows) - 1
        self._tensors = [x.detach() for x in tensors]
        self.gradients = [torch.zeros_like(self._tensors[i]).contiguous() for i in needed]
        self._zero = torch.zeros_like(self._rows[0])
        self.state = self._zero
        # Gradient of the derivative at the start of the step processed last, if the step before
        # ended with that derivative.
        self._slope = self._zero
        self._functions: dict[tuple[bool, bool], Compiled] = {}

    def run(self, steps: Iterable[tuple[Span, AcceptedStep]]) -> None:
        """Process all steps, given last step first."""
        carried: tuple[float, AcceptedStep] | None = None
        for (t, t_end), step in steps:
            if carried is not None and not (self._carries and carried[0] == t_end):
                self._pull_slope(carried[1])
            self._step_back(t, t_end, step)
            carried = None if step.first is None else (t, step)
        if carried is not None:
            self._pull_slope(carried[1])
        self.state = self.state + self._rows[0]

    def _step_back(self, t: float, t_end: float, step: AcceptedStep) -> None:
        times, direction = self._times, self._direction
        while self._output > 0 and direction * (times[self._output] - t_end) >= 0:
            self.state = self.state + self._rows[self._output]
            self._output -= 1
        start, stages, has_first = None, None, step.first is not None
        arrived = [self.state]
        if self._carries:
            arrived.append(self._slope)
        if self._output > 0 and direction * (times[self._output] - t) > 0:
            start, arrived[0], stages = self._enter_outputs(t, t_end)
        if stages is not None:
            arrived.append(stages)
        inputs = [step.y, step.size_and_times, *arrived, *self._tensors, *self.gradients]
        if step.first is not None:
            inputs.insert(1, step.first)
        function = self._functions.get((has_first, stages is not None))
        if function is None:
            function = self._function(has_first, stages is not None, inputs)
        if has_first:
            self.state, self._slope, *self.gradients = function(inputs)
        else:
            self.state, *self.gradients = function(inputs)
        if start is not None:
            self.state = self.state + start
        self._counts.evaluations += self._tableau.stages - has_first

    def _function(self, has_first: bool, with_stages: bool, inputs: list[Tensor]) -> Compiled:
        graph = self._compilation.field.graph
        step = Step(graph, self._tableau, "nothing", has_first, with_stages)
        function = compiled_function(self._compilation, StepGradient(step, self._needed), inputs)
        self._functions[has_first, with_stages] = function
        return function

    def _enter_outputs(self, t: float, t_end: float) -> tuple[Tensor, Tensor, Tensor | None]:
        """Add the gradients of the outputs inside a step.

        Returns:
            Gradients at the start of the step that do not go through it, and at its end, both of
            the shape of the state; and gradients at its stages, shape `(stage, n)`, or None if
            the outputs are on the line between its ends.
        """
        last = first = self._output
        while first > 0 and self._direction * (self._times[first] - t) > 0:
            first -= 1
        self._output = first
        inside = slice(first + 1, last + 1)
        tableau, h, like = self._tableau, t_end - t, self._zero
        grads = self._grad_ys[inside].flatten(1)
        positions = [(time - t) / h for time in self._times[inside]]
        thetas = torch.tensor(positions, dtype=torch.float64, device="cpu")
        if self._is_linear:
            start, end = ((x.to(grads) @ grads).view_as(like) for x in (1 - thetas, thetas))
            return start, self.state + end, None
        if tableau.dense is not None:
            weights = (h * dense_weights(tableau, thetas)).to(grads)
            start = grads.sum(0).view_as(like)
            return start, self.state, (weights.t() @ grads).contiguous()
        start, slope, end, end_slope = (x.to(grads) @ grads for x in hermite_weights(thetas))
        stages = grads.new_zeros(tableau.stages + (not self._carries), len(slope))
        stages[0] += h * slope
        stages[-1] += h * end_slope
        return start.view_as(like), self.state + end.view_as(like), stages

    def _pull_slope(self, step: AcceptedStep) -> None:
        """Backpropagate through a derivative at the start of a step that no other step shares."""
        inputs = [
            step.y,
            step.size_and_times,
            self._slope,
            self.state,
            *self._tensors,
            *self.gradients,
        ]
        function = DerivativeGradient(self._compilation.field.graph, self._needed)
        pull = compiled_function(self._compilation, function, inputs)
        self.state, *self.gradients = pull(inputs)
        self._slope = self._zero
        self._counts.evaluations += 1
