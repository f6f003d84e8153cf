"""The hyperbolic tangent, fast on a CPU, and torch's own everywhere else.

torch's takes two to six times as long there as its logistic function. By that one it differs by
rounding of 1, no more than the linear layers that it feeds make of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Tanh", "tanh"]

MANY = 2**14  # numbers from which on a faster tanh outweighs the three operations it is made of


class Tanh(nn.Module):
    """The hyperbolic tangent; keeps the shape."""

    def forward(self, x: Tensor) -> Tensor:
        return tanh(x)


def tanh(x: Tensor) -> Tensor:
    """2 s(2 x) - 1 with the logistic function s; keeps the shape."""
    return _TanhByLogistic.apply(x) if x.numel() >= MANY and own_pays(x) else x.tanh()


def own_pays(x: Tensor) -> bool:
    """Whether torch's own is slow, and ours precise.

    In half precision the rounding of 1 would be all too visible; a compiler vectorises unaided;
    and what a transform of functions could go through would cost as much as it gains.
    """
    precise = x.dtype in (torch.float32, torch.float64)
    transformed = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    return x.device.type == "cpu" and precise and not transformed


class _TanhByLogistic(torch.autograd.Function):
    """Its derivative is read off its result."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return (x + x).sigmoid_().mul_(2).sub_(1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.ops.aten.tanh_backward(grad, *ctx.saved_tensors)

    jvp = backward
