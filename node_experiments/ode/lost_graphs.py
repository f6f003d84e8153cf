"""Detection of derivatives that depend on their state but have lost their graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["GraphCheck", "GraphLost"]


class GraphLost(ValueError):
    """A derivative depends on its state but is in no graph."""


class GraphCheck:
    """Checks that derivatives without a graph, at states that need a gradient, are constant.

    Only a constant derivative may lack a graph. The first one is checked, and the second, the
    fourth, the eighth and so on, since a function may be constant at the start alone.
    """

    def __init__(self) -> None:
        self._number, self._next = 0, 1

    def __call__(
        self,
        func: Callable[..., Any],
        t: Tensor,
        y: Tensor,
        args: Sequence[Any],
        derivative: Tensor,
    ) -> None:
        """Check a derivative that lacks a graph.

        Raises:
            GraphLost: It depends on the state, and its gradient would be lost.
        """
        if torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling():
            return
        self._number += 1
        if self._number == self._next:
            self._next *= 2
            if not _is_constant(func, t, y, args, derivative.clone()):
                raise GraphLost(
                    "the derivative that the vector field returned depends on its state and is in "
                    "no graph, so that gradients would be wrong: it was made by torch.tensor(...),"
                    " .item(), NumPy or .detach(); compute it by torch operations on y, or solve "
                    "under torch.no_grad()"
                )


@torch.no_grad()
def _is_constant(
    func: Callable[..., Any], t: Tensor, y: Tensor, args: Sequence[Any], derivative: Tensor
) -> bool:
    """Whether a function is piecewise constant on both sides of a state.

    A component that jumps nearby does so in one of two intervals; one that depends on the state
    changes in both.

    Args:
        derivative: Its value, in memory that it does not write to.
    """
    if not torch.equal(func(t, y.detach().clone(), *args), derivative):
        return True  # it draws random numbers, or counts its calls
    shift = (1 + y.detach().abs()) * torch.finfo(y.dtype).eps ** 0.5
    for side in (shift, -shift):
        first, second, third = (
            func(t, y.detach() + part * side, *args).clone() for part in (0.25, 0.5, 1)
        )
        if bool(((first != second) & (second != third)).any()):
            return False
    return True
