"""The exponential linear unit (Clevert et al. 2016), fast on a CPU.

torch computes it by `expm1`, which on some processors is slow in a process that never took a
vectorised power: half of the time of a small vector field. By `exp` it differs by rounding of 1,
no more than the linear layer that it feeds makes of it anyway.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ELU"]


class ELU(nn.Module):
    """x where it is positive, else exp(x) - 1; keeps the shape."""

    def forward(self, x: Tensor) -> Tensor:
        # In half precision the rounding of 1 would be all too visible; a compiler vectorises by
        # itself; and what a transform could go through would cost as much as it gains.
        precise = x.dtype in (torch.float32, torch.float64)
        transformed = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        if x.device.type == "cpu" and precise and not transformed:
            return _ByExp.apply(x)
        return F.elu(x)


class _ByExp(torch.autograd.Function):
    """The derivative is read off the result: y + 1 where x is negative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.maximum(x.clamp(max=0).exp_().sub_(1), x)
        ctx.save_for_backward(y)
        ctx.save_for_forward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return _times_derivative(grad, *ctx.saved_tensors)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor) -> Tensor:
        return _times_derivative(tangent, *ctx.saved_tensors)


def _times_derivative(x: Tensor, y: Tensor) -> Tensor:
    return torch.ops.aten.elu_backward(x, 1.0, 1.0, 1.0, True, y)
