"""Activations that are fast on a CPU, and torch's own everywhere else.

torch computes the exponential linear unit by `expm1`, which on some processors is slow in a
process that never took a vectorised power (half of the time of a small vector field), and its
`tanh` takes two to six times as long as its logistic function. By `exp` and by the logistic
function they differ by rounding of 1, no more than the linear layers that they feed make of it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ELU", "Tanh", "tanh"]

MANY = 2**14  # numbers from which on a faster tanh outweighs the three operations it is made of


class ELU(nn.Module):
    """x where it is positive, else exp(x) - 1 (Clevert et al. 2016); keeps the shape."""

    def forward(self, x: Tensor) -> Tensor:
        return _ELUByExp.apply(x) if own_pays(x) else F.elu(x)


class Tanh(nn.Module):
    """The hyperbolic tangent; keeps the shape."""

    def forward(self, x: Tensor) -> Tensor:
        return tanh(x)


def tanh(x: Tensor) -> Tensor:
    """2 s(2 x) - 1 with the logistic function s; keeps the shape."""
    return _TanhByLogistic.apply(x) if x.numel() >= MANY and own_pays(x) else x.tanh()


def own_pays(x: Tensor) -> bool:
    """Whether torch's own is slow, and ours precise.

    In half precision the rounding of 1 would be all too visible; a compiler vectorises by itself;
    and what a transform of functions could go through would cost as much as it gains.
    """
    precise = x.dtype in (torch.float32, torch.float64)
    transformed = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    return x.device.type == "cpu" and precise and not transformed


class _OfResult(torch.autograd.Function):
    """A function whose derivative is read off its result."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)


class _ELUByExp(_OfResult):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.maximum(x.clamp(max=0).exp_().sub_(1), x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.ops.aten.elu_backward(grad, 1.0, 1.0, 1.0, True, *ctx.saved_tensors)

    jvp = backward


class _TanhByLogistic(_OfResult):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return (x + x).sigmoid_().mul_(2).sub_(1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.ops.aten.tanh_backward(grad, *ctx.saved_tensors)

    jvp = backward
