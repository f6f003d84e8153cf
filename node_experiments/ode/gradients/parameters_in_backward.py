"""Parameters with hooks, or replaced since the solve, while a backward pass evaluates a field.

They are shared with all threads, so that neither their hooks nor their flags are changed.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn

from ..captured_tensors import Weight
from ..problem import Problem

__all__ = ["parameters_of_the_solve"]


@contextmanager
def parameters_of_the_solve(problem: Problem) -> Iterator[None]:
    """Give the vector field the parameters that it had in the solve, without their hooks."""
    with weights_of_the_solve(problem), hooks_disabled(problem.parameters):
        yield


@contextmanager
def weights_of_the_solve(problem: Problem) -> Iterator[None]:
    """Give the vector field the parameters that it had in the solve.

    `torch.func.functional_call` around a solve replaces them for that time alone. Other threads
    wait: they would take the parameters of this solve for those to put back.
    """
    with WEIGHTS_LOCK:
        weights = problem.weights
        replaced = [(*each, each.holder[each.name]) for each in weights if is_replaced(each)]
        if replaced:
            for holder, name, x, _ in replaced:
                holder[name] = cast("nn.Parameter", x)
            try:
                yield
            finally:
                for holder, name, _, now in replaced:
                    holder[name] = now
            return
    yield


WEIGHTS_LOCK = threading.RLock()


def is_replaced(weight: Weight) -> bool:
    """Whether the module holds another parameter by now."""
    return weight.holder.get(weight.name, weight.tensor) is not weight.tensor


@contextmanager
def hooks_disabled(parameters: Sequence[Tensor]) -> Iterator[None]:
    """Disable the user's hooks on parameters (`Tensor.register_hook` and `retain_grad`).

    They must run once, on the whole gradient, when autograd passes it on. Inside this context each
    gradient of a parameter is that of a single evaluation, and autograd would run them on each.
    Parameters are shared by all threads, so that hooks are not taken off: each is wrapped, once
    and for good, in one that does nothing where this context is entered.
    The hook of `retain_grad` cannot be disabled; what it adds is discarded.
    """
    retained = [(p, p.grad) for p in parameters if p.retains_grad and not p.is_leaf]
    for p, _ in retained:
        p.grad = None
    hooks = [p._backward_hooks for p in parameters if p.is_leaf and p._backward_hooks]
    before = disabled_hooks()
    if hooks:
        wrapped = chain.from_iterable(wrapped_hooks(each) for each in hooks)
        torch._C._stash_obj_in_tls(DISABLED, before.union(wrapped))
    try:
        yield
    finally:
        if hooks:
            torch._C._stash_obj_in_tls(DISABLED, before)
        for p, grad in retained:
            p.grad = grad


DISABLED = "node_experiments.ode: hooks of parameters that are disabled"
HOOKS_LOCK = threading.Lock()
Hook = Callable[[Tensor], Tensor | None]


def disabled_hooks() -> frozenset[Hook]:
    """The hooks that are disabled here.

    Autograd carries this value of a thread to the other threads that work for it.
    """
    if not torch._C._is_key_in_tls(DISABLED):
        return frozenset()
    return torch._C._get_obj_in_tls(DISABLED)


class CanBeDisabled:
    """A hook of a parameter that does nothing where it is among the `disabled_hooks`."""

    def __init__(self, hook: Hook):
        functools.update_wrapper(self, hook)
        self._hook = hook

    def __call__(self, grad: Tensor) -> Tensor | None:
        return None if self in disabled_hooks() else self._hook(grad)


def wrapped_hooks(registered: dict[int, Hook]) -> list[Hook]:
    """Wrap the hooks of a tensor in place, under the keys by which they can be removed."""
    with HOOKS_LOCK:
        for key, hook in list(registered.items()):
            if not isinstance(hook, CanBeDisabled):
                registered[key] = CanBeDisabled(hook)
        return list(registered.values())
