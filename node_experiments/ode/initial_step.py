"""The first step of an adaptive solve."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .norms import Norm

__all__ = ["initial_step"]


def initial_step(
    vector_field: Callable[[float, Tensor], Tensor],
    t0: float,
    t1: float,
    y0: Tensor,
    f0: Tensor,
    error_order: int,
    rtol: float | Tensor,
    atol: float | Tensor,
    max_step: float,
    norm: Norm,
) -> float:
    """First step by the rule of Hairer, Norsett & Wanner I, section II.4.

    It makes an explicit Euler step of about 1 % of the state's size and looks how much the
    derivative changed, for one more evaluation.

    Args:
        vector_field: Maps a time and a state `(n,)` to its derivative `(n,)`.
        y0, f0: State and derivative at t0, shape `(n,)`.
        error_order: Power of h in the local error estimate.
        rtol, atol: One number, or one a component, shape `(n,)`.

    Returns:
        The size |h|, in units of t; NaN when the derivative at t0 is not finite.
    """
    longest = min(abs(t1 - t0), max_step)
    scale = y0.abs().mul_(rtol).add_(atol)
    d0, d1 = torch.stack([norm(y0 / scale), norm(f0 / scale)]).tolist()
    if not math.isfinite(d1):
        return math.nan
    h0 = min(1e-6 if d0 < 1e-5 or d1 < 1e-5 else 0.01 * d0 / d1, longest)
    signed = math.copysign(h0, t1 - t0)
    f1 = vector_field(t0 + signed, torch.add(y0, f0, alpha=signed))
    d2 = float(norm((f1 - f0) / scale)) / h0
    if not math.isfinite(d2):
        return h0
    steepest = max(d1, d2)
    h1 = (0.01 / steepest) ** (1 / error_order) if steepest > 1e-15 else max(1e-6, h0 * 1e-3)
    return min(100 * h0, h1, longest)
