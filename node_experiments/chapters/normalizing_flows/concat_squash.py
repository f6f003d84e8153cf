"""The vector field of FFJORD: an MLP whose layers are scaled and shifted by time.

Grathwohl et al. 2019, "concatsquash": x -> (W x + b) * sigmoid(a t + c) + d t.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from .divergence import trace_of

__all__ = ["ConcatSquash", "ConcatSquashMLP"]


class ConcatSquash(nn.Module):
    """One concatsquash layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.gate = nn.Linear(1, outputs)
        self.shift = nn.Linear(1, outputs, bias=False)

    def forward(self, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output `(batch, out)` and its Jacobian `(out, in)`, which does not depend on x."""
        t = t.reshape(1)
        gate = self.gate(t).sigmoid()
        return self.linear(x) * gate + self.shift(t), gate.unsqueeze(1) * self.linear.weight


class ConcatSquashMLP(nn.Module):
    """Layers with tanh in between, which also compute directional derivatives in forward mode.

    Args:
        widths: Units of each layer; the first and the last are the dimension of the state.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConcatSquash(a, b) for a, b in pairwise(widths))

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt at a 0-d time, of the shape `(batch, dim)` of z."""
        for layer in self.layers[:-1]:
            z = layer(t, z)[0].tanh()
        return self.layers[-1](t, z)[0]

    def with_divergence(self, t: Tensor, z: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """dz/dt, and its trace `(batch,)` from probes `(probe, batch or 1, dim)`.

        Forward mode: one product with the weights of a layer propagates all probes.
        """
        tangents = probes
        last = len(self.layers) - 1
        for i, layer in enumerate(self.layers):
            z, jacobian = layer(t, z)
            tangents = tangents @ jacobian.T
            if i < last:
                z = z.tanh()
                tangents = tangents * (1 - z.square())
        return z, trace_of(probes, tangents)
