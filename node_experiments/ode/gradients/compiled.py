"""The gradient of a solve whose steps are compiled: exact for the steps that were accepted.

The solve is one node of the graph. In the backward pass each step is one call of compiled code,
which makes the step again from its state and takes gradients back through it. Weights, arguments
and tensors that the vector field holds are inputs of that node, so that nothing has to
be looked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..compiled.fixed_steps import fixed_solve
from ..compiled.lowering import Compiled
from ..compiled.step_graphs import DerivativeGradient, Step, StepGradient
from ..compiled.stepper import CompiledSteps, compiled_function
from ..integrate import run
from ..methods.butcher_tableau import hermite_weights
from ..methods.interpolation import dense_weights
from ..problem import Problem
from ..solution import Trajectory
from .backprop import Backprop
from .base import Gradient, backward_pass
from .checkpoint import Checkpoint
from .checkpointed_steps import CheckpointedSteps, ThinnedRecord
from .discrete import Discrete
from .records import Record, Span, Start
from .reversible import Reversible

__all__ = ["CompiledGradient", "compiled_gradient"]


def compiled_gradient(
    problem: Problem, method: Gradient, parameters: Iterable[Tensor] | None
) -> CompiledGradient | None:
    """The compiled form of an exact gradient method, for a problem whose steps are compiled.

    Where times need gradients, or those of the interpolants are wanted, steps are not compiled;
    nor where they would have to be made again from more than their states.
    Others than exact methods have a form for their backward pass alone.

    Raises:
        ValueError: The method replaces the steps by others.
    """
    if isinstance(method, Reversible):
        raise ValueError(
            "solver.compile=True compiles no steps of gradient='reversible'; take "
            "gradient='checkpoint', or compile=False"
        )
    if not isinstance(method, Backprop | Discrete | Checkpoint):
        return None
    recorded = isinstance(method, Backprop) and problem.observe is not None
    predicted = isinstance(method, Checkpoint) and problem.tableau.predicts
    if problem.t.requires_grad or recorded or predicted:
        problem.compilation = None
        return None
    given = None if parameters is None or isinstance(method, Backprop) else tuple(parameters)
    places = method.checkpoints if isinstance(method, Checkpoint) else None
    return CompiledGradient(places, given)


@dataclass(frozen=True)
class CompiledGradient(Gradient):
    """Gradient of the discrete solve, exact to rounding, by compiled steps.

    Attributes:
        checkpoints: States that are kept at a time; all when None.
        parameters: Where given, other leaves that the vector field reads get no gradient.
    """

    checkpoints: int | None = None
    parameters: tuple[Tensor, ...] | None = None

    def tensors(self, problem: Problem) -> list[Tensor]:
        """Tensors that the vector field reads, detached where they are to get no gradient."""
        assert problem.compilation is not None
        tensors = list(problem.compilation.field.tensors)
        if self.parameters is None:
            return tensors
        wanted = {id(x) for x in (*self.parameters, *problem.args)}
        return [x if id(x) in wanted or not x.is_leaf else x.detach() for x in tensors]

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`."""
        record = Record() if self.checkpoints is None else ThinnedRecord(limit=self.checkpoints)
        ys = CompiledSolve.apply(problem, record, problem.y0, *self.tensors(problem))
        return ys, record.trajectory


class AcceptedStep(NamedTuple):
    """Data to repeat a step: its state, the derivative there if it was given, its times."""

    y: Tensor
    first: Tensor | None
    numbers: Tensor


class CompiledSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    def forward(
        ctx: Any, problem: Problem, record: Record, y0: Tensor, *tensors: Tensor
    ) -> Tensor:
        stepper = problem.stepper(problem.stats.forward)
        assert isinstance(stepper, CompiledSteps)
        firsts: list[Tensor] = []
        steps: list[tuple[int | None, Tensor]] = []

        def keep(t: float, h: float, y: Tensor) -> None:
            record(t, h, y)
            if stepper.first is not None:
                firsts.append(stepper.first)
            steps.append((None if stepper.first is None else len(firsts) - 1, stepper.numbers))

        def keep_some(t: float, h: float, y: Tensor) -> None:
            record(t, h, y)

        ctx.thinned = isinstance(record, ThinnedRecord)
        solved = None if ctx.thinned else fixed_solve(problem, stepper)
        if solved is None:
            on_accept = keep_some if ctx.thinned else keep
            record.trajectory = run(problem, stepper, y0.detach(), on_accept)
            ys = torch.stack(record.trajectory.outputs)
        else:
            ys, record.trajectory, grid, record.states, firsts = solved
            record.starts, record.sizes = grid.starts, grid.sizes
            places: Iterable[int | None] = range(len(firsts)) if firsts else repeat(None)
            steps = list(zip(places, grid.numbers, strict=False))
        ctx.problem, ctx.spans, ctx.steps = problem, record.spans, steps
        ctx.sizes = len(record.states), len(firsts)
        if isinstance(record, ThinnedRecord):
            ctx.stride, ctx.limit = record.stride, record.limit
        ctx.save_for_backward(*record.states, *firsts, *tensors)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, saved = ctx.problem, ctx.saved_tensors
        states, firsts = saved[: ctx.sizes[0]], saved[ctx.sizes[0] : sum(ctx.sizes)]
        tensors = saved[sum(ctx.sizes) :]
        needed = tuple(i for i in range(len(tensors)) if ctx.needs_input_grad[3 + i])
        backward = CompiledBackward(problem, grad_ys.contiguous(), tensors, needed)
        backward.take_back(
            made_again(problem, list(states), ctx.spans, ctx.stride, ctx.limit)
            if ctx.thinned
            else kept(states, firsts, ctx.spans, ctx.steps)
        )
        grads: list[Tensor | None] = [None] * len(tensors)
        for i, total in zip(needed, backward.sums, strict=True):
            grads[i] = total
        return None, None, backward.state, *grads


def kept(
    states: Sequence[Tensor],
    firsts: Sequence[Tensor],
    spans: Sequence[Span],
    steps: Sequence[tuple[int | None, Tensor]],
) -> Iterator[tuple[Span, AcceptedStep]]:
    """Accepted steps, last one first, from the state of each.

    Args:
        firsts: The derivatives that steps were given.
        steps: Of each step, which of these it was given, and its times.
    """
    for span, y, (place, numbers) in zip(
        reversed(spans), reversed(states), reversed(steps), strict=True
    ):
        yield span, AcceptedStep(y, None if place is None else firsts[place], numbers)


def made_again(
    problem: Problem, states: list[Tensor], spans: Sequence[Span], stride: int, limit: int
) -> Iterator[tuple[Span, AcceptedStep]]:
    """Accepted steps, last one first, from the states of some."""
    stepper = problem.stepper(problem.stats.backward)
    assert isinstance(stepper, CompiledSteps)

    def replay(t: float, t_end: float, start: Start) -> AcceptedStep:
        y = start[0]
        first = stepper.derivative(t, y) if stepper.needs_first else None
        return AcceptedStep(y, first, stepper.numbers_of(t, t_end - t))

    starts: list[Start] = [(y, None) for y in states]
    yield from CheckpointedSteps(spans, stepper, replay).last_to_first(starts, stride, limit)


class CompiledBackward:
    """Takes the gradient of the loss backwards over the accepted steps, last step first.

    Args:
        grad_ys: Gradients that arrive at the outputs, shape `(time, *state)`.
        tensors: What the vector field reads.
        needed: Which of them need a gradient.

    Attributes:
        state: Gradient of the state at the start of the steps taken back so far.
        sums: Gradients of the tensors that need one.
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
        self.sums = [torch.zeros_like(self._tensors[i]).contiguous() for i in needed]
        self._zero = torch.zeros_like(self._rows[0])
        self.state = self._zero
        # Gradient of the derivative where the last step taken back starts, if the step before
        # ended with it.
        self._slope = self._zero
        self._functions: dict[tuple[bool, bool], Compiled] = {}

    def take_back(self, steps: Iterable[tuple[Span, AcceptedStep]]) -> None:
        """All steps."""
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
        start, stages, given = None, None, step.first is not None
        arrived = [self.state]
        if self._carries:
            arrived.append(self._slope)
        if self._output > 0 and direction * (times[self._output] - t) > 0:
            start, arrived[0], stages = self._enter_outputs(t, t_end)
        if stages is not None:
            arrived.append(stages)
        inputs = [step.y, step.numbers, *arrived, *self._tensors, *self.sums]
        if step.first is not None:
            inputs.insert(1, step.first)
        function = self._functions.get((given, stages is not None))
        if function is None:
            function = self._function(given, stages is not None, inputs)
        if given:
            self.state, self._slope, *self.sums = function(inputs)
        else:
            self.state, *self.sums = function(inputs)
        if start is not None:
            self.state = self.state + start
        self._counts.evaluations += self._tableau.stages - given

    def _function(self, given: bool, with_stages: bool, inputs: list[Tensor]) -> Compiled:
        graph = self._compilation.field.graph
        step = Step(graph, self._tableau, "nothing", given, with_stages)
        function = compiled_function(self._compilation, StepGradient(step, self._needed), inputs)
        self._functions[given, with_stages] = function
        return function

    def _enter_outputs(self, t: float, t_end: float) -> tuple[Tensor, Tensor, Tensor | None]:
        """Take in the gradients of the outputs inside a step.

        Returns:
            What arrives at the start of the step without going through it, and at its end, of the
            shape of the state; and at its stages, shape `(stage, n)`, unless the outputs are on
            the line between its ends.
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
        """Take back the derivative at the start of a step, which no step before ended with."""
        inputs = [step.y, step.numbers, self._slope, self.state, *self._tensors, *self.sums]
        function = DerivativeGradient(self._compilation.field.graph, self._needed)
        pull = compiled_function(self._compilation, function, inputs)
        self.state, *self.sums = pull(inputs)
        self._slope = self._zero
        self._counts.evaluations += 1
