"""Residual blocks that can be undone, so that no activation is kept (Gomez et al. 2017, RevNet).

The state is two halves of the channels, and a block is one step of the Euler method for the
coupled system dy1/dt = f(y2), dy2/dt = g(y1), whose second half already sees the new y1:

    y1 = x1 + f(x2),  y2 = x2 + g(y1),  undone by  x2 = y2 - g(y1),  x1 = y1 - f(x2).

The backward pass undoes the blocks one by one and differentiates each as it goes (Algorithm 1 of
the paper): every f and g is evaluated twice in all, and memory does not grow with depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ...ode import (
    Gradient,
    Solver,
)
from ...ode.autocast import autocast_like_now
from .batches import ImageData
from .chapter import RevNetConfig
from .networks import stem_of
from .residual_blocks import ResidualFunction, classifier_head

__all__ = ["ReversibleBlock", "ReversibleSequence", "revnet"]


class ReversibleBlock(nn.Module):
    """One step of the coupled system.

    Args:
        f: The change of the first half, from the second; keeps the shape.
        g: The change of the second half, from the new first; keeps the shape.
    """

    def __init__(self, f: nn.Module, g: nn.Module) -> None:
        super().__init__()
        self.f, self.g = f, g

    @classmethod
    def residual(cls, channels: int) -> ReversibleBlock:
        """Two residual functions, of half of the channels each."""
        half = channels // 2
        return cls(ResidualFunction(half, half), ResidualFunction(half, half))

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves after the step."""
        y1 = x1 + self.f(x2)
        return y1, x2 + self.g(y1)


class ReversibleSequence(nn.Module):
    """Blocks one after another on a state `(batch, channels, ...)` with an even channel count.

    Args:
        blocks: In the order of the forward pass.
        reconstruct: Undo the blocks in the backward pass; otherwise autograd keeps what it needs.
    """

    def __init__(self, blocks: Sequence[ReversibleBlock], reconstruct: bool = True) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.reconstruct = reconstruct

    def forward(self, y: Tensor) -> Tensor:
        """The state after all blocks, of the shape of the input."""
        # Under autocast the state stays in full precision, or it could not be undone.
        y = y.float() if torch.is_autocast_enabled(y.device.type) else y
        if self.reconstruct:
            return Undone.apply(self.blocks, y, *self.parameters())
        return through(self.blocks, y)


def through(blocks: nn.ModuleList, y: Tensor) -> Tensor:
    """The state after all blocks."""
    halves = y.chunk(2, dim=1)
    for block in blocks:
        halves = block(*halves)
    return torch.cat(halves, dim=1)


class Undone(torch.autograd.Function):
    """`through`, with only its result kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, blocks: nn.ModuleList, y: Tensor, *parameters: Tensor) -> Tensor:
        """The state after all blocks."""
        ctx.blocks, ctx.parameters = blocks, parameters
        ctx.context = autocast_like_now(y.device, recorded=False)
        with ctx.context():
            result = through(blocks, y)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """Gradients of the initial state and of the parameters."""
        (result,) = ctx.saved_tensors
        (y1, y2), (grad1, grad2) = result.chunk(2, dim=1), grad.chunk(2, dim=1)
        sums: dict[Tensor, Tensor] = {}
        for block in reversed(ctx.blocks):
            with ctx.context():
                # From y2 = x2 + g(y1): the old second half, and all that y1 does.
                change, pulled = differentiate(block.g, y1, grad2, sums)
                y2, grad1 = y2 - change, grad1 + pulled
                change, pulled = differentiate(block.f, y2, grad1, sums)
                y1, grad2 = y1 - change, grad2 + pulled
        grad_y = torch.cat([grad1, grad2], dim=1) if ctx.needs_input_grad[1] else None
        return None, grad_y, *(sums.get(parameter) for parameter in ctx.parameters)


def differentiate(
    function: nn.Module, y: Tensor, grad: Tensor, sums: dict[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """A function's value at y and the gradient of y; those of its parameters go into `sums`."""
    parameters = [p for p in function.parameters() if p.requires_grad]
    with torch.enable_grad():
        leaf = y.detach().requires_grad_()
        value = function(leaf)
    pulled, *rest = torch.autograd.grad(
        value, [leaf, *parameters], grad.to(value.dtype), allow_unused=True
    )
    for parameter, part in zip(parameters, rest, strict=True):
        if part is not None:
            sums[parameter] = sums[parameter] + part if parameter in sums else part
    return value.detach(), pulled


def revnet(
    settings: RevNetConfig, data: ImageData, solver: Solver, gradient: Gradient
) -> nn.Module:
    """Stem, reversible residual blocks, head."""
    steps = [ReversibleBlock.residual(settings.channels) for _ in range(settings.blocks)]
    return nn.Sequential(
        stem_of(settings, data),
        ReversibleSequence(steps, settings.reconstruct),
        classifier_head(settings.channels, data.classes),
    )
