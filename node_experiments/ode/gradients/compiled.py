"""The gradient of a solve whose steps are compiled: exact for the steps that were accepted.

The solve is one node of the graph. In the backward pass each step is one call of compiled code,
which repeats the step from its state and backpropagates through it. Weights, arguments and tensors
that the vector field holds are inputs of that node, so that none of them has to be searched for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat
from typing import Any

import torch
from torch import Tensor

from ..compiled.fixed_steps import fixed_solve
from ..compiled.stepper import CompiledSteps
from ..integrate import run
from ..problem import Problem
from ..solution import Trajectory
from .backprop import Backprop
from .backward_pass import CHANGED, backward_pass
from .base import Gradient
from .checkpoint import Checkpoint
from .checkpointed_steps import CheckpointedSteps, ThinnedRecord
from .compiled_backward import AcceptedStep, CompiledBackward
from .discrete import Discrete
from .records import Record, Span, Start
from .reversible import Reversible

__all__ = ["CompiledGradient", "compiled_gradient"]


def compiled_gradient(
    problem: Problem, method: Gradient, parameters: Iterable[Tensor] | None
) -> CompiledGradient | None:
    """The compiled form of an exact gradient method, for a problem whose steps are compiled.

    None for other gradient methods, of which only the forward solve is compiled. None as well,
    and nothing is compiled, where times or interpolants need gradients, or where repeating a step
    takes more than its state.

    Raises:
        ValueError: The gradient method replaces the solver's method.
    """
    if isinstance(method, Reversible):
        raise ValueError(
            "solver.compile=True compiles no steps of gradient='reversible'; use "
            "gradient='checkpoint', or compile=False"
        )
    if not isinstance(method, Backprop | Discrete | Checkpoint):
        return None
    recorded = isinstance(method, Backprop) and problem.observe is not None
    predicted = isinstance(method, Checkpoint) and problem.tableau.is_pec
    if problem.t.requires_grad or recorded or predicted:
        problem.compilation = None
        return None
    given = None if parameters is None or isinstance(method, Backprop) else tuple(parameters)
    checkpoints = method.checkpoints if isinstance(method, Checkpoint) else None
    return CompiledGradient(checkpoints, given)


@dataclass(frozen=True)
class CompiledGradient(Gradient):
    """Gradient of the discrete solve, exact to rounding, by compiled steps.

    Attributes:
        checkpoints: Number of states kept at a time; all when None.
        parameters: If given, other leaves that the vector field reads get no gradient.
    """

    checkpoints: int | None = None
    parameters: tuple[Tensor, ...] | None = None

    def tensors(self, problem: Problem) -> list[Tensor]:
        """Tensors that the vector field reads, detached if they should get no gradient."""
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


class CompiledSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    def forward(
        ctx: Any, problem: Problem, record: Record, y0: Tensor, *tensors: Tensor
    ) -> Tensor:
        stepper = problem.stepper(problem.stats.forward)
        assert isinstance(stepper, CompiledSteps)
        derivatives: list[Tensor] = []
        steps: list[tuple[int | None, Tensor]] = []

        def keep(t: float, t_end: float, y: Tensor) -> None:
            record(t, t_end, y)
            if stepper.first is not None:
                derivatives.append(stepper.first)
            index = None if stepper.first is None else len(derivatives) - 1
            steps.append((index, stepper.size_and_times))

        ctx.thinned = isinstance(record, ThinnedRecord)
        solved = None if ctx.thinned else fixed_solve(problem, stepper)
        if solved is None:
            on_accept = record if ctx.thinned else keep
            record.trajectory = run(problem, stepper, y0.detach(), on_accept)
            ys = torch.stack(record.trajectory.outputs)
        else:
            ys, record.trajectory, grid, record.states, derivatives = solved
            record.spans = list(pairwise([*grid.starts, problem.times[-1]]))
            indices: Iterable[int | None] = (
                range(len(derivatives)) if derivatives else repeat(None)
            )
            steps = list(zip(indices, grid.sizes_and_times, strict=False))
        ctx.problem, ctx.spans, ctx.steps = problem, record.spans, steps
        ctx.sizes = len(record.states), len(derivatives)
        if isinstance(record, ThinnedRecord):
            ctx.stride, ctx.limit = record.stride, record.limit
        ctx.fingerprints = fingerprints(tensors)
        ctx.save_for_backward(*record.states, *derivatives, *tensors)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, saved = ctx.problem, ctx.saved_tensors
        states, derivatives = saved[: ctx.sizes[0]], saved[ctx.sizes[0] : sum(ctx.sizes)]
        tensors = saved[sum(ctx.sizes) :]
        # Autograd does not notice changes through `.data`, and the saved tensors share them.
        if not torch.equal(fingerprints(tensors), ctx.fingerprints):
            raise RuntimeError(CHANGED.format("the values of a tensor that it reads changed"))
        needed = tuple(i for i in range(len(tensors)) if ctx.needs_input_grad[3 + i])
        backward = CompiledBackward(problem, grad_ys.contiguous(), tensors, needed)
        backward.run(
            replayed_steps(problem, list(states), ctx.spans, ctx.stride, ctx.limit)
            if ctx.thinned
            else stored_steps(states, derivatives, ctx.spans, ctx.steps)
        )
        grads: list[Tensor | None] = [None] * len(tensors)
        for i, total in zip(needed, backward.gradients, strict=True):
            grads[i] = total
        return None, None, backward.state, *grads


def fingerprints(tensors: Sequence[Tensor]) -> Tensor:
    """A number for each tensor that shows changes of values, signs and order, `(tensor,)`."""
    return torch.stack([weighted_sum_of(x.detach()) for x in tensors] or [torch.zeros(())])


def weighted_sum_of(x: Tensor) -> Tensor:
    """The sum of all entries with growing weights, 0-d."""
    flat = torch.view_as_real(x.resolve_conj()).reshape(-1) if x.is_complex() else x.reshape(-1)
    if flat.dtype not in (torch.float32, torch.float64):
        flat = flat.double()
    weights = torch.linspace(1, 2, len(flat), dtype=flat.dtype, device=flat.device)
    return torch.dot(flat, weights).double()


def stored_steps(
    states: Sequence[Tensor],
    derivatives: Sequence[Tensor],
    spans: Sequence[Span],
    steps: Sequence[tuple[int | None, Tensor]],
) -> Iterator[tuple[Span, AcceptedStep]]:
    """Iterate over the accepted steps, last step first, if the state of each was kept.

    Args:
        derivatives: The initial derivatives that were passed to steps.
        steps: For each step, the index of its derivative in `derivatives`, or None, and its size
            and times.
    """
    for span, y, (index, size_and_times) in zip(
        reversed(spans), reversed(states), reversed(steps), strict=True
    ):
        first = None if index is None else derivatives[index]
        yield span, AcceptedStep(y, first, size_and_times)


def replayed_steps(
    problem: Problem, states: list[Tensor], spans: Sequence[Span], stride: int, limit: int
) -> Iterator[tuple[Span, AcceptedStep]]:
    """Iterate over the accepted steps, last step first, from the states of some of them."""
    stepper = problem.stepper(problem.stats.backward)
    assert isinstance(stepper, CompiledSteps)

    def replay(t: float, t_end: float, start: Start) -> AcceptedStep:
        y = start[0]
        first = stepper.derivative(t, y) if stepper.needs_first else None
        return AcceptedStep(y, first, stepper.pack_size_and_times(t, t_end - t))

    starts: list[Start] = [(y, None) for y in states]
    yield from CheckpointedSteps(spans, stepper, replay).last_to_first(starts, stride, limit)
