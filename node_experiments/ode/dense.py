"""Values inside a step: one small matrix product for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .tableaus import Tableau

__all__ = ["hermite_interpolation", "runge_kutta_interpolation"]


def runge_kutta_interpolation(
    tableau: Tableau, y0: Tensor, stages: Tensor, h: float, thetas: Sequence[float]
) -> Tensor:
    """The method's own continuous extension (Hairer, Norsett & Wanner I, section II.6).

    Args:
        y0: State at the start of the step, shape `(n,)`.
        stages: Derivatives of the step, shape `(stage, n)`.
        thetas: Positions inside the step, from 0 to 1.

    Returns:
        States `y(t + theta h)`, shape `(len(thetas), n)`.
    """
    assert tableau.dense is not None
    weights = [
        [h * sum(c * theta ** (p + 1) for p, c in enumerate(row)) for row in tableau.dense]
        for theta in thetas
    ]
    return torch.addmm(y0, _matrix(weights, y0), stages)


def hermite_interpolation(
    y0: Tensor, f0: Tensor, y1: Tensor, f1: Tensor, h: float, thetas: Sequence[float]
) -> Tensor:
    """Cubic Hermite interpolation, of order 3 in h, for methods without one of their own.

    Args:
        y0, f0, y1, f1: State and derivative at both ends of the step, shape `(n,)`.
        thetas: Positions inside the step, from 0 to 1.

    Returns:
        States `y(t + theta h)`, shape `(len(thetas), n)`.
    """
    weights = [
        [
            (1 + 2 * theta) * (1 - theta) ** 2,
            h * theta * (1 - theta) ** 2,
            theta**2 * (3 - 2 * theta),
            h * theta**2 * (theta - 1),
        ]
        for theta in thetas
    ]
    return _matrix(weights, y0) @ torch.stack([y0, f0, y1, f1])


def _matrix(weights: list[list[float]], like: Tensor) -> Tensor:
    return torch.tensor(weights, dtype=like.dtype, device=like.device)
