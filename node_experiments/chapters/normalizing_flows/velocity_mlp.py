"""A vector field for flow matching: an MLP of the state and of Fourier features of time."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from .divergence import trace_of

__all__ = ["VelocityMLP"]

FREQUENCIES = 4  # number of the Fourier features' frequencies, besides the time itself


class VelocityMLP(nn.Module):
    """Layers with SiLU in between; the time is one for all samples or one per sample.

    Args:
        dim: Dimension of a state.
        horizon: Period of the lowest frequency.
    """

    def __init__(self, dim: int, hidden: int, layers: int, horizon: float) -> None:
        super().__init__()
        self.of_time = nn.Linear(2 * FREQUENCIES + 1, hidden)
        widths = [dim, *[hidden] * layers, dim]
        self.layers = nn.ModuleList(
            nn.Linear(a, b, bias=k > 0) for k, (a, b) in enumerate(pairwise(widths))
        )
        self.horizon = horizon

    def shift(self, t: Tensor) -> Tensor:
        """The time term of the first layer: `(hidden,)` at a 0-d time, else `(batch, hidden)`."""
        turns = (t / self.horizon).unsqueeze(-1)
        rates = 2 * math.pi * torch.arange(1, FREQUENCIES + 1, device=t.device, dtype=t.dtype)
        angles = rates * turns
        found: Tensor = self.of_time(torch.cat([turns, angles.sin(), angles.cos()], -1))
        return found

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt of states `(batch, dim)` at a time that is 0-d or `(batch,)`."""
        z = self.layers[0](z) + self.shift(t)
        for layer in self.layers[1:]:
            z = layer(silu(z))
        return z

    def with_divergence(self, t: Tensor, z: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """dz/dt, and its trace `(batch,)` from probes `(probe, batch or 1, dim)`.

        Tangents are propagated in forward mode, as in `ConcatSquashMLP`.
        """
        tangents = self.layers[0](probes)
        z = self.layers[0](z) + self.shift(t)
        for layer in self.layers[1:]:
            gate = z.sigmoid()
            z = z * gate
            tangents = tangents * torch.addcmul(gate, z, 1 - gate) @ layer.weight.T
            z = layer(z)
        return z, trace_of(probes, tangents)
