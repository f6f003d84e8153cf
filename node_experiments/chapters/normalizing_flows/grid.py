"""The density of a flow on a grid, to draw it and to check that it integrates to 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["integral", "log_density_on", "square_grid"]

POINTS = 128  # along each side, so that the grid is one solve
CHUNK = 16_384  # points per solve


def square_grid(half_width: float, points: int) -> Tensor:
    """Points `(points, points, 2)` of a square around 0, rows along the second coordinate."""
    axis = torch.linspace(-half_width, half_width, points)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)


def log_density_on(log_prob: Callable[[Tensor], Tensor], grid: Tensor) -> Tensor:
    """Log-density at the points of a grid `(..., 2)`, in nats, shape `(...)`."""
    flat = grid.reshape(-1, grid.shape[-1])
    return torch.cat([log_prob(some) for some in flat.split(CHUNK)]).view(grid.shape[:-1])


def integral(model: Any, samples: Tensor) -> float:
    """Integral of the density of a flow in the plane, by the rectangle rule.

    Args:
        samples: Points of the flow `(batch, 2)`; the domain of integration is their bounding box,
            extended by a tenth on each side.
    """
    low, high = samples.min(0).values, samples.max(0).values
    pad = 0.1 * (high - low)
    low, high = low - pad, high + pad
    grid = (square_grid(1.0, POINTS).to(samples) + 1) / 2 * (high - low) + low
    cell = float(((high - low) / (POINTS - 1)).prod())
    return float(log_density_on(model.log_prob, grid).double().exp().sum()) * cell
