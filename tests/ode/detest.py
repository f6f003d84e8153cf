"""The non-stiff test set DETEST, classes A to E (Hull, Enright, Fellen & Sedgwick 1972).

Every problem is an autonomous or non-autonomous system on [0, 20]; `Problem.field` takes a host or
tensor time and a tensor state, so that the same code serves every solver.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Problem(NamedTuple):
    name: str
    field: Callable[..., Tensor]
    y0: list[float]


def a1(t, y):
    return -y


def a2(t, y):
    return -(y**3) / 2


def a3(t, y):
    return y * torch.cos(torch.as_tensor(t))


def a4(t, y):
    return y / 4 * (1 - y / 20)


def a5(t, y):
    return (y - t) / (y + t)


def b1(t, y):
    a, b = y.unbind()
    return torch.stack([2 * (a - a * b), -(b - a * b)])


def b2(t, y):
    a, b, c = y.unbind()
    return torch.stack([-a + b, a - 2 * b + c, b - c])


def b3(t, y):
    a, b, _ = y.unbind()
    return torch.stack([-a, a - b**2, b**2])


def b4(t, y):
    a, b, c = y.unbind()
    r = torch.sqrt(a**2 + b**2)
    return torch.stack([-b - a * c / r, a - b * c / r, a / r])


def b5(t, y):
    a, b, c = y.unbind()
    return torch.stack([b * c, -a * c, -0.51 * a * b])


def c1(t, y):
    """A radioactive chain of ten members."""
    decayed = torch.cat([y[:9], torch.zeros_like(y[:1])])
    return torch.cat([torch.zeros_like(y[:1]), y[:9]]) - decayed


def c2(t, y):
    rates = torch.arange(1, 10, dtype=y.dtype)
    lost = torch.cat([rates * y[:9], torch.zeros_like(y[:1])])
    return torch.cat([torch.zeros_like(y[:1]), rates * y[:9]]) - lost


def heat(t, y):
    """C3 and C4: a discretised diffusion equation on 10 and 51 points."""
    padded = torch.nn.functional.pad(y, (1, 1))
    return padded[2:] - 2 * y + padded[:-2]


def orbit(t, y):
    """D1 to D5: two bodies, of growing eccentricity."""
    q, p = y.split(2)
    return torch.cat([p, -q / torch.linalg.vector_norm(q) ** 3])


def orbit_start(eccentricity):
    return [1 - eccentricity, 0.0, 0.0, math.sqrt((1 + eccentricity) / (1 - eccentricity))]


def e1(t, y):
    """Bessel's equation of order 1/2."""
    a, b = y.unbind()
    return torch.stack([b, -(b / (t + 1) + (1 - 0.25 / (t + 1) ** 2) * a)])


def e2(t, y):
    """Van der Pol's equation."""
    a, b = y.unbind()
    return torch.stack([b, (1 - a**2) * b - a])


def e3(t, y):
    """Duffing's equation, driven."""
    a, b = y.unbind()
    drive = 2 * torch.sin(torch.as_tensor(2.78535 * t))
    return torch.stack([b, a**3 / 6 - a + drive])


def e4(t, y):
    """A falling body with drag, in feet."""
    _, b = y.unbind()
    return torch.stack([b, 0.032 - 0.4 * b**2])


def e5(t, y):
    """A pursuit curve."""
    _, b = y.unbind()
    return torch.stack([b, torch.sqrt(1 + b**2) / (25 - t)])


PROBLEMS = [
    Problem("A1", a1, [1.0]),
    Problem("A2", a2, [1.0]),
    Problem("A3", a3, [1.0]),
    Problem("A4", a4, [1.0]),
    Problem("A5", a5, [4.0]),
    Problem("B1", b1, [1.0, 3.0]),
    Problem("B2", b2, [2.0, 0.0, 1.0]),
    Problem("B3", b3, [1.0, 0.0, 0.0]),
    Problem("B4", b4, [3.0, 0.0, 0.0]),
    Problem("B5", b5, [0.0, 1.0, 1.0]),
    Problem("C1", c1, [1.0] + 9 * [0.0]),
    Problem("C2", c2, [1.0] + 9 * [0.0]),
    Problem("C3", heat, [1.0] + 9 * [0.0]),
    Problem("C4", heat, [1.0] + 50 * [0.0]),
    Problem("D1", orbit, orbit_start(0.1)),
    Problem("D3", orbit, orbit_start(0.5)),
    Problem("D5", orbit, orbit_start(0.9)),
    Problem("E1", e1, [0.6713967071418030, 0.09540051444747446]),
    Problem("E2", e2, [2.0, 0.0]),
    Problem("E3", e3, [0.0, 0.0]),
    Problem("E4", e4, [30.0, 0.0]),
    Problem("E5", e5, [0.0, 0.0]),
]
END = 20.0
