"""Small networks in feature-major layout: units, not samples, are the rows of every product.

On a CPU, a product of a small weight matrix with many samples is a fifth to a third faster in this
layout, and elementwise operations cost the same. It pays if the samples are adjacent in memory
from the start to the end of a solve, so that nothing is ever transposed: `units_first` brings a
state into this layout, and the solver keeps it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["UnitsFirst", "units_first"]


class UnitsFirst(nn.Sequential):
    """Linear layers with biases and activations, computed as `torch.nn.Sequential` does.

    The result has the layout of `units_first`, whatever that of the argument.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., inputs)` to `(..., outputs)`."""
        h = x.mT if x.dim() == 2 else x.reshape(x.shape[:-1].numel(), x.shape[-1]).mT
        for layer in self:
            if isinstance(layer, nn.Linear):
                h = torch.addmm(layer.bias.unsqueeze(1), layer.weight, h)
            else:
                h = layer(h)
        return h.mT if x.dim() == 2 else h.mT.reshape(*x.shape[:-1], len(h))


def units_first(x: Tensor) -> Tensor:
    """The same `(..., units)`, with all values of each unit adjacent in memory."""
    return x.movedim(-1, 0).contiguous().movedim(0, -1)
