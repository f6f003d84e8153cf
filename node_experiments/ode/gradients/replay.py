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
    """A vector field that keeps each of its evaluations, with separate graphs."""

    def __init__(self, evaluator: Evaluator):
        self._evaluator = evaluator
        self.made: list[Evaluation] = []

    def __call__(self, t: Tensor, y: Tensor, *args: Any) -> Tensor:
        evaluation = self._evaluator(t, y)
        self.made.append(evaluation)
        return self.conform(evaluation.derivative.detach(), y)


class GraphSteps(ExplicitRungeKutta[float]):
    """Explicit Runge-Kutta steps whose stages are evaluated with separate graphs."""

    def __init__(self, problem: Problem, evaluator: Evaluator, counts: StepCounts):
        self._evaluations = RecordedEvaluations(evaluator)
        super().__init__(
            problem.tableau,
            self._evaluations,
            problem.y0.detach(),
            counts,
            adaptive=not problem.solver.fixed_steps,
            stage_times=problem.stage_times,
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

    def accepted_graph(self) -> StepGraph:
        """The graphs of the step that is being accepted."""
        stages = self.tableau.stages
        return StepGraph(
            self._graphs[: self._inner],
            end=partial(identity, self._end_graph),
            dense=partial(identity, self._graphs[stages:]),
        )

    def replay(self, t: float, t_end: float, start: Start) -> StepGraph:
        """Repeat an accepted step and return its graphs."""
        h = t_end - t
        y, first = start
        self._problem.reenter_step(t, t_end)
        self.reset()
        self._graphs = []
        if first is not None:
            self.starts_with(y, first)
            self._graphs = [Evaluation(first, y, first)]  # no graph: it is the step before's
        self.step(t, h, y, only=range(self._inner))
        end = partial(self._replay_end, t, h, t_end, y)
        if self.tableau.is_pec:
            end = partial(identity, self._graphs[-1])
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
        """The stages of the step that was replayed last which only its interpolant needs."""
        self._graphs = self._graphs[: self.tableau.stages]
        tableau = self.tableau
        if tableau.dense_a:
            self.step(t, h, y, only=range(len(self.stages), len(tableau.rows) - 1))
        return self._graphs[tableau.stages :]


def identity(x: Any) -> Any:
    """The argument, unchanged: a value that was kept."""
    return x


def implicit_stepper(problem: Problem, counts: StepCounts) -> ImplicitRungeKutta:
    """A stepper of the problem's implicit method, without a graph."""
    stepper = problem.stepper(counts)
    assert isinstance(stepper, ImplicitRungeKutta)
    return stepper


def implicit_steps(
    problem: Problem, evaluator: Evaluator, spans: Sequence[Span], points: Sequence[Tensor]
) -> Iterator[tuple[Span, StepGraph]]:
    """Iterate over the accepted steps of an implicit method, last step first, with graphs.

    Args:
        spans: Start and end of the steps.
        points: States at the stages and the end of every step, shape `(n,)` each.
    """
    tableau = problem.runge_kutta
    s = tableau.stages + (not tableau.solution_is_last_stage)
    for number in range(len(spans) - 1, -1, -1):
        own = points[number * s : (number + 1) * s]
        problem.reenter_step(*spans[number])
        yield spans[number], stage_graphs(tableau, evaluator, spans[number], own)


def stage_graphs(
    tableau: Tableau, evaluator: Evaluator, span: Span, points: Sequence[Tensor]
) -> StepGraph:
    """The evaluations of one step of an implicit method.

    Args:
        points: States at its stages, shape `(n,)` each, and at its end if that is not a stage;
            the first is its start, the last its end.
    """
    t, t_end = span
    stages = [
        evaluator.at(t + c * (t_end - t), y) for c, y in zip(tableau.c, points[:-1], strict=False)
    ]
    end = partial(evaluator.at, t_end, points[-1])
    return StepGraph(stages, end=end, dense=list)
