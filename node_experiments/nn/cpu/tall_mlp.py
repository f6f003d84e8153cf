"""A small network for very many rows, such as a decoder of all states of all series."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["TallMLP"]

CACHED_ROWS = 2**14  # number of rows whose hidden units stay in a processor's cache


class TallMLP(nn.Sequential):
    """A linear layer, ReLU and a linear layer, computed as `torch.nn.Sequential` does.

    Its hidden layer is several times larger than input and output. On a CPU the hidden units are
    computed for some rows at a time, and again in the backward pass, and never all held in memory:
    writing and reading them would take longer than computing them. Rows are adjacent in memory
    there, which makes products of a few units with many rows faster. There are no second
    derivatives on a CPU.

    Args:
        inputs, hidden, outputs: Sizes of the layers.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map `(..., inputs)` to `(..., outputs)`."""
        transformed = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
        if x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or transformed:
            return super().forward(x)
        first, _, second = self
        rows = x.reshape(x.shape[:-1].numel(), x.shape[-1]).t()
        y = _ChunkedMLP.apply(rows, first.weight, first.bias, second.weight, second.bias)
        return y.t().view(*x.shape[:-1], len(y))


class _ChunkedMLP(torch.autograd.Function):
    """The network on `(inputs, row)`, with the result `(outputs, row)`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *layers: Tensor) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, *layers)
        _, _, weight, bias = layers
        pieces = x.split(CACHED_ROWS, 1)
        return torch.cat(
            [torch.addmm(bias.unsqueeze(1), weight, hidden(piece, *layers)) for piece in pieces], 1
        )

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        # Not `once_differentiable`, which silently drops second derivatives where the gradient
        # that arrives needs no gradient itself.
        if torch.is_grad_enabled():
            raise RuntimeError("TallMLP has no second derivatives on a CPU")
        x, *layers = ctx.saved_tensors
        first, _, second, _ = layers
        into_x = []
        into = [torch.zeros_like(layer) for layer in layers]
        pieces = zip(x.split(CACHED_ROWS, 1), grad.split(CACHED_ROWS, 1), strict=True)
        for piece, into_outputs in pieces:
            h = hidden(piece, *layers)
            into_outputs = into_outputs.contiguous()
            into_hidden = second.t() @ into_outputs
            torch.ops.aten.threshold_backward.grad_input(into_hidden, h, 0, grad_input=into_hidden)
            into_x.append(first.t() @ into_hidden)
            into[0] += into_hidden @ piece.t()
            into[1] += into_hidden.sum(1)
            into[2] += into_outputs @ h.t()
            into[3] += into_outputs.sum(1)
        return torch.cat(into_x, 1), *into


def hidden(x: Tensor, weight: Tensor, bias: Tensor, *_: Tensor) -> Tensor:
    """The hidden units for inputs `(inputs, row)`."""
    return torch.addmm(bias.unsqueeze(1), weight, x).relu_()
