"""Values inside a step: one small matrix product for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .explicit_tableaus import Tableau

__all__ = [
    "OutputWeights",
    "hermite_interpolation",
    "output_slopes",
    "output_weights",
    "runge_kutta_interpolation",
]


class OutputWeights(NamedTuple):
    """How a value inside a step depends on what the step computed.

    y(t + theta h) = start y0 + end y1 + h (sum_i stages_i k_i + end_derivative f(t + h, y1)).
    The weights are floats, or 0-d tensors when theta is one.
    """

    start: Any
    end: Any
    stages: tuple[Any, ...]
    end_derivative: Any


def output_weights(tableau: Tableau, theta: Any) -> OutputWeights:
    """The interpolant's weights at `theta`: the method's own, else those of cubic Hermite."""
    if tableau.dense is not None:
        stages = tuple(
            sum(c * theta ** (p + 1) for p, c in enumerate(row)) for row in tableau.dense
        )
        return OutputWeights(1.0, 0.0, stages, 0.0)
    start, first, end, last = _hermite(theta)
    return OutputWeights(start, end, (first, *[0.0] * (tableau.stages - 1)), last)


def output_slopes(tableau: Tableau, theta: float) -> OutputWeights:
    """Derivatives of `output_weights` with respect to theta."""
    if tableau.dense is not None:
        stages = tuple(
            sum((p + 1) * c * theta**p for p, c in enumerate(row)) for row in tableau.dense
        )
        return OutputWeights(0.0, 0.0, stages, 0.0)
    first = (1 - theta) * (1 - 3 * theta)
    last = theta * (3 * theta - 2)
    rise = 6 * theta * (1 - theta)
    return OutputWeights(-rise, rise, (first, *[0.0] * (tableau.stages - 1)), last)


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
        [h * weight for weight in output_weights(tableau, theta).stages] for theta in thetas
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
    weights = [[w0, h * d0, w1, h * d1] for w0, d0, w1, d1 in map(_hermite, thetas)]
    return _matrix(weights, y0) @ torch.stack([y0, f0, y1, f1])


def _hermite(theta: Any) -> tuple[Any, Any, Any, Any]:
    """Weights of y0, f0, y1 and f1, with unit step."""
    return (
        (1 + 2 * theta) * (1 - theta) ** 2,
        theta * (1 - theta) ** 2,
        theta**2 * (3 - 2 * theta),
        theta**2 * (theta - 1),
    )


def _matrix(weights: list[list[Any]], like: Tensor) -> Tensor:
    if any(isinstance(weight, Tensor) for weight in weights[0]):
        rows = [torch.stack([torch.as_tensor(w).to(like) for w in row]) for row in weights]
        return torch.stack(rows)
    return torch.tensor(weights, dtype=like.dtype, device=like.device)
