"""The discrete adjoint: the transpose of the steps that were accepted.

The gradient is that of the numbers the solver computed, equal to backpropagation through the
same steps to rounding, at the cost of one vector-Jacobian product a stage. Between forward and
backward it keeps the states of the accepted steps; rejected steps leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..explicit import ExplicitStep
from ..forward import run, solve_forward
from ..integrate import Trajectory
from ..problem import Problem
from ..solution import StepCounts
from .evaluation import Evaluation, Evaluator, Pullback
from .runge_kutta_adjoint import RungeKuttaAdjoint, StepGraph

__all__ = ["Discrete", "GraphStep", "Record", "gradients_of"]


@dataclass(frozen=True)
class Discrete:
    """Gradient of the discrete solve, exact to rounding.

    Attributes:
        retain_graphs: Keep the graph of every stage from the forward solve. Without, the stages
            of one step at a time are evaluated again from the step's state: more evaluations,
            but only states are kept.
    """

    retain_graphs: bool = False

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`."""
        record = Record()
        ys = DiscreteSolve.apply(
            problem, self.retain_graphs, record, problem.y0, problem.t, *problem.inputs
        )
        return ys, record.trajectory


@dataclass
class Record:
    """The accepted steps: where gradients meet the solver.

    Attributes:
        times: Grid points, one more than there are steps.
        states: States at the start of the steps, shape `(n,)` each.
    """

    times: list[float] = field(default_factory=list)
    states: list[Tensor] = field(default_factory=list)
    trajectory: Trajectory = field(default_factory=Trajectory)

    def step(self, t: float, h: float, y: Tensor) -> None:
        self.times.append(t)
        self.states.append(y)


class DiscreteSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    def forward(
        ctx: Any,
        problem: Problem,
        retain_graphs: bool,
        record: Record,
        y0: Tensor,
        t: Tensor,
        *inputs: Tensor,
    ) -> Tensor:
        if retain_graphs:
            evaluator = Evaluator(problem, ctx.needs_input_grad[4])
            step = GraphStep(problem, evaluator, problem.stats.forward)
            graphs: list[list[Evaluation]] = []

            def keep(t: float, h: float, y: Tensor) -> None:
                record.step(t, h, y)
                graphs.append(step.stages)

            record.trajectory = run(problem, step, y0.detach().reshape(-1), keep)
            ys = record.trajectory.ys.view(-1, *y0.shape)
            ctx.graphs = evaluator, graphs, step.known_end()
        else:
            ys, record.trajectory = solve_forward(problem, record.step)
            ctx.graphs = None
        ctx.problem = problem
        ctx.times = [*record.times, record.trajectory.t]
        ctx.save_for_backward(*record.states, *inputs)
        return ys

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, times = ctx.problem, ctx.times
        # Unpacked first of all, for this refuses tensors that were changed since the solve.
        states = ctx.saved_tensors[: len(times) - 1]
        time_gradients = ctx.needs_input_grad[4]
        if ctx.graphs is None:
            evaluator = Evaluator(problem, time_gradients)
            step = GraphStep(problem, evaluator, StepCounts())
            steps = replayed_steps(step, times, states)
        else:
            # They are used up on the way; a second backward replays the steps.
            evaluator, graphs, end = ctx.graphs
            ctx.graphs = None
            steps = retained_steps(times, graphs, end)
        with problem.autocast():
            grads = gradients_of(problem, grad_ys, evaluator, steps, time_gradients)
        return None, None, None, *grads


def gradients_of(
    problem: Problem,
    grad_ys: Tensor,
    evaluator: Evaluator,
    steps: Iterator[StepGraph],
    time_gradients: bool,
) -> tuple[Tensor | None, ...]:
    """Gradients of y0, t (or None) and the problem's inputs.

    Args:
        grad_ys: Gradients that arrive at the outputs, shape `(time, *state)`.
        steps: The accepted steps, last one first.
    """
    pullback = Pullback(evaluator.inputs)
    adjoint = RungeKuttaAdjoint(
        problem, grad_ys.reshape(len(grad_ys), -1), pullback, time_gradients
    )
    first = None
    for step in steps:
        adjoint.step_back(step)
        first = step.stages[0]
        # Before the next step makes its graphs.
        step.stages.clear()
    if first is not None:
        adjoint.finish(first)
    return adjoint.state.view(problem.y0.shape), adjoint.grad_t, *pullback.grads


class GraphStep(ExplicitStep):
    """Steps whose stages are evaluated with a graph each.

    Attributes:
        stages: Evaluations of the last step, without a last stage that is the step's end.
    """

    def __init__(self, problem: Problem, evaluator: Evaluator, counts: StepCounts):
        super().__init__(problem.tableau, _no_dynamics, problem.y0.detach(), counts)
        self._evaluator = evaluator
        self._graphs: list[Evaluation] = [None] * self.tableau.stages  # type: ignore[list-item]
        self._inner = self.tableau.stages - self.tableau.solution_is_last_stage
        self.stages: list[Evaluation] = []

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        y1 = super().__call__(t, h, y)
        self.stages = self._graphs[: self._inner]
        return y1

    def accept(self, h: float) -> None:
        super().accept(h)
        if self._first_is_known:
            self._graphs[0] = self._graphs[-1]

    def known_end(self) -> Evaluation | None:
        """The evaluation at the end of the last accepted step, if there was one."""
        return self._graphs[0] if self._first_is_known else None

    def replay(self, t: float, h: float, y: Tensor) -> list[Evaluation]:
        """The stages of a step that was accepted before."""
        self._evaluate(0, t, y.view(self._shape))
        for i in range(1, self._inner):
            torch.addmv(y, self._earlier[i], self._a[i], alpha=h, out=self._scratch)
            self._evaluate(i, t + self.tableau.c[i] * h, self._scratch_shaped)
        return self._graphs[: self._inner]

    def replay_end(self, t_end: float, h: float, y: Tensor) -> Evaluation:
        """The evaluation at the end of the step that was replayed last."""
        earlier, weights = self._columns[:, : self._inner], self._b[: self._inner]
        y1 = torch.addmv(y, earlier, weights, alpha=h)
        return self._evaluator(t_end, y1.view(self._shape))

    def _evaluate(self, stage: int, t: float, y: Tensor) -> None:
        self.counts.evaluations += 1
        if y is self._scratch_shaped:
            # The graph keeps this memory.
            self._scratch = torch.empty_like(self._scratch)
            self._scratch_shaped = self._scratch.view(self._shape)
        evaluation = self._graphs[stage] = self._evaluator(t, y)
        self._rows[stage].copy_(evaluation.derivative.detach())


def _no_dynamics(t: float, y: Tensor, derivative: Tensor, integrand: Tensor | None) -> None:
    raise AssertionError("GraphStep evaluates the vector field itself")


def replayed_steps(
    step: GraphStep, times: Sequence[float], states: Sequence[Tensor]
) -> Iterator[StepGraph]:
    """The accepted steps, last one first, each evaluated again from its state.

    Args:
        times: Grid points, one more than there are states.
        states: States at the start of the steps, shape `(n,)` each.
    """
    following = None
    for n in range(len(states) - 1, -1, -1):
        t, t_end, y = times[n], times[n + 1], states[n]
        h = t_end - t
        stages = step.replay(t, h, y)
        end = partial(step.replay_end, t_end, h, y) if following is None else following
        following = stages[0]
        yield StepGraph(t, t_end, stages, end)


def retained_steps(
    times: Sequence[float], graphs: list[list[Evaluation]], end: Evaluation | None
) -> Iterator[StepGraph]:
    """The accepted steps, last one first, with the graphs of the forward solve.

    Args:
        graphs: Evaluations at the stages of every step; emptied on the way.
        end: The evaluation at the end of the last step, if an output needed it.
    """
    following = end
    for n in range(len(graphs) - 1, -1, -1):
        stages = graphs.pop()
        end = following
        following = stages[0]
        yield StepGraph(times[n], times[n + 1], stages, end)
