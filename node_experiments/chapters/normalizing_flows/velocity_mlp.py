"""A vector field for flow matching: an MLP of the state and of waves in time."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from .divergence import trace_of

__all__ = ["VelocityMLP"]

WAVES = 4  # frequencies of the time, beside the time itself


class VelocityMLP(nn.Module):
    """Layers with SiLU between them, at a time for all samples or for each.

    Args:
        dim: Dimension of a state.
        horizon: The time that the slowest wave takes.
    """

    def __init__(self, dim: int, hidden: int, layers: int, horizon: float) -> None:
        super().__init__()
        self.of_time = nn.Linear(2 * WAVES + 1, hidden)
        widths = [dim, *[hidden] * layers, dim]
        self.layers = nn.ModuleList(
            nn.Linear(a, b, bias=k > 0) for k, (a, b) in enumerate(pairwise(widths))
        )
        self.horizon = horizon

    def shift(self, t: Tensor) -> Tensor:
        """What the first layer adds: `(hidden,)` at a 0-d time, `(batch, hidden)` else."""
        turns = (t / self.horizon).unsqueeze(-1)
        angles = 2 * math.pi * turns * torch.arange(1, WAVES + 1, device=t.device, dtype=t.dtype)
        found: Tensor = self.of_time(torch.cat([turns, angles.sin(), angles.cos()], -1))
        return found

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt of states `(batch, dim)` at a time that is 0-d or `(batch,)`."""
        z = self.layers[0](z) + self.shift(t)
        for layer in self.layers[1:]:
            z = layer(silu(z))
        return z

    def with_divergence(self, t: Tensor, z: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """dz/dt, and its trace `(batch,)` by these probes `(probe, batch or 1, dim)`.

        Tangents go forward with the values, as in `ConcatSquashMLP`.
        """
        tangents = self.layers[0](probes)
        z = self.layers[0](z) + self.shift(t)
        for layer in self.layers[1:]:
            gate = z.sigmoid()
            z = z * gate
            tangents = tangents * torch.addcmul(gate, z, 1 - gate) @ layer.weight.T
            z = layer(z)
        return z, trace_of(probes, tangents)
