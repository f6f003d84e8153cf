"""The discrete adjoint: the transpose of the steps that were accepted.

The gradient is that of the discrete solution, equal up to rounding to backpropagation through the
same steps, at the cost of one vector-Jacobian product per stage. For the backward pass it keeps
the states of the accepted steps, and for an implicit method those at its stages, so that no
equation is solved a second time. Rejected steps leave nothing behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..integrate import run, solve_forward
from ..methods.explicit_runge_kutta import ExplicitRungeKutta
from ..problem import Problem
from ..solution import StepCounts, Trajectory
from .backward_pass import (
    Evaluation,
    Evaluator,
    VJPAccumulator,
    backward_pass,
    check_same_derivative,
    forward_pass,
)
from .base import Gradient
from .records import Record, Span, Start, starts_of
from .replay import GraphSteps, implicit_stepper, implicit_steps
from .runge_kutta_adjoint import RungeKuttaAdjoint, StepGraph

__all__ = ["Discrete", "gradients_of", "solve_recorded"]


@dataclass(frozen=True)
class Discrete(Gradient):
    """Gradient of the discrete solve, exact to rounding.

    Attributes:
        retain_graphs: Keep the graph of every stage from the forward solve. Otherwise the stages
            are evaluated again, one step at a time, from the state of the step: more evaluations,
            but only states are kept. Not for implicit methods, whose stages are known only when
            their equations are solved.

    Example:
        >>> from node_experiments.ode import solve
        >>> rate = torch.tensor(0.5, requires_grad=True)
        >>> y0, t = torch.ones(1), torch.tensor([0.0, 2.0])
        >>> gradient = Discrete(retain_graphs=True)
        >>> solution = solve(lambda t, y: -rate * y, y0, t, "dopri5", gradient)
        >>> solution.ys[-1].sum().backward()
        >>> round(rate.grad.item(), 3)  # -2 exp(-1)
        -0.736
    """

    retain_graphs: bool = False

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`.

        Raises:
            ValueError: Not a Runge-Kutta method, or an implicit one with `retain_graphs`.
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

    def solve_samples(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """Like `solve`, with individual step sizes for the samples.

        Raises:
            ValueError: `retain_graphs` is set.
        """
        from .recorded_samples import solve_recorded_samples

        if self.retain_graphs:
            raise ValueError(
                "gradient.retain_graphs=True is not for solver.batching='independent'; leave it "
                "out, or use gradient='backprop'"
            )
        return solve_recorded_samples(problem)


class DiscreteSolve(torch.autograd.Function):
    """The solve as one node of the outer graph."""

    @staticmethod
    @forward_pass
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
            step = GraphSteps(problem, evaluator, problem.stats.forward)
            if problem.tableau.is_pec:
                record.stepper = step
            graphs: list[StepGraph] = []

            def keep(t: float, t_end: float, y: Tensor) -> None:
                record(t, t_end, y)
                graphs.append(step.accepted_graph())

            record.trajectory = run(problem, step, y0.detach(), keep)
            # A step ends where the next one starts, except at jumps and where steps are perturbed.
            ends = [*record.states[1:], record.trajectory.outputs[-1]]
            for span, graph, y1 in zip(record.spans, graphs, ends, strict=False):
                if graph.end() is None:
                    graph.end = partial(evaluated_end, problem, evaluator, span, y1)
            ys = torch.stack(record.trajectory.outputs).view(-1, *y0.shape)
            ctx.graphs = evaluator, graphs
        elif problem.runge_kutta.explicit:
            ys, record.trajectory = solve_recorded(problem, record)
            ctx.graphs = None
        else:
            implicit = implicit_stepper(problem, problem.stats.forward)

            def keep_stages(t: float, t_end: float, y: Tensor) -> None:
                record.spans.append((t, t_end))
                record.states += implicit.points

            with torch.no_grad():
                start = y0.detach().reshape(-1)
                record.trajectory = run(problem, implicit, start, keep_stages)
            ys = torch.stack(record.trajectory.outputs).view(-1, *y0.shape)
            ctx.graphs = None
        ctx.kept = len(record.states), len(record.initial_derivatives)
        ctx.problem = problem
        ctx.spans = record.spans
        ctx.save_for_backward(*record.states, *record.initial_derivatives, *problem.read_inputs)
        return ys

    @staticmethod
    @backward_pass
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem, spans = ctx.problem, ctx.spans
        # Unpacked first, since this rejects tensors that were changed after the solve.
        saved, (count, derivatives) = ctx.saved_tensors, ctx.kept
        states = saved[:count]
        time_gradients = ctx.needs_input_grad[4]
        if not problem.runge_kutta.explicit:
            evaluator = Evaluator(problem, time_gradients)
            steps = implicit_steps(problem, evaluator, spans, states)
        elif ctx.graphs is None:
            evaluator = Evaluator(problem, time_gradients)
            step = GraphSteps(problem, evaluator, StepCounts())
            starts = starts_of(spans, states, saved[count : count + derivatives])
            steps = replayed_steps(step, spans, starts)
        else:
            # The graphs are used up on the way; a second backward pass replays the steps.
            evaluator, graphs = ctx.graphs
            ctx.graphs = None
            steps = retained_steps(spans, graphs)
        grads = gradients_of(problem, grad_ys, evaluator, steps, time_gradients)
        return None, None, None, *grads


def evaluated_end(problem: Problem, evaluator: Evaluator, span: Span, y1: Tensor) -> Evaluation:
    """The evaluation at the end of a step at which the solve made none."""
    problem.reenter_step(*span)
    return evaluator.at(span[1], y1)


def solve_recorded(problem: Problem, record: Record) -> tuple[Tensor, Trajectory]:
    """Solve by an explicit method, and record everything that its steps start from."""
    stepper = problem.stepper(problem.stats.forward)
    if problem.tableau.is_pec:
        assert isinstance(stepper, ExplicitRungeKutta)
        record.stepper = stepper
    return solve_forward(problem, record, stepper)


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
        steps: The accepted steps, last step first.
    """
    vjp = VJPAccumulator(evaluator)
    adjoint = RungeKuttaAdjoint(problem, grad_ys.reshape(len(grad_ys), -1), vjp, time_gradients)
    # All methods have their first stage at the start of the step.
    first = None if problem.solver.perturb else problem.func.first
    for (t, t_end), step in steps:
        adjoint.step_back(t, t_end, step)
        if first is not None and t == problem.times[0]:
            check_same_derivative(first, step.stages[0].derivative.detach(), t)
        # Freed before the next step makes its graphs.
        step.stages.clear()
    adjoint.finish()
    problem.leave_step()
    return adjoint.state.view(problem.y0.shape), adjoint.grad_t, *vjp.grads


def replayed_steps(
    step: GraphSteps, spans: Sequence[Span], starts: Sequence[Start]
) -> Iterator[tuple[Span, StepGraph]]:
    """Iterate over the accepted steps, last step first, each evaluated again from its start.

    Args:
        spans: Start and end of the steps.
    """
    for (t, t_end), start in zip(reversed(spans), reversed(starts), strict=True):
        yield (t, t_end), step.replay(t, t_end, start)


def retained_steps(
    spans: Sequence[Span], graphs: list[StepGraph]
) -> Iterator[tuple[Span, StepGraph]]:
    """Iterate over the accepted steps, last step first, with the graphs of the forward solve.

    Args:
        graphs: Graphs of every step; emptied on the way.
    """
    for span in reversed(spans):
        yield span, graphs.pop()
