"""Small networks with their units, and not their rows, as the rows of every product.

A product of a matrix of a few units with many rows is a fifth to a third faster on a CPU that way
round than the other, and everything that is done to each unit costs the same. It is faster when
the rows are side by side in memory from the start to the end of a solve, so that nothing is ever
transposed: `units_first` lays a state so, and the solver keeps to it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["UnitsFirst", "units_first"]


class UnitsFirst(nn.Sequential):
    """Linear layers with biases and activations, computed as `torch.nn.Sequential` does.

    Whatever the layout of its argument, that of its result is `units_first`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(..., inputs)` to `(..., outputs)`."""
        h = x.mT if x.dim() == 2 else x.reshape(x.shape[:-1].numel(), x.shape[-1]).mT
        for layer in self:
            if isinstance(layer, nn.Linear):
                h = torch.addmm(layer.bias.unsqueeze(1), layer.weight, h)
            else:
                h = layer(h)
        return h.mT if x.dim() == 2 else h.mT.reshape(*x.shape[:-1], len(h))


def units_first(x: Tensor) -> Tensor:
    """The same `(..., units)`, with the rows of each unit side by side in memory."""
    return x.movedim(-1, 0).contiguous().movedim(0, -1)
