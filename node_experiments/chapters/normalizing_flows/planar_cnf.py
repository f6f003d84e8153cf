"""A continuous flow whose vector field is a sum of planar ones (Chen et al. 2018, section 4.1).

dz/dt = sum_n sigma_n(t) u_n(t) tanh(w_n(t)^T z + b_n(t)). Its trace is a sum over the same units,
so that its cost is linear in the width (eq. 10, with the sign of eq. 8).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...nn.cpu.tanh import tanh
from .chapter import VARIANTS

__all__ = ["PlanarField", "PlanarUnits"]


class PlanarUnits(NamedTuple):
    """Parameters of the units at one time.

    Attributes:
        w: Shape `(unit, dim)`.
        u: Shape `(unit, dim)`, times its gates; for a mean, divided by the number of units.
        b: Shape `(unit,)`.
    """

    w: Tensor
    u: Tensor
    b: Tensor


class PlanarField(nn.Module):
    """M planar units whose parameters are functions of time (a hypernetwork).

    Args:
        units: Number of units M.
        hyper_hidden: Units of each of the two hidden layers of the hypernetwork.
        variant: `paper`: the sum over units, one gate per unit. `official_code`: their mean, one
            gate for every coordinate of every unit.

    Raises:
        ValueError: The variant is unknown.
    """

    def __init__(self, dim: int, units: int, hyper_hidden: int, variant: str) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(
                f"model.variant={variant!r} is unknown; allowed: {', '.join(VARIANTS)}"
            )
        self.dim, self.units = dim, units
        self.takes_mean = variant == "official_code"
        gates = units * dim if self.takes_mean else units
        self.sizes = [units * dim, units * dim, units, gates]
        self.hypernetwork = nn.Sequential(
            nn.Linear(1, hyper_hidden),
            nn.Tanh(),
            nn.Linear(hyper_hidden, hyper_hidden),
            nn.Tanh(),
            nn.Linear(hyper_hidden, sum(self.sizes)),
        )
        if variant == "paper":
            self.spread_units()

    def spread_units(self) -> None:
        """Initialise w and b around draws from N(0, 1).

        With torch's small weights all units are nearly linear at first, and it takes hundreds of
        steps until the density is more than a Gaussian.
        """
        last = self.hypernetwork[-1]
        assert isinstance(last, nn.Linear)
        w, _, b, _ = last.bias.data.split(self.sizes)
        w.normal_()
        b.normal_()

    def units_at(self, t: Tensor) -> PlanarUnits:
        """The parameters at a 0-d time."""
        w, u, b, gate = self.hypernetwork(t.reshape(1)).split(self.sizes)
        shape = (self.units, self.dim)
        u = u.view(shape) * gate.sigmoid().view(self.units, -1)
        return PlanarUnits(w.view(shape), u / self.units if self.takes_mean else u, b)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt at a 0-d time, of the shape `(batch, dim)` of z."""
        w, u, b = self.units_at(t)
        return tanh(torch.addmm(b, z, w.T)) @ u

    def with_divergence(
        self, t: Tensor, z: Tensor, probes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """dz/dt, and its trace `(batch,)`: the sum of u_n^T w_n (1 - tanh^2) over units."""
        w, u, b = self.units_at(t)
        h = tanh(torch.addmm(b, z, w.T))
        return h @ u, (1 - h.square()) @ (u * w).sum(1)
