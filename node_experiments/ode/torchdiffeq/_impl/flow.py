"""The solution as a differentiable function of its output times.

Moving an output time moves the output along the vector field, and moving the start moves the
initial state against it. With a displacement d, which is 0 but needs a gradient, a state is

    y + s f d + (s f_t + f_y f) d^2 / 2,    s = 1 at an output and -1 at the start,

so that first and second derivatives with respect to the times are those of the exact flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["move_in_time", "move_outputs", "move_start"]


def move_start(func: Callable[..., Any], y0: Any, t: Tensor) -> Any:
    """The initial state as a function of the first of the times `t`."""
    return move_in_time(func, t[0], y0, -1.0)


def move_outputs(func: Callable[..., Any], y0: Any, t: Tensor, ys: Any) -> Any:
    """The outputs as functions of their times; `y0` is the first of them."""
    later = [
        move_in_time(func, t[i], pytree.tree_map(lambda leaf, i=i: leaf[i], ys))
        for i in range(1, len(t))
    ]
    return pytree.tree_map(lambda *leaves: torch.stack(leaves), y0, *later)


def move_in_time(func: Callable[..., Any], t: Tensor, y: Any, sign: float = 1.0) -> Any:
    """The state y at t as a function of t, 0-d, with first and second derivatives."""
    leaves, spec = pytree.tree_flatten(y)
    real = leaves[0].real.dtype if leaves[0].is_complex() else leaves[0].dtype
    time = t.detach().to(dtype=real, device=leaves[0].device)
    displacement = (t - t.detach()).to(time)

    def field(time: Tensor, *leaves: Tensor) -> list[Tensor]:
        return pytree.tree_leaves(func(time, pytree.tree_unflatten(leaves, spec)))

    curved = Curvature.apply(field, sign, time, displacement, *leaves)
    steps = zip(leaves, field(time, *leaves), curved, strict=True)
    return pytree.tree_unflatten([y + sign * f * displacement + c for y, f, c in steps], spec)


class Curvature(torch.autograd.Function):
    """The term in d^2; its value is 0, and only second derivatives compute anything for it."""

    @staticmethod
    def forward(
        ctx: Any,
        field: Callable[..., list[Tensor]],
        sign: float,
        time: Tensor,
        displacement: Tensor,
        *leaves: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.field, ctx.sign = field, sign
        ctx.save_for_backward(time, displacement, *leaves)
        return tuple(torch.zeros_like(leaf) for leaf in leaves)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        time, displacement, *leaves = ctx.saved_tensors
        rest = (None,) * len(leaves)
        if not torch.is_grad_enabled():
            return None, None, None, None, *rest
        rate = second_rate(ctx.field, ctx.sign, time, leaves, grads)
        return None, None, None, rate * displacement, *rest


def second_rate(
    field: Callable[..., list[Tensor]],
    sign: float,
    time: Tensor,
    leaves: Sequence[Tensor],
    grads: Sequence[Tensor],
) -> Tensor:
    """The inner product of `grads` with s f_t + f_y f, with a graph."""
    at = time.detach().requires_grad_()
    states = [x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in leaves]
    derivative = field(at, *states)
    recorded = [(f, g) for f, g in zip(derivative, grads, strict=True) if f.requires_grad]
    if not recorded:
        return torch.zeros_like(time)
    along_t, *along_y = torch.autograd.grad(
        [f for f, _ in recorded],
        (at, *states),
        [g for _, g in recorded],
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    products = [
        (a.conj() * f).real.sum() if f.is_complex() else (a * f).sum()
        for a, f in zip(along_y, derivative, strict=True)
    ]
    return torch.stack([sign * along_t, *products]).sum()
