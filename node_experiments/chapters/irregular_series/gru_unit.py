"""GRU that reads observations (Rubanova et al. 2019, `GRU_unit` of the official code).

Its state is a mean and a standard deviation, side by side, and every gate is a small network of
the state, the values and their mask.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...nn.mlp import mlp

__all__ = ["GRUUnit", "small_weights", "tanh_mlp"]


class GRUUnit(nn.Module):
    """Gated recurrent unit that updates the state with an observation.

        u, r = sigmoid(U(state, x)), sigmoid(R(state, x))
        mean', std' = (1 - u) * N(r * state, x) + u * (mean, std)

    with the absolute value of N's standard deviation.

    Args:
        inputs: Dimension of the input x.
        size: Dimension of the mean; the state has twice as many.
        hidden: Hidden units of each gate's network.
    """

    def __init__(self, inputs: int, size: int, hidden: int) -> None:
        super().__init__()
        self.size = size
        self.update = tanh_mlp([2 * size + inputs, hidden, size])
        self.reset = tanh_mlp([2 * size + inputs, hidden, size])
        self.proposal = tanh_mlp([2 * size + inputs, hidden, 2 * size])

    def forward(self, state: Tensor, x: Tensor) -> Tensor:
        """Update states `(row, 2 * size)` with inputs `(row, inputs)`."""
        joint = torch.cat([state, x], -1)
        update, reset = self.update(joint).sigmoid(), self.reset(joint).sigmoid()
        both = torch.cat([reset, reset], -1)
        mean, std = self.proposal(torch.cat([state * both, x], -1)).chunk(2, -1)
        keep = torch.cat([update, update], -1)
        return (1 - keep) * torch.cat([mean, std.abs()], -1) + keep * state


def tanh_mlp(sizes: list[int]) -> nn.Sequential:
    """Linear layers with tanh between them, initialised as in the official code."""
    return small_weights(mlp(sizes, "tanh"))


def small_weights(net: nn.Sequential) -> nn.Sequential:
    """Initialise weights from N(0, 0.1^2) and biases to zero, as in the official code."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)
            nn.init.zeros_(module.bias)
    return net
