"""Single evaluations of the vector field, each in a small graph of its own.

The hand-written ways to gradients never record the solver's arithmetic. What they need of the
vector field is one evaluation f(t, y, theta) at a time and its vector-Jacobian products; the
gradients of theta are accumulated in place beside the solve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..captured_tensors import refuse_unknown
from ..problem import Problem

__all__ = ["Evaluation", "Evaluator", "Pullback"]


class Evaluation(NamedTuple):
    """dy/dt at one point, with a graph from (t, y, theta) and nothing else.

    Attributes:
        t: Time, 0-d; a leaf of the graph when time gradients are wanted.
        y: State, a leaf of the graph.
        derivative: f(t, y), of the shape of y.
    """

    t: Tensor
    y: Tensor
    derivative: Tensor


class Evaluator:
    """Evaluates a problem's vector field.

    Args:
        problem: The initial value problem.
        time_gradients: Whether the time shall be a leaf of the graphs.

    Attributes:
        args: Arguments of the vector field, with leaves where a gradient is needed.
        shape: Shape of the state.
        retain_graph: Whether the graphs may have parts in common, which are kept.
        inputs: Leaves of the graphs besides time and state: detached copies of the arguments
            that need gradients, then the parameters, as in `problem.inputs`.
    """

    def __init__(self, problem: Problem, time_gradients: bool = False):
        self._problem = problem
        self.shape = problem.y0.shape
        self._time_gradients = time_gradients
        leaves = {
            i: arg.detach().requires_grad_()
            for i, arg in enumerate(problem.args)
            if isinstance(arg, Tensor) and arg.requires_grad
        }
        self.args = tuple(leaves.get(i, arg) for i, arg in enumerate(problem.args))
        # Parameters are read by the vector field itself, so the originals are what to ask for.
        self.inputs = (*leaves.values(), *problem.parameters)
        self._is_checked = not problem.parameters_are_all
        # Given parameters may reach the vector field through a graph that was made outside of
        # it, which every evaluation goes through.
        self.retain_graph = not problem.parameters_are_all

    def __call__(self, t: float, y: Tensor) -> Evaluation:
        """Evaluate at a time and a state of the problem's shape, whose memory is kept.

        Raises:
            ValueError: The vector field reads a tensor whose gradient would be lost.
        """
        time = self._problem.time(t)
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            if self._time_gradients:
                time = time.detach().clone().requires_grad_()
            derivative = self._problem.func(time, y, *self.args)
            if not self._is_checked:
                known = (time, y, *self.inputs)
                refuse_unknown(derivative, known, lambda: self._problem.func(time, y, *self.args))
                self._is_checked = True
        return Evaluation(time, y, derivative)


class Pullback:
    """Vector-Jacobian products of evaluations, with the gradients of their inputs accumulated.

    Attributes:
        grads: Accumulated gradients of `inputs`; None for those that no evaluation depended on.
    """

    def __init__(self, evaluator: Evaluator):
        self._inputs, self._retain_graph = evaluator.inputs, evaluator.retain_graph
        self.grads: list[Tensor | None] = [None] * len(self._inputs)

    def __call__(self, evaluation: Evaluation, cotangent: Tensor, out: Tensor) -> Tensor | None:
        """Write the cotangent of the state into `out`; return that of the time, if it has one.

        Args:
            cotangent: Cotangent of the derivative, shape `(n,)`.
            out: Shape `(n,)`; may not overlap with `cotangent`.
        """
        t, y, derivative = evaluation
        if not derivative.requires_grad:
            out.zero_()
            return None
        times = (t,) if t.requires_grad else ()
        grad_y, *grads = torch.autograd.grad(
            derivative,
            (y, *times, *self._inputs),
            cotangent.view(y.shape).to(derivative.dtype),
            retain_graph=self._retain_graph,
            allow_unused=True,
        )
        if grad_y is None:
            out.zero_()
        else:
            out.view(y.shape).copy_(grad_y)
        self.accumulate(grads[len(times) :])
        return grads[0] if times else None

    def accumulate(self, grads: Sequence[Tensor | None]) -> None:
        """Add gradients of the inputs; None is zero."""
        sums, terms = [], []
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            total = self.grads[i]
            if total is None:
                # A copy, for autograd may return a view of the cotangent.
                self.grads[i] = grad.clone()
            else:
                sums.append(total)
                terms.append(grad)
        if sums:
            torch._foreach_add_(sums, terms)
