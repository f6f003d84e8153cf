"""Interpolation inside a step, by one small matrix product for all values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor

from .base import ConstantCache, Time
from .butcher_tableau import Tableau, hermite_weights

__all__ = [
    "OutputWeights",
    "dense_weights",
    "hermite_interpolation",
    "linear_interpolation",
    "output_slopes",
    "output_weights",
    "runge_kutta_interpolation",
    "weighted_sum",
]


class OutputWeights(NamedTuple):
    """Weights that express a value inside a step by the quantities of the step.

    y(t + theta h) = start y0 + end y1 + h (sum_i stages_i k_i + end_derivative f(t + h, y1)).
    The weights are floats, or 0-d tensors when theta is one.
    """

    start: Time
    end: Time
    stages: tuple[Time, ...]
    end_derivative: Time


def linear_interpolation(y0: Tensor, y1: Tensor, thetas: Sequence[float]) -> Tensor:
    """States on the line between the ends of a step, shape `(len(thetas), *state)`."""
    return torch.lerp(y0, y1, y0.new_tensor(thetas).view(-1, *[1] * y0.dim()))


def output_weights(tableau: Tableau, theta: Time) -> OutputWeights:
    """The interpolant's weights at `theta`: the method's own, else those of cubic Hermite."""
    if tableau.dense is not None:
        stages = tuple(
            sum(c * theta ** (p + 1) for p, c in enumerate(row)) for row in tableau.dense
        )
        return OutputWeights(1.0, 0.0, stages, 0.0)
    start, first, end, last = hermite_weights(theta)
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
    tableau: Tableau, y0: Tensor, stages: Tensor, h: Time, thetas: Sequence[Time]
) -> Tensor:
    """The method's own continuous extension (Hairer, Norsett & Wanner I, section II.6).

    Args:
        y0: State at the start of the step.
        stages: Derivatives of the step, shape `(stage, n)`.
        thetas: Positions inside the step, from 0 to 1.

    Returns:
        States `y(t + theta h)`, shape `(len(thetas), *state)`.
    """
    assert tableau.dense is not None
    if any(isinstance(theta, Tensor) for theta in thetas):
        rows = [output_weights(tableau, theta).stages for theta in thetas]
        weights = _matrix([[h * weight for weight in row] for row in rows], y0)
    else:
        positions = torch.tensor(thetas, dtype=torch.float64, device="cpu")
        weights = (h * dense_weights(tableau, positions)).to(y0.device, y0.dtype)
    states = torch.addmm(y0.reshape(-1), weights, stages)
    return states.view(len(thetas), *y0.shape)


def dense_weights(tableau: Tableau, thetas: Tensor) -> Tensor:
    """The weights of the stages in the method's own interpolant, shape `(len(thetas), stage)`.

    Args:
        thetas: Positions inside the step, from 0 to 1, in double precision on the CPU.
    """
    matrix = DENSE[tableau]
    return thetas.unsqueeze(1) ** torch.arange(1, len(matrix) + 1, device="cpu") @ matrix


def dense_matrix(tableau: Tableau) -> Tensor:
    """Coefficients of the powers of theta in the weights of stages, shape `(power, stage)`."""
    assert tableau.dense is not None
    rows = list(zip_longest(*tableau.dense, fillvalue=0.0))
    return torch.tensor(rows, dtype=torch.float64, device="cpu")


DENSE = ConstantCache(dense_matrix)


def hermite_interpolation(
    y0: Tensor, f0: Tensor, y1: Tensor, f1: Tensor, h: Time, thetas: Sequence[Time]
) -> Tensor:
    """Cubic Hermite interpolation, of order 3 in h, for methods without an interpolant.

    Args:
        y0, f0, y1, f1: State and derivative at both ends of the step.
        thetas: Positions inside the step, from 0 to 1.

    Returns:
        States `y(t + theta h)`, shape `(len(thetas), *state)`.
    """
    weights = [[w0, h * d0, w1, h * d1] for w0, d0, w1, d1 in map(hermite_weights, thetas)]
    states = _matrix(weights, y0) @ torch.stack([y0, f0, y1, f1]).view(4, -1)
    return states.view(len(thetas), *y0.shape)


def weighted_sum(weights: Sequence[float], vectors: Sequence[Tensor]) -> Tensor:
    """sum_i weights[i] vectors[i]."""
    matrix = torch.stack(list(vectors)).view(len(vectors), -1)
    return torch.mv(matrix.t(), matrix.new_tensor(weights)).view(vectors[0].shape)


def _matrix(weights: list[list[Time]], like: Tensor) -> Tensor:
    if any(isinstance(weight, Tensor) for weight in weights[0]):
        rows = [torch.stack([torch.as_tensor(w).to(like) for w in row]) for row in weights]
        return torch.stack(rows)
    return torch.tensor(weights, dtype=like.dtype, device=like.device)
