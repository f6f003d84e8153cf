"""The stages of implicit Runge-Kutta steps, evaluated with a graph each at the solved points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from torch import Tensor

from ..forward import ForwardDynamics
from ..methods.butcher_tableau import Tableau
from ..methods.implicit_runge_kutta import ImplicitStep
from ..methods.make_step import make_step
from ..problem import Problem
from ..solution import StepCounts
from .records import Span
from .runge_kutta_adjoint import StepGraph
from .vjp import Evaluator

__all__ = ["implicit_step", "implicit_steps", "stage_graphs"]


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
        points: Where the stages and the end of every step are, shape `(n,)` each.
    """
    s = tableau.stages + (not tableau.solution_is_last_stage)
    for number in range(len(spans) - 1, -1, -1):
        own = points[number * s : (number + 1) * s]
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
        evaluator(t + c * (t_end - t), y.view(evaluator.shape))
        for c, y in zip(tableau.c, points[:-1], strict=False)
    ]
    end = partial(evaluator, t_end, points[-1].view(evaluator.shape))
    return StepGraph(stages, end=end, dense=list)
