"""The discrete adjoint with a bounded number of states kept for the backward pass.

The gradient is that of `discrete`, with the steps repeated from some of their states; see
`checkpointed_steps`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ..integrate import solve_forward
from ..problem import Problem
from ..solution import StepCounts, Trajectory
from .backward_pass import Evaluator, backward_pass, forward_pass
from .base import Gradient
from .checkpointed_steps import CheckpointedSteps, ThinnedRecord
from .discrete import gradients_of, solve_recorded
from .records import Span, Start, starts_of
from .replay import GraphSteps, implicit_stepper, stage_graphs
from .runge_kutta_adjoint import StepGraph

__all__ = ["Checkpoint"]


@dataclass(frozen=True)
class Checkpoint(Gradient):
    """Gradient of the discrete solve, exact to rounding, from a bounded number of states.

    Attributes:
        checkpoints: Number of states kept at a time. With c of them, a solve of up to
            binomial(c + r, r) steps repeats each step at most r times: 16 suffice for 153 steps
            with r = 2 and for 969 with r = 3.

    Raises:
        ValueError: `checkpoints` is not a whole number of at least 1.

    Example:
        >>> from node_experiments.ode import solve
        >>> rate = torch.tensor(0.5, requires_grad=True)
        >>> y0, t = torch.ones(1), torch.tensor([0.0, 2.0])
        >>> gradient = Checkpoint(checkpoints=4)
        >>> solution = solve(lambda t, y: -rate * y, y0, t, "dopri5", gradient)
        >>> solution.ys[-1].sum().backward()
        >>> round(rate.grad.item(), 3)  # -2 exp(-1)
        -0.736
    """

    checkpoints: int = 16

    def __post_init__(self) -> None:
        if not (isinstance(self.checkpoints, Integral) and self.checkpoints >= 1):
            raise ValueError(
                f"gradient.checkpoints={self.checkpoints!r} must be a whole number of at least 1"
            )

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: The method is not a Runge-Kutta method.
        """
        _ = problem.runge_kutta  # before the solve, since it raises for other methods
        record = ThinnedRecord(limit=self.checkpoints)
        ys = CheckpointedSolve.apply(problem, record, problem.y0, problem.t, *problem.inputs)
        return ys, record.trajectory

    def solve_samples(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """Like `solve`, with individual step sizes; each checkpoint holds all samples."""
        from .recorded_samples import solve_recorded_samples

        return solve_recorded_samples(problem, self.checkpoints)


class CheckpointedSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    @forward_pass
    def forward(
        ctx: Any, problem: Problem, record: ThinnedRecord, y0: Tensor, t: Tensor, *inputs: Tensor
    ) -> Tensor:
        if problem.runge_kutta.explicit:
            ys, record.trajectory = solve_recorded(problem, record)
        else:
            ys, record.trajectory = solve_forward(problem, record)
        ctx.problem, ctx.spans = problem, record.spans
        ctx.stride, ctx.limit = record.stride, record.limit
        ctx.kept = len(record.states), len(record.initial_derivatives)
        ctx.save_for_backward(*record.states, *record.initial_derivatives, *problem.read_inputs)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, time_gradients = ctx.problem, ctx.needs_input_grad[3]
        saved, (count, derivatives) = ctx.saved_tensors, ctx.kept
        starts = starts_of(
            ctx.spans, saved[:count], saved[count : count + derivatives], ctx.stride
        )
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
    """The accepted steps, repeated with graphs of their stages."""
    tableau, counts = problem.runge_kutta, problem.stats.backward
    enter = problem.enter_step if problem.solver.perturb else None
    if tableau.explicit:
        replay = GraphSteps(problem, evaluator, StepCounts()).replay
        stepper = problem.stepper(counts)
        return CheckpointedSteps(spans, stepper, replay, tableau.is_pec, enter)
    stepper = implicit_stepper(problem, counts)

    def implicit_replay(t: float, t_end: float, start: Start) -> StepGraph:
        problem.reenter_step(t, t_end)
        stepper.reset()
        stepper.step(t, t_end - t, start[0])
        return stage_graphs(tableau, evaluator, (t, t_end), stepper.points)

    return CheckpointedSteps(spans, stepper, implicit_replay, enter=enter)
