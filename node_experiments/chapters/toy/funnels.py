"""A map that draws the line towards two places: the task of Figure 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .chapter import FunnelsConfig

__all__ = ["FunnelsData", "PointPairs", "RandomPairs", "funnels", "funnels_data"]


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

    train: RandomPairs
    validation: None
    test: list[PointPairs]
    bound: float


class RandomPairs:
    """Batches of uniform points in (-bound, bound), which depend on seed and epoch alone."""

    def __init__(
        self, bound: float, batch_size: int, batches: int, seed: int, device: torch.device | None
    ) -> None:
        self._bound, self._batch_size, self._batches = bound, batch_size, batches
        self._seed, self._device = seed, device
        self.epoch = 0

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[PointPairs]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self.epoch)
        for _ in range(self._batches):
            x = torch.rand(self._batch_size, 1, generator=generator) * 2 - 1
            x = (x * self._bound).to(self._device)
            yield PointPairs(x, funnels(x))


def funnels_data(
    settings: FunnelsConfig, seed: int = 0, device: torch.device | None = None
) -> FunnelsData:
    """The map on (-bound, bound), without noise."""
    bound = settings.bound
    grid = torch.linspace(-bound, bound, 201, device=device).unsqueeze(1)
    train = RandomPairs(bound, settings.batch_size, settings.batches, seed, device)
    return FunnelsData(train, None, [PointPairs(grid, funnels(grid))], bound)
