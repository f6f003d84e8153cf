"""The discrete adjoint where each sample has its own steps.

Steps that were accepted together are repeated, last ones first, from the states that their samples
had, with one graph at a time; its transpose maps the gradients of their ends and of the outputs
inside them to those of their starts. Where a step predicts the first derivative of the next one,
this derivative is kept together with the state, and has a gradient like the state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..per_sample_steps import solve_samples
from ..problem import Problem
from ..sample_steps import AcceptedSteps, SampleSteps, per_sample
from ..solution import Status, StepCounts, Trajectory
from .backward_pass import (
    Evaluator,
    VJPAccumulator,
    backward_pass,
    check_field_unchanged,
    forward_pass,
)
from .checkpointed_steps import CheckpointedSteps, ThinnedRecord
from .records import Start, starts_of

__all__ = ["solve_recorded_samples"]


@dataclass
class SampleRecord:
    """The accepted steps of a batch, and the states of the active samples before some of them.

    Attributes:
        states: These states before every `states.stride`-th entry of `steps`; where derivatives
            are predicted, stacked with them, shape `(2, samples, ...)`.
        steps: Steps that were accepted together, in order.
        predicts: Whether a step predicts the first derivative of the next one.
        trajectory: Outputs and end of the solve.
    """

    states: ThinnedRecord
    predicts: bool
    steps: list[AcceptedSteps] = field(default_factory=list)
    trajectory: Trajectory = field(default_factory=Trajectory)

    def __call__(self, accepted: AcceptedSteps, y: Tensor, first: Tensor) -> None:
        """Record accepted steps; `y` holds all samples that were active before them."""
        state = torch.stack([y, first]) if self.predicts else y
        self.states(float(len(self.steps)), 1.0, state)
        self.steps.append(accepted)


def solve_recorded_samples(
    problem: Problem, checkpoints: int | None = None
) -> tuple[Tensor, Trajectory]:
    """Solve with individual step sizes so that the outputs can be differentiated.

    Args:
        checkpoints: Number of states that may be kept at a time; all of them when None.

    Raises:
        ValueError: The vector field draws random numbers.
    """
    kept = ThinnedRecord(limit=checkpoints or problem.solver.max_steps + 1)
    record = SampleRecord(kept, problem.tableau.is_pec)
    ys = SampleSolve.apply(problem, record, problem.y0, *problem.inputs)
    if problem.func.draws:
        raise ValueError(
            "with solver.batching='independent' the vector field draws other random numbers when "
            "a step is repeated, so that it cannot be differentiated; use gradient='backprop', "
            "or solver.batching='joint'"
        )
    return ys, record.trajectory


class SampleSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    @forward_pass
    def forward(
        ctx: Any, problem: Problem, record: SampleRecord, y0: Tensor, *inputs: Tensor
    ) -> Tensor:
        ys, record.trajectory = solve_samples(problem, record)
        if record.trajectory.status is not Status.REACHED:  # y0 is all that is returned
            record.steps, record.states = [], ThinnedRecord()
        kept = record.states
        ctx.problem, ctx.steps, ctx.count = problem, record.steps, len(kept.states)
        ctx.stride, ctx.limit = kept.stride, kept.limit
        ctx.save_for_backward(*kept.states, *problem.read_inputs)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, steps = ctx.problem, ctx.steps
        check_field_unchanged(problem)
        states = ctx.saved_tensors[: ctx.count]
        adjoint = SampleAdjoint(problem, grad_ys)
        spans = [(float(n), n + 1.0) for n in range(len(steps))]
        again = CheckpointedSteps(
            spans,
            SampleStepRepeater(problem, steps),
            lambda n, _, start: (steps[int(n)], start[0]),
        )
        starts: list[Start] = starts_of(spans, states, (), ctx.stride)
        for _, (accepted, y) in again.last_to_first(starts, ctx.stride, ctx.limit):
            adjoint.step_back(accepted, y)
        adjoint.finish()
        return None, None, adjoint.state, *adjoint.vjp.grads


class SampleStepRepeater:
    """Repeats the accepted steps without a graph, for all active samples.

    It is used like a `Stepper` whose time is the index of steps that were accepted together.
    """

    def __init__(self, problem: Problem, steps: list[AcceptedSteps]):
        counts = problem.stats.backward
        self._steps, self._made = SampleSteps(problem, counts, problem.args, False), steps

    def reset(self) -> None:
        """Nothing to reset: steps share nothing."""

    def step(self, t: float, h: float, y: Tensor) -> Tensor:
        """States of the samples that continue after the steps of index `t`."""
        made, steps = self._made[int(t)], self._steps
        rows = made.active_index.to(y.device)
        steps.reset()
        if steps.tableau.is_pec:
            (states, derivatives), (start, first) = y, y[:, rows]
            steps.starts_with(start, first)
            end = steps.step(made.t, made.h, start)
            following = derivatives.index_put(
                (rows,), steps.derivative_at_end(made.t, made.h, end)
            )
            after = torch.stack([states.index_put((rows,), end), following])
        else:
            after = y.index_put((rows,), steps.step(made.t, made.h, y[rows]))
        if made.keep is None:
            return after
        return after.index_select(int(steps.tableau.is_pec), made.keep.to(y.device))

    def accept(self, h: float) -> None:
        """Nothing is kept of a step."""


class SampleAdjoint:
    """Propagates the gradient of the loss backwards over accepted steps, last ones first.

    Args:
        grad_ys: Gradients that arrive at the outputs, shape `(time, *state)`.

    Attributes:
        state: Gradient of each sample's state at the start of its steps transposed so far.
        vjp: Accumulates the gradients of parameters and arguments.
    """

    def __init__(self, problem: Problem, grad_ys: Tensor):
        self._grad_ys, self._counts = grad_ys, StepCounts()
        self._evaluator = Evaluator(problem)
        self._is_checked = not problem.parameters_are_all
        self._backward = problem.stats.backward
        self._steps = SampleSteps(problem, self._counts, self._evaluator.args, False)
        self.vjp = VJPAccumulator(self._evaluator)
        self.state = torch.zeros_like(grad_ys[0])
        self._first = torch.zeros_like(self.state) if problem.tableau.is_pec else None
        self._problem = problem

    def step_back(self, made: AcceptedSteps, y: Tensor) -> None:
        """Transpose steps that were accepted together.

        Args:
            y: States of all samples that were active before them, as recorded.
        """
        steps, samples = self._steps, made.samples.to(y.device)
        rows = made.active_index.to(y.device)
        starts = [y[rows]] if self._first is None else [*y[:, rows]]
        self._check(made.t, starts[0])
        before = self._counts.evaluations
        steps.reset()
        with torch.enable_grad():
            leaves = [start.detach().requires_grad_() for start in starts]
            if self._first is not None:
                steps.starts_with(*leaves)
            end = steps.step(made.t, made.h, leaves[0])
            ends, cotangents = [end], [self.state[samples]]
            if made.outputs is not None:
                ends.append(steps.outputs(made.outputs, made.t, made.h, leaves[0], end))
                outputs = made.outputs
                time_index, step_index = outputs.time_index, outputs.step_index.to(y.device)
                cotangents.append(self._grad_ys[time_index.to(y.device), samples[step_index]])
            if self._first is not None:
                ends.append(steps.derivative_at_end(made.t, made.h, end))
                cotangents.append(self._first[samples])
        self.state[samples], *derivatives = self._pull_back(ends, leaves, cotangents)
        if self._first is not None:
            (self._first[samples],) = derivatives
        self._backward.evaluations += self._counts.evaluations - before

    def finish(self) -> None:
        """Add the gradients of the first output and derivative to that of the initial state."""
        self.state += self._grad_ys[0]
        if self._first is None:
            return
        y0, problem = self._problem.y0, self._problem
        times = torch.full((len(y0),), problem.times[0], device="cpu")
        start = self._evaluator(per_sample(times, y0), y0)
        self._backward.evaluations += 1
        if start.derivative.requires_grad:
            (grad,) = self._pull_back([start.derivative], [start.y], [self._first])
            self.state += grad

    def _check(self, t: Tensor, y: Tensor) -> None:
        """Check, once, that no gradient is lost."""
        if not self._is_checked:
            self._evaluator(per_sample(t, y), y)
            self._is_checked = True

    def _pull_back(
        self, ends: list[Tensor], starts: list[Tensor], cotangents: list[Tensor]
    ) -> list[Tensor]:
        """Gradients of `starts`; those of parameters and arguments are accumulated."""
        found = torch.autograd.grad(
            ends,
            (*starts, *self._evaluator.inputs),
            cotangents,
            retain_graph=self._evaluator.retain_graph,
            allow_unused=True,
        )
        self.vjp.accumulate(found[len(starts) :])
        pairs = zip(found, starts, strict=False)
        return [torch.zeros_like(y) if grad is None else grad for grad, y in pairs]
