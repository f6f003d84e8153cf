"""Backpropagation through the solver's own operations (the RK-Net of Chen et al. 2018, Table 1).

The gradient is exact for the discretised solve, and the memory grows with every evaluation of
the accepted steps. Rejected steps never enter the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..forward import run
from ..integrate import Trajectory
from ..methods.explicit_tableaus import EXPLICIT_TABLEAUS
from ..methods.make_step import make_recordable_step
from ..methods.registry import METHODS
from ..problem import Problem
from .compiled_step import CompiledStep
from .recorded_implicit_step import DifferentiableImplicitStep, TimedImplicitStep
from .recorded_steps import DifferentiableStep
from .timed_step import TimedStep

__all__ = ["Backprop"]


@dataclass(frozen=True)
class Backprop:
    """Plain automatic differentiation; differentiable any number of times.

    Of an implicit method the equations are differentiated and not the iteration that solves them,
    at most twice.

    The times of the steps keep their place in the interval: moving t_0 or t_N stretches all steps
    alike, up to a jump of the vector field, and an output time inside a step moves along the
    interpolant (the frozen grid).

    Attributes:
        compile: Compile whole steps of explicit Runge-Kutta methods, each with its way back. It
            pays for small networks, where calling and recording operations is most of the work;
            the first solve with a vector field takes seconds to a minute longer. Such steps are
            taken back once: there are no second derivatives, and no `retain_graph`. Steps whose
            times need a gradient are not compiled, and one without a known first stage that is
            rejected is evaluated anew from there on.
    """

    compile: bool = False

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, in the graph; `(time, *state)`.

        Raises:
            ValueError: A method that cannot be recorded, or compiled, or whose times cannot be.
        """
        if self.compile:
            _ = problem.tableau  # refuses other methods
        y0 = problem.y0.reshape(-1)
        if problem.t.requires_grad:
            step = timed_step(problem)
            trajectory = run(problem, step, y0, step.start)
            ys = step.move_outputs_on_grid_points(trajectory.ys)
        else:
            plain = recorded_step(problem, self.compile)
            trajectory = run(problem, plain, y0)
            ys = trajectory.ys
        return ys.view(-1, *problem.y0.shape), trajectory


def timed_step(problem: Problem) -> TimedStep:
    """The step of the problem's method, with its times in the graph."""
    return TimedStep(problem) if problem.runge_kutta.explicit else TimedImplicitStep(problem)


def recorded_step(problem: Problem, compiles: bool) -> Any:
    """The step of the problem's method."""
    if METHODS[problem.solver.method].family == "implicit":
        return DifferentiableImplicitStep(problem)
    if problem.solver.method not in EXPLICIT_TABLEAUS:
        return make_recordable_step(problem)
    return CompiledStep(problem) if compiles else DifferentiableStep(problem)
