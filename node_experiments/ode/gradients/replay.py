"""Accepted steps with the graphs of their stages, kept from the solve or evaluated again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from ..methods.butcher_tableau import Tableau
from ..methods.explicit_runge_kutta import ExplicitRungeKutta
from ..methods.implicit_runge_kutta import ImplicitRungeKutta
from ..problem import Problem
from ..solution import StepCounts
from ..vector_field import Dynamics
from .backward_pass import Evaluation, Evaluator
from .records import Span, Start
from .runge_kutta_adjoint import StepGraph

__all__ = ["GraphSteps", "implicit_stepper", "implicit_steps", "stage_graphs"]


class RecordedEvaluations(Dynamics):
    """The vector field, each of whose evaluations is kept with a separate graph."""

    def __init__(self, evaluator: Evaluator):
        self._evaluator = evaluator
        self.made: list[Evaluation] = []

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        evaluation = self._evaluator(t, y)
        self.made.append(evaluation)
        return self.fitted(evaluation.derivative.detach(), y)


class GraphSteps(ExplicitRungeKutta[float]):
    """Explicit Runge-Kutta steps whose stages are evaluated with a graph each."""

    def __init__(self, problem: Problem, evaluator: Evaluator, counts: StepCounts):
        self._evaluations = RecordedEvaluations(evaluator)
        super().__init__(
            problem.tableau,
            self._evaluations,
            problem.y0.detach(),
            counts,
            adaptive=not problem.solver.fixed_steps,
            clock=problem.clock,
        )
        self._evaluator, self._problem = evaluator, problem
        self._inner = self.tableau.stages - self.tableau.solution_is_last_stage
        self._graphs: list[Evaluation] = []
        self._end_graph: Evaluation | None = None

    def derivative(self, t: float, y: Tensor) -> Tensor:
        self._evaluations.made.clear()
        derivative = super().derivative(t, y)
        if self._evaluations.made:
            self._graphs = self._evaluations.made[:]
        return derivative

    def derivative_at_end(self, t: float, h: float, y1: Tensor) -> Tensor:
        self._evaluations.made.clear()
        derivative = super().derivative_at_end(t, h, y1)
        if self._evaluations.made:
            (self._end_graph,) = self._evaluations.made
        return derivative

    def step(self, t: float, h: float, y: Tensor, only: Iterable[int] | None = None) -> Tensor:
        known: list[Evaluation] = []
        if only is None:
            if y is self._end and self._end_graph is not None:
                known = [self._end_graph]
            elif y is self._start:
                known = self._graphs[:1]
        self._evaluations.made.clear()
        point = super().step(t, h, y, only)
        made = self._evaluations.made[:]
        if only is not None:
            self._graphs += made
            return point
        self._graphs = [*known, *made]
        self._end_graph = self._graphs[-1] if self.tableau.first_same_as_last else None
        return point

    def kept(self) -> StepGraph:
        """The graphs of the step that is being accepted."""
        stages = self.tableau.stages
        return StepGraph(
            self._graphs[: self._inner],
            end=partial(same, self._end_graph),
            dense=partial(same, self._graphs[stages:]),
        )

    def replay(self, t: float, t_end: float, start: Start) -> StepGraph:
        """The graphs of a step that was accepted before."""
        h = t_end - t
        y, first = start
        self._problem.enter_again(t, t_end)
        self.reset()
        self._graphs = []
        if first is not None:
            self.starts_with(y, first)
            self._graphs = [Evaluation(first, y, first)]  # belongs to the step before, at any time
        self.step(t, h, y, only=range(self._inner))
        end = partial(self._replay_end, t, h, t_end, y)
        if self.tableau.predicts:
            end = partial(same, self._graphs[-1])
        return StepGraph(
            self._graphs[: self._inner], end=end, dense=partial(self._replay_dense, t, h, y)
        )

    def _replay_end(self, t: float, h: float, t_end: float, y: Tensor) -> Evaluation:
        """The evaluation at the end of the step that was replayed last."""
        y1 = self.step(t, h, y, only=(self.tableau.last_row,))
        if self.tableau.solution_is_last_stage:
            return self._graphs[-1]
        return self._evaluator.at(t_end, y1)

    def _replay_dense(self, t: float, h: float, y: Tensor) -> list[Evaluation]:
        """The stages of the step replayed last that only its interpolant needs."""
        self._graphs = self._graphs[: self.tableau.stages]
        tableau = self.tableau
        if tableau.dense_a:
            self.step(t, h, y, only=range(len(self.stages), len(tableau.rows) - 1))
        return self._graphs[tableau.stages :]


def same(x: Any) -> Any:
    """What was kept."""
    return x


def implicit_stepper(problem: Problem, counts: StepCounts) -> ImplicitRungeKutta:
    """Steps of the problem's implicit method without a graph."""
    stepper = problem.stepper(counts)
    assert isinstance(stepper, ImplicitRungeKutta)
    return stepper


def implicit_steps(
    problem: Problem, evaluator: Evaluator, spans: Sequence[Span], points: Sequence[Tensor]
) -> Iterator[tuple[Span, StepGraph]]:
    """Accepted steps of an implicit method, last one first, evaluated at their stages.

    Args:
        spans: Start and end of the steps.
        points: Where the stages and the end of every step are, shape `(n,)` each.
    """
    tableau = problem.runge_kutta
    s = tableau.stages + (not tableau.solution_is_last_stage)
    for number in range(len(spans) - 1, -1, -1):
        own = points[number * s : (number + 1) * s]
        problem.enter_again(*spans[number])
        yield spans[number], stage_graphs(tableau, evaluator, spans[number], own)


def stage_graphs(
    tableau: Tableau, evaluator: Evaluator, span: Span, points: Sequence[Tensor]
) -> StepGraph:
    """The evaluations of one step of an implicit method.

    Args:
        points: Where its stages are, shape `(n,)` each, and its end where that is none of them:
            the first is its start, the last its end.
    """
    t, t_end = span
    stages = [
        evaluator.at(t + c * (t_end - t), y) for c, y in zip(tableau.c, points[:-1], strict=False)
    ]
    end = partial(evaluator.at, t_end, points[-1])
    return StepGraph(stages, end=end, dense=list)
