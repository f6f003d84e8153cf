"""Explicit Runge-Kutta steps whose stages are evaluated with a graph each."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..forward import ForwardDynamics
from ..methods.explicit_runge_kutta import ExplicitStep
from ..problem import Problem
from ..solution import StepCounts
from .runge_kutta_adjoint import StepGraph
from .vjp import Evaluation, Evaluator

__all__ = ["GraphStep"]


class GraphStep(ExplicitStep):
    """Steps whose stages are evaluated with a graph each.

    Attributes:
        stages: Evaluations of the last step, without a last stage that is the step's end.
    """

    def __init__(self, problem: Problem, evaluator: Evaluator, counts: StepCounts):
        # It evaluates no stage, only the probe for the first step, which no graph needs.
        super().__init__(problem.tableau, ForwardDynamics(problem), problem.y0.detach(), counts)
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
            torch.addmv(y, self._earlier[i], self._a[i], alpha=h, out=self._point)
            self._evaluate_at_point(i, t + self.tableau.c[i] * h)
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
        evaluation = self._graphs[stage] = self._evaluator(t, y)
        self._rows[stage].copy_(evaluation.derivative.detach())


def _same(x: Any) -> Any:
    return x
