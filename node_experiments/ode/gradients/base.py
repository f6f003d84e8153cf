"""What every way to gradients offers, and what their backward passes have in common."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from ..autocast import full_precision
from ..integrate import Trajectory
from ..problem import Problem

__all__ = ["Gradient", "backward_pass"]

Backward = Callable[[Any, Tensor], tuple[Tensor | None, ...]]


class Gradient(Protocol):
    """Solves a problem such that its outputs can be differentiated.

    It meets the rest of the solver in the problem and in the accepted steps; it knows nothing of
    step control, and the loop knows nothing of it.
    """

    def solve(self, problem: Problem) -> tuple[Tensor, Trajectory]:
        """States at the output times that were reached, shape `(time, *state)`."""
        ...


def backward_pass(function: Backward) -> Backward:
    """Makes a backward solve the `backward` of an autograd function.

    It runs without a graph and in the precision of the state. Its gradients can therefore not be
    differentiated again, and say so when that is tried: torch's `once_differentiable` drops the
    second derivatives in silence where the gradients that arrive do not need any themselves.
    """

    @functools.wraps(function)
    def backward(ctx: Any, grad_ys: Tensor) -> tuple[Tensor | None, ...]:
        # By its name, for the key of autograd's older vmap has no other in Python.
        if "Batched" in str(torch._C._dispatch_keys(grad_ys)):
            raise NotImplementedError(BATCHED)
        ctx.problem.constants.refuse_changes()
        with (
            torch.no_grad(),
            full_precision(grad_ys.device),
            hooks_set_aside(ctx.problem.parameters),
        ):
            grads = function(ctx, grad_ys)
        if not torch.is_grad_enabled():
            return grads
        return OnceDifferentiable.apply(torch.zeros((), requires_grad=True), *grads)

    return backward


BATCHED = (
    "this gradient method takes one gradient at a time, and no batch of them, which "
    "jacobian(vectorize=True), torch.func.vmap and is_grads_batched=True make; leave them out, or "
    "take gradient='backprop'"
)


@contextmanager
def hooks_set_aside(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Without the hooks that the user registered on parameters (`Tensor.register_hook`).

    They are to run once, on the whole gradient, when autograd hands it on. Inside, each gradient
    of a parameter is that of a single evaluation, and autograd would run them on every one.
    """
    hooks = [(p, p._backward_hooks) for p in parameters if p.is_leaf and p._backward_hooks]
    for p, _ in hooks:
        p._backward_hooks = None
    try:
        yield
    finally:
        for p, registered in hooks:
            p._backward_hooks = registered


class OnceDifferentiable(torch.autograd.Function):
    """Hands gradients on; to differentiate them is an error."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        return tuple(None if grad is None else grad.view_as(grad) for grad in grads)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        raise NotImplementedError(
            "this way to gradients gives no second derivatives, which the gradient of a gradient "
            "(create_graph=True) needs; take gradient='backprop'"
        )
