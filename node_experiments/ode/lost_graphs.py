"""Detection of derivatives that depend on their state but have lost their graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["GraphLost", "check_graph"]


class GraphLost(ValueError):
    """A derivative depends on its state but is in no graph."""


def check_graph(
    func: Callable[..., Any], t: Tensor, y: Tensor, args: Sequence[Any], derivative: Tensor
) -> None:
    """Check that a derivative without a graph, at a state that needs a gradient, is constant.

    Only a constant derivative may lack a graph. Its values at nearby states are compared in two
    directions: a piecewise constant function may jump here, but does so in only one of them.

    Raises:
        GraphLost: The derivative depends on the state, and its gradient would be lost.
    """
    if torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling():
        return
    derivative = derivative.clone()  # the vector field may write to it again
    with torch.no_grad():
        if not torch.equal(func(t, y.detach().clone(), *args), derivative):
            return  # it draws random numbers, or counts its calls
        shift = (1 + y.detach().abs()) * torch.finfo(y.dtype).eps ** 0.5
        nearby = [func(t, y.detach() + sign * shift, *args).clone() for sign in (1, -1)]
        if any(torch.equal(value, derivative) for value in nearby):
            return
    raise GraphLost(
        "the derivative that the vector field returned depends on its state and is in no graph, "
        "so that gradients would be wrong: it was made by torch.tensor(...), .item(), NumPy or "
        ".detach(); compute it by torch operations on y, or solve under torch.no_grad()"
    )
