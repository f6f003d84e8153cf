"""One scene: a cloud of smoke, and the target shape that it should take."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.seeded_batches import SeededBatches
from .periodic_fluid import PeriodicFluid
from .settings import SmokeConfig

__all__ = ["Scene", "SmokeBatch", "SmokeData", "shape", "smoke_data"]

FINE = 4  # sample points along a side of a grid cell, to measure the fraction in a shape
BLUR = 1.0  # standard deviation of the smoothed edge, in grid cells
START, END = (0.5, 0.3), (0.5, 0.62)  # centres (x, y) of smoke and target


def heart(x: Tensor, y: Tensor) -> Tensor:
    """Whether points are inside a heart, (x^2 + y^2 - 1)^3 <= x^2 y^3."""
    return (x**2 + y**2 - 1) ** 3 <= x**2 * y**3


def star(x: Tensor, y: Tensor) -> Tensor:
    """Whether points are inside a star with five rounded tips."""
    angle = torch.atan2(x, y)
    return (x**2 + y**2).sqrt() <= 1 + 0.35 * torch.cos(5 * angle)


SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "disk": lambda x, y: x**2 + y**2 <= 1,
    "heart": heart,
    "star": star,
    "square": lambda x, y: torch.maximum(x.abs(), y.abs()) <= 1,
}


def shape(name: str, size: int, area: float, centre: tuple[float, float]) -> Tensor:
    """Smoke of density 1 in a shape, with a smooth edge, `(size, size)` as (y, x).

    Args:
        area: Fraction of the box that it fills, equal to the mean density.
    """
    reach = torch.linspace(-1.5, 1.5, 1501)
    inside = SHAPES[name](reach, reach.unsqueeze(1))
    scale = math.sqrt(area / (9 * float(inside.double().mean())))
    points = (torch.arange(FINE * size) + 0.5) / (FINE * size)
    fine = SHAPES[name]((points - centre[0]) / scale, (points.unsqueeze(1) - centre[1]) / scale)
    density = fine.double().view(size, FINE, size, FINE).mean((1, 3))
    k = torch.fft.fftfreq(size, 1 / size, dtype=torch.float64).abs()
    squares = k.unsqueeze(1).square() + k[: size // 2 + 1].square()
    blur = torch.exp(-0.5 * (2 * math.pi * BLUR / size) ** 2 * squares)
    density = torch.fft.irfft2(blur * torch.fft.rfft2(density), s=(size, size))
    return (density * (area / density.mean())).float()


@dataclass
class SmokeBatch:
    """The scene as a batch of one.

    Attributes:
        smoke, target: Smoke at the first time and target at the last, each `(1, size, size)`.
        times: The first and the last time, shape `(2,)`.
    """

    smoke: Tensor
    target: Tensor
    times: Tensor

    def __len__(self) -> int:
        return 1


@dataclass
class Scene:
    """Parameters of the fluid of a scene."""

    size: int
    span: float
    viscosity: float
    diffusivity: float
    buoyancy: float

    def fluid(self) -> PeriodicFluid:
        """The vector field of the fluid without a force."""
        return PeriodicFluid(self.size, self.viscosity, self.diffusivity, self.buoyancy)


@dataclass
class SmokeData:
    """The scene, the same in every batch."""

    train: SeededBatches[SmokeBatch]
    validation: None
    test: list[SmokeBatch]
    scene: Scene


def smoke_data(
    settings: SmokeConfig, seed: int = 0, device: torch.device | None = None
) -> SmokeData:
    """The scene of these settings; nothing in it is random."""
    size, area = settings.size, settings.smoke_area
    batch = SmokeBatch(
        shape(settings.smoke, size, area, START).unsqueeze(0).to(device),
        shape(settings.target, size, area, END).unsqueeze(0).to(device),
        torch.tensor([0.0, settings.span], device=device),
    )
    scene = Scene(size, settings.span, settings.viscosity, settings.diffusivity, settings.buoyancy)
    return SmokeData(SeededBatches(lambda _: batch, settings.batches, seed), None, [batch], scene)
