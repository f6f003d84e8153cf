"""Concentric spheres: g(x) = -1 inside the ball, 1 in the shell around it (Dupont et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ...data.seeded_batches import epoch_generator
from .settings import SpheresConfig

__all__ = ["SphereData", "SpherePoints", "draw_spheres", "sphere_data"]


@dataclass
class SpherePoints:
    """Points `(batch, dim)`, and their classes -1 or 1, `(batch,)`."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)


def draw_spheres(settings: SpheresConfig, size: int, generator: Generator) -> SpherePoints:
    """Draw a third of the points in the ball, the rest in the shell, uniformly in each volume."""
    dim, inside = settings.dim, size // 3
    direction = torch.randn(size, dim, generator=generator)
    u = torch.rand(size, generator=generator)
    low, high = (radius**dim for radius in settings.shell)
    ball = settings.inner * u[:inside] ** (1 / dim)
    shell = (low + (high - low) * u[inside:]) ** (1 / dim)
    radius = torch.cat([ball, shell]).unsqueeze(1)
    y = torch.ones(size)
    y[:inside] = -1
    return SpherePoints(radius * direction / direction.norm(dim=1, keepdim=True), y)


class ShuffledBatches:
    """Batches of all points, in a different order in each epoch."""

    def __init__(self, points: SpherePoints, batch_size: int, seed: int) -> None:
        self._points, self._size, self._seed = points, batch_size, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._points) // self._size

    def __iter__(self) -> Iterator[SpherePoints]:
        x, y = self._points.x, self._points.y
        order = torch.randperm(len(y), generator=epoch_generator(self._seed, self.epoch))
        for k in range(len(self)):
            some = order[k * self._size : (k + 1) * self._size].to(x.device)
            yield SpherePoints(x[some], y[some])


@dataclass
class SphereData:
    """Points for training, and others for testing."""

    train: ShuffledBatches
    validation: None
    test: list[SpherePoints]
    dim: int


def sphere_data(
    settings: SpheresConfig, seed: int = 0, device: torch.device | None = None
) -> SphereData:
    """Draw training and test points of both classes."""
    generator = torch.Generator().manual_seed(seed)
    train, test = (
        draw_spheres(settings, size, generator) for size in (settings.points, settings.test_size)
    )
    train, test = (SpherePoints(part.x.to(device), part.y.to(device)) for part in (train, test))
    return SphereData(
        ShuffledBatches(train, settings.batch_size, seed), None, [test], settings.dim
    )
