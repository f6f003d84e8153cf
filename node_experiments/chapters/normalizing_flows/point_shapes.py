"""Eight distributions of points in the plane, and how to draw from them.

Two circles and two moons are those of section 4.2 of Chen et al. 2018, whose noise is unknown; all
eight are the toy sets of Grathwohl et al. 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

__all__ = ["CURVES", "sample_points"]


def circle(u: Tensor, radius: Tensor | float = 1.0) -> Tensor:
    """Points on a circle at the fraction u of a turn."""
    angle = 2 * math.pi * u
    return radius * torch.stack([angle.cos(), angle.sin()], -1)


def split_unit_interval(u: Tensor, parts: int) -> tuple[Tensor, Tensor]:
    """Map a number in [0, 1) to one of equally likely parts, and to a number in [0, 1) in it."""
    part = (parts * u).floor()
    return part, parts * u - part


def two_circles(u: Tensor) -> Tensor:
    """Two circles of radii 1 and 0.5, equally likely."""
    part, v = split_unit_interval(u, 2)
    return circle(v, (1 - 0.5 * part).unsqueeze(-1))


def two_moons(u: Tensor) -> Tensor:
    """Two interleaved half circles of radius 1, around (0, 0) and (1, 0.5), then centred."""
    part, v = split_unit_interval(u, 2)
    arc = circle(v / 2)
    lower = torch.tensor([1.0, 0.5]) - arc
    return torch.where(part.unsqueeze(-1) == 0, arc, lower) - torch.tensor([0.5, 0.1])


def eight_gaussians(u: Tensor) -> Tensor:
    """Eight centres on a circle."""
    return circle(split_unit_interval(u, 8)[0] / 8)


def swissroll(u: Tensor) -> Tensor:
    """One and a half turns of r = t / 15 for t from 1.5 pi to 4.5 pi."""
    t = 1.5 * math.pi * (1 + 2 * u)
    return torch.stack([t * t.cos(), t * t.sin()], -1) / 15


def rings(u: Tensor) -> Tensor:
    """Four circles of radii 0.25, 0.5, 0.75 and 1, equally likely."""
    part, v = split_unit_interval(u, 4)
    return circle(v, ((part + 1) / 4).unsqueeze(-1))


# Curves, with points distributed uniformly in u; isotropic Gaussian noise is added.
CURVES: dict[str, Callable[[Tensor], Tensor]] = {
    "two_circles": two_circles,
    "two_moons": two_moons,
    "8gaussians": eight_gaussians,
    "swissroll": swissroll,
    "rings": rings,
}


def pinwheel(size: int, noise: float, generator: Generator) -> Tensor:
    """Five arms: radius 1 + 0.3 n1, tangential offset `noise` * n2, rotated more further out."""
    n = torch.randn(size, 2, generator=generator) * torch.tensor([0.3, noise])
    r = n[:, 0] + 1
    arm = torch.randint(0, 5, (size,), generator=generator)
    angle = 2 * math.pi * arm / 5 + 0.25 * r.exp()
    c, s = angle.cos(), angle.sin()
    return torch.stack([r * c - n[:, 1] * s, r * s + n[:, 1] * c], -1) / 2


def two_spirals(size: int, noise: float, generator: Generator) -> Tensor:
    """Two arms of one and a half turns, thickened by a square of side 0.5, with Gaussian noise."""
    n = torch.rand(size, generator=generator).sqrt() * 3 * math.pi
    arm = torch.stack([-n.cos() * n, n.sin() * n], -1)
    arm = arm + 0.5 * torch.rand(size, 2, generator=generator)
    sign = 1 - 2 * torch.randint(0, 2, (size, 1), generator=generator)
    return sign * arm / 9 + noise * torch.randn(size, 2, generator=generator)


def checkerboard(size: int, noise: float, generator: Generator) -> Tensor:
    """The eight dark squares of a 4 x 4 checkerboard on [-1, 1]^2, with Gaussian noise."""
    u = 4 * torch.rand(size, generator=generator) - 2
    v = torch.rand(size, generator=generator) - 2 * torch.randint(
        0, 2, (size,), generator=generator
    )
    points = torch.stack([u, v + u.floor() % 2], -1) / 2
    return points + noise * torch.randn(size, 2, generator=generator)


SAMPLERS: dict[str, Callable[[int, float, Generator], Tensor]] = {
    "pinwheel": pinwheel,
    "2spirals": two_spirals,
    "checkerboard": checkerboard,
}


def sample_points(name: str, size: int, noise: float, generator: Generator) -> Tensor:
    """Draw points `(size, 2)` of unit scale, with noise of this standard deviation."""
    if name in SAMPLERS:
        return SAMPLERS[name](size, noise, generator)
    clean = CURVES[name](torch.rand(size, generator=generator))
    return clean + noise * torch.randn(size, 2, generator=generator)
