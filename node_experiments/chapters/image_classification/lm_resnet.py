"""Residual networks as linear multistep methods (Lu, Zhong, Li & Dong 2018, LM-ResNet).

A residual block is one step of the Euler method, which uses only the current state. A linear
two-step method also uses the previous one,

    x_{n+1} = (1 - k_n) x_n + k_n x_{n-1} + f_n(x_n),

with one trained coefficient k_n per block; k_n = 0 is the residual network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...ode import Gradient, Solver
from .batches import ImageData
from .chapter import LMResNetConfig
from .residual_blocks import ResidualFunction, classifier_head, conv3x3

__all__ = ["LMResNet", "lm_resnet"]


class Downsample(nn.Module):
    """Shortcut to another shape: a 1x1 convolution of the normalised and activated input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, y: Tensor) -> Tensor:
        """Map a state `(batch, in_channels, height, width)`; stride divides the size."""
        return self.conv(F.relu(self.norm(y)))


class MultistepBlock(nn.Module):
    """One step of the two-step method, or of the Euler method.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; if they differ, the stride is 2 and the shortcut a
            convolution.
        two_step: Whether to use the previous state.
    """

    def __init__(self, in_channels: int, out_channels: int, two_step: bool) -> None:
        super().__init__()
        stride = 1 if in_channels == out_channels else 2
        self.f = ResidualFunction(in_channels, out_channels, stride, nn.BatchNorm2d)
        self.shortcut = Downsample(in_channels, out_channels, stride) if stride != 1 else None
        self.k = nn.Parameter(torch.empty(()).uniform_(-0.1, 0.0)) if two_step else None

    def forward(self, before: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x_{n-1} and x_n to x_n and x_{n+1}; x_n is returned in the shape of x_{n+1}."""
        kept = x if self.shortcut is None else self.shortcut(x)
        new = kept + self.f(x)
        return kept, new if self.k is None else new + self.k * (before - kept)


class LMResNet(nn.Module):
    """Stages of blocks, each stage at half the resolution of the previous one.

    The first block of a stage has no previous state of its shape, so it is a residual block. As in
    the paper, batch normalisation is used: processes that share a batch each normalise their part.

    Args:
        in_channels: Channels of an image.
        classes: Number of classes.
        widths: Channels of each stage.
        blocks: Blocks of each stage; n blocks in three stages make 6 n + 2 layers.
        multistep: Whether to use the two-step method; otherwise all blocks are residual blocks.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: Sequence[int],
        blocks: int,
        multistep: bool,
    ) -> None:
        super().__init__()
        self.stem = conv3x3(in_channels, widths[0])
        self.blocks = nn.ModuleList(
            MultistepBlock(before if first else width, width, multistep and not first)
            for before, width in zip([widths[0], *widths], widths, strict=False)
            for first in [True] + [False] * (blocks - 1)
        )
        self.head = classifier_head(widths[-1], classes, nn.BatchNorm2d)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(batch, classes)` of images `(batch, in_channels, height, width)`."""
        before = x = self.stem(images)
        for block in self.blocks:
            before, x = block(before, x)
        return self.head(x)


def lm_resnet(
    settings: LMResNetConfig, data: ImageData, solver: Solver, gradient: Gradient
) -> LMResNet:
    """Build the network for the shape and classes of its data."""
    return LMResNet(
        data.image_shape[0], data.classes, settings.widths, settings.blocks, settings.multistep
    )
