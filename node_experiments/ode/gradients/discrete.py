"""The discrete adjoint: the transpose of the steps that were accepted.

The gradient is that of the numbers the solver computed, equal to backpropagation through the
same steps to rounding, at the cost of one vector-Jacobian product a stage. Between forward and
backward it keeps the states of the accepted steps, and those at the stages of an implicit method,
so that no equation is solved a second time; rejected steps leave nothing behind.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..explicit import ExplicitStep
from ..forward import ForwardDynamics, run, solve_forward
from ..implicit import ImplicitStep
from ..integrate import Trajectory
from ..problem import Problem
from ..solution import StepCounts
from ..steps import make_step
from ..tableau import Tableau
from .base import backward_pass
from .evaluation import Evaluation, Evaluator, Pullback
from .runge_kutta_adjoint import RungeKuttaAdjoint, StepGraph

__all__ = ["Discrete", "GraphStep", "Grid", "Record", "Span", "gradients_of"]

Span = tuple[float, float]
"""Start and end of a step."""


@dataclass(frozen=True)
class Discrete:
    """Gradient of the discrete solve, exact to rounding.

    Attributes:
        retain_graphs: Keep the graph of every stage from the forward solve. Without, the stages
            of one step at a time are evaluated again from the step's state: more evaluations,
            but only states are kept. Not for implicit methods, whose stages are known only when
            their equations are solved.
    """

    retain_graphs: bool = False

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: A method that is no Runge-Kutta method, or graphs of an implicit one.
        """
        if self.retain_graphs and not problem.runge_kutta.explicit:
            raise ValueError(
                "gradient.retain_graphs=True is for explicit methods; found solver.method="
                f"{problem.solver.method!r}; leave it out"
            )
        record = Record()
        ys = DiscreteSolve.apply(
            problem, self.retain_graphs, record, problem.y0, problem.t, *problem.inputs
        )
        return ys, record.trajectory


@dataclass
class Grid:
    """The accepted steps.

    Attributes:
        starts, sizes: Time and size of each step.
        trajectory: How the forward solve ended.
    """

    starts: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    trajectory: Trajectory = field(default_factory=Trajectory)

    def append(self, t: float, h: float) -> None:
        self.starts.append(t)
        self.sizes.append(h)

    @property
    def spans(self) -> list[Span]:
        """Start and end of each step; one ends where the next one starts, unless it jumps."""
        ends = [t + h for t, h in zip(self.starts, self.sizes, strict=True)]
        following = [*self.starts, self.trajectory.t][1:]
        return [
            (start, after if abs(end - after) <= math.ulp(after) else end)
            for start, end, after in zip(self.starts, ends, following, strict=True)
        ]


@dataclass
class Record(Grid):
    """The accepted steps with their states: where gradients meet the solver.

    Attributes:
        states: States at the start of the steps, shape `(n,)` each; for an implicit method those
            at all stages of each step, from its start to its end.
    """

    states: list[Tensor] = field(default_factory=list)

    def __call__(self, t: float, h: float, y: Tensor) -> None:
        """An accepted step."""
        self.append(t, h)
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
            graphs: list[StepGraph] = []

            def keep(t: float, h: float, y: Tensor) -> None:
                record(t, h, y)
                graphs.append(step.kept())

            record.trajectory = run(problem, step, y0.detach().reshape(-1), keep)
            ys = record.trajectory.ys.view(-1, *y0.shape)
            ctx.graphs = evaluator, graphs
        elif problem.runge_kutta.explicit:
            ys, record.trajectory = solve_forward(problem, record)
            ctx.graphs = None
        else:
            implicit = implicit_step(problem, problem.stats.forward)

            def keep_stages(t: float, h: float, y: Tensor) -> None:
                record.append(t, h)
                record.states += implicit.points

            with torch.no_grad():
                start = y0.detach().reshape(-1)
                record.trajectory = run(problem, implicit, start, keep_stages)
            ys = record.trajectory.ys.view(-1, *y0.shape)
            ctx.graphs = None
        ctx.kept = len(record.states)
        ctx.problem = problem
        ctx.spans = record.spans
        ctx.save_for_backward(*record.states, *inputs)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, spans = ctx.problem, ctx.spans
        # Unpacked first of all, for this refuses tensors that were changed since the solve.
        states = ctx.saved_tensors[: ctx.kept]
        time_gradients = ctx.needs_input_grad[4]
        if not problem.runge_kutta.explicit:
            evaluator = Evaluator(problem, time_gradients)
            steps = implicit_steps(problem.runge_kutta, evaluator, spans, states)
        elif ctx.graphs is None:
            evaluator = Evaluator(problem, time_gradients)
            step = GraphStep(problem, evaluator, StepCounts())
            steps = replayed_steps(step, spans, states)
        else:
            # They are used up on the way; a second backward replays the steps.
            evaluator, graphs = ctx.graphs
            ctx.graphs = None
            steps = retained_steps(spans, graphs)
        grads = gradients_of(problem, grad_ys, evaluator, steps, time_gradients)
        return None, None, None, *grads


def gradients_of(
    problem: Problem,
    grad_ys: Tensor,
    evaluator: Evaluator,
    steps: Iterator[tuple[Span, StepGraph]],
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
    for (t, t_end), step in steps:
        adjoint.step_back(t, t_end, step)
        # Before the next step makes its graphs.
        step.stages.clear()
    adjoint.finish()
    return adjoint.state.view(problem.y0.shape), adjoint.grad_t, *pullback.grads


class GraphStep(ExplicitStep):
    """Steps whose stages are evaluated with a graph each.

    Attributes:
        stages: Evaluations of the last step, without a last stage that is the step's end.
    """

    def __init__(self, problem: Problem, evaluator: Evaluator, counts: StepCounts):
        super().__init__(problem.tableau, _no_dynamics, problem.y0.detach(), counts)
        self._evaluator = evaluator
        # By the numbers of the stages, those that only the interpolant needs after the others.
        self._graphs: list[Evaluation] = [None] * len(self._rows)  # type: ignore[list-item]
        self._inner = self.tableau.stages - self.tableau.solution_is_last_stage
        self.stages: list[Evaluation] = []

    def __call__(self, t: float, h: float, y: Tensor) -> Tensor:
        y1 = super().__call__(t, h, y)
        self.stages = self._graphs[: self._inner]
        return y1

    def accept(self, h: float) -> None:
        super().accept(h)
        if self._first_is_known:
            self._graphs[0] = self._graphs[self.tableau.stages - 1]

    def kept(self) -> StepGraph:
        """The graphs of the step that is being accepted."""
        last = self.tableau.stages - 1
        return StepGraph(
            self.stages,
            end=partial(_same, self._graphs[last]),
            dense=partial(_same, self._graphs[last + 1 :]),
        )

    def replay(self, t: float, t_end: float, y: Tensor) -> StepGraph:
        """The graphs of a step that was accepted before."""
        h = t_end - t
        self._evaluate(0, t, y.view(self._shape))
        for i in range(1, self._inner):
            torch.addmv(y, self._earlier[i], self._a[i], alpha=h, out=self._scratch)
            self._evaluate(i, t + self.tableau.c[i] * h, self._scratch_shaped)
        return StepGraph(
            self._graphs[: self._inner],
            end=partial(self._replay_end, t_end, h, y),
            dense=partial(self._replay_dense, t, h, y),
        )

    def _replay_dense(self, t: float, h: float, y: Tensor) -> list[Evaluation]:
        """The stages of the step replayed last that only its interpolant needs."""
        self._evaluate_dense_stages(t, h, y)
        return self._graphs[self.tableau.stages :]

    def _replay_end(self, t_end: float, h: float, y: Tensor) -> Evaluation:
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
    step: GraphStep, spans: Sequence[Span], states: Sequence[Tensor]
) -> Iterator[tuple[Span, StepGraph]]:
    """Accepted steps, last one first, each evaluated again from its state.

    Args:
        spans: Start and end of the steps.
        states: States at the start of the steps, shape `(n,)` each.
    """
    for (t, t_end), y in zip(reversed(spans), reversed(states), strict=True):
        yield (t, t_end), step.replay(t, t_end, y)


def retained_steps(
    spans: Sequence[Span], graphs: list[StepGraph]
) -> Iterator[tuple[Span, StepGraph]]:
    """Accepted steps, last one first, with the graphs of the forward solve.

    Args:
        graphs: Those of every step; emptied on the way.
    """
    for span in reversed(spans):
        yield span, graphs.pop()


def implicit_step(problem: Problem, counts: StepCounts) -> ImplicitStep:
    """Steps of the problem's implicit method without a graph."""
    solver = problem.solver
    rtol, atol = problem.spread(solver.rtol), problem.spread(solver.atol)
    dynamics = ForwardDynamics(problem)
    step: ImplicitStep = make_step(solver, dynamics, problem.y0.detach(), counts, rtol, atol)
    return step


def implicit_steps(
    tableau: Tableau, evaluator: Evaluator, spans: Sequence[Span], points: Sequence[Tensor]
) -> Iterator[tuple[Span, StepGraph]]:
    """Accepted steps of an implicit method, last one first, evaluated at their stages.

    Args:
        spans: Start and end of the steps.
        points: Where the stages of all steps are, shape `(n,)` each.
    """
    s = tableau.stages
    for number in range(len(spans) - 1, -1, -1):
        own = points[number * s : (number + 1) * s]
        yield spans[number], stage_graphs(tableau, evaluator, spans[number], own)


def stage_graphs(
    tableau: Tableau, evaluator: Evaluator, span: Span, points: Sequence[Tensor]
) -> StepGraph:
    """The evaluations of one step of an implicit method.

    Args:
        points: Where its stages are, shape `(n,)` each; the first is its start, the last its end.
    """
    t, t_end = span
    stages = [
        evaluator(t + c * (t_end - t), y.view(evaluator.shape))
        for c, y in zip(tableau.c[:-1], points[:-1], strict=True)
    ]
    end = partial(evaluator, t_end, points[-1].view(evaluator.shape))
    return StepGraph(stages, end=end, dense=list)


def _same(x: Any) -> Any:
    return x
