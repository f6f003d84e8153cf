"""Building blocks of hand-written backward passes.

They never record the solver's arithmetic. All they need of the vector field are evaluations
f(t, y, theta), each with a small separate graph, and their vector-Jacobian products; the gradients
of theta are accumulated in place. An evaluation that is repeated must give the same result as in
the solve; see `changed_field`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..captured_tensors import leaves_of, reject_captured
from ..problem import Problem

__all__ = [
    "CHANGED",
    "Evaluation",
    "Evaluator",
    "VJPAccumulator",
    "backward_pass",
    "check_field_unchanged",
    "check_same_derivative",
    "forward_pass",
]


Backward = Callable[[Any, Tensor], tuple[Tensor | None, ...]]


def forward_pass(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorate the `forward` of an autograd function.

    Autograd switches forward-mode differentiation off there, which the vector field may use for
    itself (`torch.autograd.forward_ad`). No input of a solve is a dual tensor; see `transformed`.
    """

    @functools.wraps(function)
    def forward(ctx: Any, *args: Any) -> Tensor:
        with torch.autograd.forward_ad._set_fwd_grad_enabled(True):
            return function(ctx, *args)

    return forward


def backward_pass(function: Backward) -> Backward:
    """Decorate the `backward` of an autograd function.

    It runs without a graph and in the precision of the state. Its gradients can therefore not be
    differentiated again, and trying to raises an error; torch's `once_differentiable` silently
    drops second derivatives where the gradients that arrive need no gradients themselves.
    """

    @functools.wraps(function)
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        problem = ctx.problem
        # Compared by name: Python has no other access to the key of autograd's older vmap.
        if "Batched" in str(torch._C._dispatch_keys(grad_ys)):
            raise NotImplementedError(BATCHED)
        if changed := problem.constants.changed:
            from ..changed_field import reject_if_read

            reject_if_read(problem, changed)
        precision: AbstractContextManager[None] = nullcontext()
        if torch.is_autocast_enabled(grad_ys.device.type):
            from ..autocast import full_precision

            precision = full_precision(grad_ys.device)
        parameters: AbstractContextManager[None] = nullcontext()
        replaced = any(x.holder.get(x.name, x.tensor) is not x.tensor for x in problem.weights)
        if replaced or any(x._backward_hooks or x.retains_grad for x in problem.parameters):
            from .parameters_in_backward import parameters_of_the_solve

            parameters = parameters_of_the_solve(problem)
        with torch.no_grad(), precision, parameters:
            grads = function(ctx, grad_ys)
        if not torch.is_grad_enabled():
            return grads
        read = () if problem.compilation is None else problem.compilation.field.tensors
        sources = (grad_ys, problem.y0, problem.t, *problem.inputs, *read)
        return OnceDifferentiable.apply(len(sources), *sources, *grads)

    return backward


BATCHED = (
    "this gradient method takes one gradient at a time and no batch of gradients, as made by "
    "jacobian(vectorize=True), torch.func.vmap and is_grads_batched=True; leave them out, or "
    "use gradient='backprop'"
)


class OnceDifferentiable(torch.autograd.Function):
    """Passes gradients on, and raises an error when they are differentiated.

    The tensors that they depend on are inputs, so that autograd reaches this node and its error;
    otherwise second derivatives would silently be zero.
    """

    @staticmethod
    def forward(ctx: Any, sources: int, *tensors: Tensor | None) -> tuple[Tensor | None, ...]:
        grads = tensors[sources:]
        return tuple(None if grad is None else grad.view_as(grad) for grad in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(
            "this gradient method gives no second derivatives, which the gradient of a gradient "
            "(create_graph=True) needs; use gradient='backprop'"
        )


class Evaluation(NamedTuple):
    """dy/dt at one point, with a graph of this evaluation alone, from (t, y, theta).

    Attributes:
        t: Time, 0-d; a leaf of the graph when time gradients are wanted.
        y: State, a leaf of the graph.
        derivative: f(t, y), of the shape of y.
    """

    t: Tensor
    y: Tensor
    derivative: Tensor


class Evaluator:
    """Evaluates a problem's vector field, each time with a separate graph.

    Args:
        problem: The initial value problem.
        time_gradients: Whether the time should be a leaf of the graphs.

    Attributes:
        args: Arguments of the vector field, with leaves where a gradient is needed.
        shape: Shape of the state.
        retain_graph: Whether the graphs may share parts, which must then be kept.
        inputs: Leaves of the graphs besides time and state: detached copies of the arguments
            that need gradients, then the parameters, as in `problem.inputs`.
    """

    def __init__(self, problem: Problem, time_gradients: bool = False):
        self._problem = problem
        self.shape = problem.y0.shape
        self._time_gradients = time_gradients
        leaves = {i: problem.args[i].detach().requires_grad_() for i in problem.differentiated}
        self.args = tuple(leaves.get(i, arg) for i, arg in enumerate(problem.args))
        # The vector field itself reads the parameters, so gradients are those of the originals.
        self.inputs = (*leaves.values(), *map(differentiable, problem.parameters))
        self._checks = problem.parameters_are_all
        # A tensor that needed no gradient in the solve has none from it, even if it needs one now.
        self._known = frozenset(
            map(id, (*leaves.values(), *problem.parameters, *problem.constants.tensors))
        )
        self._own = 0  # leaves that each evaluation creates for itself
        # Given parameters may enter the vector field through a graph made outside of it, which
        # all evaluations share.
        self.retain_graph = not problem.parameters_are_all

    def at(self, t: float, y: Tensor) -> Evaluation:
        """Evaluate at a host time and a state of any shape with the right number of elements."""
        return self(self._problem.time(t), y.view(self.shape))

    def __call__(self, time: Tensor, y: Tensor) -> Evaluation:
        """Evaluate at a time and a state of the problem's shape, which is not copied.

        Raises:
            ValueError: The vector field reads a tensor whose gradient would be lost.
        """
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            if self._time_gradients:
                time = time.detach().clone().requires_grad_()
            derivative = self._problem.func(time, y, *self.args)
            self.reject_unknown(
                [derivative], (time, y), lambda: [self._problem.func(time, y, *self.args)]
            )
        return Evaluation(time, y, derivative)

    def reject_unknown(
        self,
        results: Sequence[Tensor],
        leaves: Iterable[Tensor],
        again: Callable[[], Sequence[Tensor]],
    ) -> None:
        """Check that a graph of the vector field has no other leaves than the known ones.

        Every graph is checked, since a field may read a tensor at a single time; this takes about
        a hundredth of the time of the evaluation.

        Args:
            results: The outputs of the graph.
            leaves: The leaves of the graph besides `inputs`.
            again: Computes the results once more, for fields that create leaves themselves.

        Raises:
            ValueError: The gradient of a leaf would be lost.
        """
        if not self._checks:
            return
        own = {id(leaf) for leaf in leaves}
        found = leaves_of(results)
        unknown = [x for x in found if id(x) not in self._known and id(x) not in own]
        if len(unknown) != self._own:
            with torch.enable_grad():
                reject_captured(unknown, again())
            self._own = len(unknown)


def differentiable(x: Tensor) -> Tensor:
    """A tensor with respect to which autograd differentiates.

    In place of one that was frozen since the solve this is another one, on which nothing depends:
    the flag of the first is shared with other threads.
    """
    return x if x.requires_grad else x.detach().requires_grad_()


class VJPAccumulator:
    """Vector-Jacobian products of evaluations; accumulates the gradients of their inputs.

    Attributes:
        grads: Accumulated gradients of `inputs`; None for those that no evaluation depended on.
    """

    def __init__(self, evaluator: Evaluator):
        self._inputs = tuple(map(differentiable, evaluator.inputs))
        self._retain_graph = evaluator.retain_graph
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
        """Add gradients of the inputs; None counts as zero."""
        sums, terms = [], []
        for i, grad in enumerate(grads):
            if grad is None:
                continue
            total = self.grads[i]
            if total is None:
                # A copy, since autograd may return a view of the cotangent.
                self.grads[i] = grad.clone()
            else:
                sums.append(total)
                terms.append(grad)
        if sums:
            torch._foreach_add_(sums, terms)


RELATIVE_TOLERANCE = 1e-3  # of the largest derivative: far more than rounding


EPS_MULTIPLE = 20  # likewise, in multiples of the machine epsilon


def check_field_unchanged(problem: Problem) -> None:
    """Check that the vector field at the initial time still gives what it gave in the solve.

    For backward passes that do not evaluate it there anyway.

    Raises:
        RuntimeError: Its derivative differs by more than rounding.
    """
    if problem.func.first is not None and not problem.solver.perturb:
        problem.stats.backward.evaluations += 1
        now = problem.func(problem.time(problem.times[0]), problem.y0.detach(), *problem.args)
        check_same_derivative(problem.func.first, now.detach(), problem.times[0])


def check_same_derivative(before: Tensor, now: Tensor, t: float) -> None:
    """Check that two derivatives at the same time and state agree up to rounding.

    Args:
        before: Derivative in the solve.
        now: Derivative in its backward pass.
        t: The time, for the message.

    Raises:
        RuntimeError: They differ by more than rounding.
    """
    resolution = max(torch.finfo(before.dtype).eps, torch.finfo(now.dtype).eps)
    size, apart = before.abs().max(), (now.to(before.dtype) - before).abs().max()
    if bool(apart > max(RELATIVE_TOLERANCE, EPS_MULTIPLE * resolution) * size):
        found = (
            f"at t={t:g} the relative difference of the derivatives is {float(apart / size):.2g}"
        )
        raise RuntimeError(CHANGED.format(found))


CHANGED = (
    "the vector field differs between the solve and its backward pass: {}. Something that it "
    "reads, such as a loop variable, an attribute, training mode or weights, changed in between "
    "(spectral_norm in training mode changes its weight at every evaluation); call backward() "
    "before it changes, pass it in args=(...), or use gradient='backprop'"
)
