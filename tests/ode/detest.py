"""The non-stiff test set DETEST, classes A to E.

Hull, Enright, Fellen & Sedgwick, "Comparing numerical methods for ordinary differential
equations", SIAM J. Numer. Anal. 9 (1972); Enright & Pryce, "Two FORTRAN packages for assessing
initial value methods", ACM TOMS 13 (1987). The problems are unscaled.

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


GRAVITY = 2.95912208286
SUN = 1.00000597682  # with the inner planets
PLANETS = torch.tensor(
    [9.54786104043e-4, 2.85583733151e-4, 4.37273164546e-5, 5.17759138449e-5, 2.77777777778e-6],
    dtype=torch.float64,
)


def outer_planets(t, y):
    """C5: the five outer planets around the sun; lengths in AU, times in 100 days."""
    q, v = y.split(15)
    q = q.view(5, 3)
    towards = q.unsqueeze(0) - q.unsqueeze(1)  # [j, k]: from planet j to planet k
    cubed = towards.square().sum(-1).pow(1.5) + torch.eye(5, dtype=y.dtype)
    from_sun = q / q.square().sum(-1, keepdim=True).pow(1.5)
    pull = (PLANETS[None, :, None] * towards / cubed.unsqueeze(-1)).sum(1)
    # The sun, where the origin is, is itself pulled by all planets.
    acceleration = pull - SUN * from_sun - (PLANETS[:, None] * from_sun).sum(0)
    return torch.cat([v, GRAVITY * acceleration.flatten()])


OUTER_PLANETS_START = [
    *(3.42947415189, 3.35386959711, 1.35494901715),
    *(6.64145542550, 5.97156957878, 2.18231499728),
    *(11.2630437207, 14.6952576794, 6.27960525067),
    *(-30.1552268759, 1.65699966404, 1.43785752721),
    *(-21.1238353380, 28.4465098142, 15.3882659679),
    *(-0.557160570446, 0.505696783289, 0.230578543901),
    *(-0.415570776342, 0.365682722812, 0.169143213293),
    *(-0.325325669158, 0.189706021964, 0.0877265322780),
    *(-0.0240476254170, -0.287659532608, -0.117219543175),
    *(-0.176860753121, -0.216393453025, -0.0148647893090),
]


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
    Problem("C5", outer_planets, OUTER_PLANETS_START),
    Problem("D1", orbit, orbit_start(0.1)),
    Problem("D2", orbit, orbit_start(0.3)),
    Problem("D3", orbit, orbit_start(0.5)),
    Problem("D4", orbit, orbit_start(0.7)),
    Problem("D5", orbit, orbit_start(0.9)),
    Problem("E1", e1, [0.6713967071418030, 0.09540051444747446]),
    Problem("E2", e2, [2.0, 0.0]),
    Problem("E3", e3, [0.0, 0.0]),
    Problem("E4", e4, [30.0, 0.0]),
    Problem("E5", e5, [0.0, 0.0]),
]
END = 20.0
