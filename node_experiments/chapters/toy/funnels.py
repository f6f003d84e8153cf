"""A map that draws the line towards two places: the task of Figure 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.seeded_batches import SeededBatches
from .chapter import FunnelsConfig

__all__ = ["FunnelsData", "PointPairs", "funnels", "funnels_data"]


def funnels(x: Tensor) -> Tensor:
    """Y = 3 tanh(x). It rises everywhere: trajectories of an ODE on the line cannot cross."""
    return 3 * torch.tanh(x)


@dataclass
class PointPairs:
    """Inputs and what they are mapped to, each of shape `(batch, 1)`."""

    x: Tensor
    y: Tensor


@dataclass
class FunnelsData:
    """Random points to train on, a grid to test on; `bound` is their largest size."""

    train: SeededBatches[PointPairs]
    validation: None
    test: list[PointPairs]
    bound: float


def funnels_data(
    settings: FunnelsConfig, seed: int = 0, device: torch.device | None = None
) -> FunnelsData:
    """The map on (-bound, bound), without noise; inputs are uniform."""
    bound = settings.bound
    grid = torch.linspace(-bound, bound, 201, device=device).unsqueeze(1)

    def draw(generator: torch.Generator) -> PointPairs:
        x = torch.rand(settings.batch_size, 1, generator=generator) * 2 - 1
        x = (x * bound).to(device)
        return PointPairs(x, funnels(x))

    train = SeededBatches(draw, settings.batches, seed)
    return FunnelsData(train, None, [PointPairs(grid, funnels(grid))], bound)
