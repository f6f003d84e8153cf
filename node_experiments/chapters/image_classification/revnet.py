"""Reversible residual blocks, which store no activations (Gomez et al. 2017, RevNet).

The channels of the state are split into halves, and a block is one step of the Euler method for
the coupled system dy1/dt = f(y2), dy2/dt = g(y1), in which g already uses the new y1:

    y1 = x1 + f(x2),  y2 = x2 + g(y1),  inverted by  x2 = y2 - g(y1),  x1 = y1 - f(x2).

The backward pass inverts the blocks one by one and differentiates each (Algorithm 1 of the
paper): every f and g is evaluated twice in all, and memory does not grow with depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ...ode import Gradient, Solver
from ...ode.autocast import current_autocast
from .batches import ImageData
from .chapter import RevNetConfig
from .networks import stem_of
from .residual_blocks import ResidualFunction, classifier_head

__all__ = ["ReversibleBlock", "ReversibleSequence", "revnet"]


class ReversibleBlock(nn.Module):
    """One step of the coupled system.

    Args:
        f: Maps the second half to the change of the first; keeps the shape.
        g: Maps the new first half to the change of the second; keeps the shape.
    """

    def __init__(self, f: nn.Module, g: nn.Module) -> None:
        super().__init__()
        self.f, self.g = f, g

    @classmethod
    def residual(cls, channels: int) -> ReversibleBlock:
        """Build a block of two residual functions, each of half the channels."""
        half = channels // 2
        return cls(ResidualFunction(half, half), ResidualFunction(half, half))

    def forward(self, x1: Tensor, x2: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves after the step."""
        y1 = x1 + self.f(x2)
        return y1, x2 + self.g(y1)


class ReversibleSequence(nn.Module):
    """A sequence of blocks on a state `(batch, channels, ...)` with an even number of channels.

    Args:
        blocks: The blocks, in the order of the forward pass.
        reconstruct: Whether to invert the blocks in the backward pass; otherwise autograd stores
            the activations.
    """

    def __init__(self, blocks: Sequence[ReversibleBlock], reconstruct: bool = True) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.reconstruct = reconstruct

    def forward(self, y: Tensor) -> Tensor:
        """The state after all blocks, of the shape of the input."""
        # Under autocast the state stays in full precision; otherwise it could not be inverted.
        y = y.float() if torch.is_autocast_enabled(y.device.type) else y
        if self.reconstruct:
            return ReversibleFunction.apply(self.blocks, y, *self.parameters())
        return apply_blocks(self.blocks, y)


def apply_blocks(blocks: nn.ModuleList, y: Tensor) -> Tensor:
    """The state after all blocks."""
    halves = y.chunk(2, dim=1)
    for block in blocks:
        halves = block(*halves)
    return torch.cat(halves, dim=1)


class ReversibleFunction(torch.autograd.Function):
    """`apply_blocks`, which stores only its result for the backward pass."""

    @staticmethod
    def forward(ctx: Any, blocks: nn.ModuleList, y: Tensor, *parameters: Tensor) -> Tensor:
        """The state after all blocks."""
        ctx.blocks, ctx.parameters = blocks, parameters
        ctx.context = current_autocast(y.device, recorded=False)
        with ctx.context():
            result = apply_blocks(blocks, y)
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
                # Inverts y2 = x2 + g(y1), and adds the gradient that y1 receives through g.
                change, vjp = differentiate(block.g, y1, grad2, sums)
                y2, grad1 = y2 - change, grad1 + vjp
                change, vjp = differentiate(block.f, y2, grad1, sums)
                y1, grad2 = y1 - change, grad2 + vjp
        grad_y = torch.cat([grad1, grad2], dim=1) if ctx.needs_input_grad[1] else None
        return None, grad_y, *(sums.get(parameter) for parameter in ctx.parameters)


def differentiate(
    function: nn.Module, y: Tensor, grad: Tensor, sums: dict[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """The value of a function and the gradient of y; adds parameter gradients to `sums`."""
    parameters = [p for p in function.parameters() if p.requires_grad]
    with torch.enable_grad():
        leaf = y.detach().requires_grad_()
        value = function(leaf)
    vjp, *rest = torch.autograd.grad(
        value, [leaf, *parameters], grad.to(value.dtype), allow_unused=True
    )
    for parameter, part in zip(parameters, rest, strict=True):
        if part is not None:
            sums[parameter] = sums[parameter] + part if parameter in sums else part
    return value.detach(), vjp


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
