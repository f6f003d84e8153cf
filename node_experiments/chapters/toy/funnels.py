"""A map of the line that contracts towards two points: the data of Figure 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.seeded_batches import SeededBatches
from .chapter import FunnelsConfig

__all__ = ["FunnelsData", "PointPairs", "funnels", "funnels_data"]


def funnels(x: Tensor) -> Tensor:
    """Return 3 tanh(x), which increases, as it must: trajectories on the line cannot cross."""
    return 3 * torch.tanh(x)


@dataclass
class PointPairs:
    """Inputs and outputs of a map, shape `(batch, 1)` each."""

    x: Tensor
    y: Tensor


@dataclass
class FunnelsData:
    """Random points to train on and a grid to test on, between `-bound` and `bound`."""

    train: SeededBatches[PointPairs]
    validation: None
    test: list[PointPairs]
    bound: float


def funnels_data(
    settings: FunnelsConfig, seed: int = 0, device: torch.device | None = None
) -> FunnelsData:
    """Noise-free samples of the map, with training inputs uniform on (-bound, bound)."""
    bound = settings.bound
    grid = torch.linspace(-bound, bound, 201, device=device).unsqueeze(1)

    def draw(generator: torch.Generator) -> PointPairs:
        x = torch.rand(settings.batch_size, 1, generator=generator) * 2 - 1
        x = (x * bound).to(device)
        return PointPairs(x, funnels(x))

    train = SeededBatches(draw, settings.batches, seed)
    return FunnelsData(train, None, [PointPairs(grid, funnels(grid))], bound)
