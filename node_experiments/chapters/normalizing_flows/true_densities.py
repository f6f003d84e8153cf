"""True densities of the point sets, whose log-likelihood a flow can exceed only by chance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .point_shapes import CURVES

__all__ = ["true_log_density"]

ROWS = 1000  # points per evaluation of a mixture, to bound memory


def true_log_density(
    name: str, x: Tensor, noise: float, scale: float, nodes: int = 4096
) -> Tensor | None:
    """Log-density in nats of points `(batch, 2)` under the set `name`, in double precision.

    Args:
        noise, scale: As in `PointsConfig`.
        nodes: Number of equally spaced curve parameters over which the mixture is summed; an
            eighth of it for the spirals, which are smoother.

    Returns:
        Shape `(batch,)`, -inf where the density is 0; None if the set has no density: curves,
        spirals and the pinwheel without noise.

    >>> true_log_density("checkerboard", torch.tensor([[0.1, 0.1], [0.1, -0.1]]), 0, 1)
    tensor([-0.6931,    -inf], dtype=torch.float64)
    """
    if noise == 0 and name != "checkerboard":
        return None
    rows = (x.double().cpu() / scale).split(ROWS)
    if name == "checkerboard":
        found = [checkerboard(some, noise) for some in rows]
    elif name == "2spirals":
        found = [two_spirals(some, noise, nodes // 8) for some in rows]
    elif name == "pinwheel":
        found = [pinwheel(some, noise) for some in rows]
    else:
        found = [curve(name, some, noise, nodes) for some in rows]
    return torch.cat(found) - 2 * math.log(scale)


def curve(name: str, x: Tensor, noise: float, nodes: int) -> Tensor:
    """Log-density of a curve with Gaussian noise: a mixture of Gaussians along it."""
    centres = CURVES[name](midpoints(nodes))
    squares = torch.cdist(x, centres, compute_mode="donot_use_mm_for_euclid_dist").square()
    return torch.logsumexp(-squares / (2 * noise**2), 1) - math.log(nodes * 2 * math.pi * noise**2)


def checkerboard(x: Tensor, noise: float) -> Tensor:
    """Log-density of the checkerboard, a mixture of eight squares of side 1/2."""
    corners = [(k, j + k % 2) for k in range(-2, 2) for j in (-2, 0)]
    return squares_log_density(x, torch.tensor(corners).double() / 2, 0.5, noise)


def two_spirals(x: Tensor, noise: float, nodes: int) -> Tensor:
    """Log-density of the spirals: a mixture of squares of side 1/18 along both arms."""
    n = midpoints(nodes).sqrt() * 3 * math.pi
    corners = torch.stack([-n.cos() * n, n.sin() * n], -1) / 9
    side = 0.5 / 9
    return squares_log_density(x, torch.cat([corners, -corners - side]), side, noise)


def squares_log_density(x: Tensor, corners: Tensor, side: float, noise: float) -> Tensor:
    """Log-density of equally likely squares with lower left corners `(squares, 2)`, and noise."""
    inside = torch.ones(()).double()
    for axis in (0, 1):
        offset = x[:, axis, None] - corners[:, axis]
        if noise == 0:
            inside = inside * ((offset >= 0) & (offset < side))
        else:
            blur = 2**0.5 * noise
            inside = inside * (torch.erf(offset / blur) - torch.erf((offset - side) / blur)) / 2
    return (inside / side**2).mean(1).log()


def pinwheel(x: Tensor, noise: float) -> Tensor:
    """Log-density of the pinwheel, by a change of variables to polar coordinates.

    2 x is (r, s) rotated by 0.25 e^r and by fifths of a turn. At a point, r solves r = (first
    component of 2 x rotated back by the angle of r); the Jacobian of the map is 1 - 0.25 e^r s.
    """
    y = 2 * x
    r = torch.linspace(1 - 8 * 0.3, 1 + 8 * 0.3, 241, dtype=torch.float64)
    density = torch.zeros(len(x), dtype=torch.float64)

    def turned_back(y: Tensor, r: Tensor, arm: int) -> tuple[Tensor, Tensor]:
        angle = 2 * math.pi * arm / 5 + 0.25 * r.exp()
        c, s = angle.cos(), angle.sin()
        return y[..., 0] * c + y[..., 1] * s, y[..., 1] * c - y[..., 0] * s

    for arm in range(5):
        excess = turned_back(y.unsqueeze(1), r, arm)[0] - r
        point, cell = torch.nonzero(excess[:, :-1] * excess[:, 1:] < 0, as_tuple=True)
        low, high = r[cell], r[cell + 1]
        rising = excess[point, cell] < 0
        for _ in range(40):
            middle = (low + high) / 2
            before = (turned_back(y[point], middle, arm)[0] < middle) == rising
            low, high = torch.where(before, middle, low), torch.where(before, high, middle)
        _, s = turned_back(y[point], low, arm)
        parts = torch.exp(-0.5 * ((low - 1) / 0.3) ** 2 - 0.5 * (s / noise) ** 2)
        density.index_add_(0, point, parts / (1 - 0.25 * low.exp() * s).abs())
    return (density * 4 / (5 * 2 * math.pi * 0.3 * noise)).log()


def midpoints(count: int) -> Tensor:
    """Midpoints of equal parts of [0, 1]."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count
