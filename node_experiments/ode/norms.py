"""Norms that turn a vector of local errors into one number."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["Norm", "rms_norm", "scaled", "scaled_error"]

Norm = Callable[[Tensor], Tensor]


def rms_norm(x: Tensor) -> Tensor:
    """Root mean square of a flat vector, in at least float32 (Hairer I, eq. II.4.11)."""
    dtype = torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else None
    return torch.linalg.vector_norm(x, dtype=dtype) / x.numel() ** 0.5


def scaled(
    error: Tensor, y0: Tensor, y1: Tensor, rtol: float | Tensor, atol: float | Tensor
) -> Tensor:
    """Local error of each component in multiples of what its tolerance allows, shape `(n,)`.

    Args:
        error: Estimated local error, shape `(n,)`; it is overwritten.
        y0, y1: State at both ends of the step, shape `(n,)`.
        rtol, atol: One number, or one a component, shape `(n,)`.
    """
    scale = torch.maximum(y0.abs(), y1.abs()).mul_(rtol).add_(atol)
    return error.div_(scale)


def scaled_error(
    error: Tensor,
    y0: Tensor,
    y1: Tensor,
    rtol: float | Tensor,
    atol: float | Tensor,
    norm: Norm,
) -> Tensor:
    """The norm of the `scaled` local error: a step is accepted up to 1."""
    return norm(scaled(error, y0, y1, rtol, atol))
