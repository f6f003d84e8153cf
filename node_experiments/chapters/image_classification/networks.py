"""The image classifiers of Chen et al. 2018, section 3, their control, and a reversible ResNet."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...ode import (
    Gradient,
    Solver,
)
from .ode_block import ODEBlock
from .residual_blocks import (
    ResidualBlock,
    group_norm,
)
from .revnet import (
    ReversibleBlock,
    ReversibleSequence,
)
from .stems import (
    STEMS,
    classifier_head,
)
from .time_conv import TimeConv2d

__all__ = ["ConvVectorField", "mlp", "odenet", "resnet", "revnet", "stem_only"]


class ConvVectorField(nn.Module):
    """f(t, y) of the ODE-Net: a residual block's two convolutions, which also see the time."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = group_norm(channels)
        self.conv1 = TimeConv2d(channels, channels)
        self.norm2 = group_norm(channels)
        self.conv2 = TimeConv2d(channels, channels)
        self.norm3 = group_norm(channels)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """A 0-d time and a state `(batch, channels, height, width)`; keeps the shape."""
        y = self.conv1(t, F.relu(self.norm1(y)))
        y = self.conv2(t, F.relu(self.norm2(y)))
        return self.norm3(y)


def mlp(image_shape: tuple[int, int, int], classes: int, hidden: int = 300) -> nn.Module:
    """One hidden layer (LeCun et al. 1998), the first row of Table 1."""
    channels, height, width = image_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


def resnet(
    image_shape: tuple[int, int, int],
    classes: int,
    stem: str = "conv",
    channels: int = 64,
    blocks: int = 6,
    shared: bool = False,
) -> nn.Module:
    """Stem, `blocks` residual blocks, head; without blocks the stem is the whole network.

    With `shared`, all blocks are the same one: Euler's method for dy/dt = f(y) with steps of 1.
    """
    before = STEMS[stem](image_shape[0], channels)
    if shared:
        depth = [ResidualBlock(channels)] * blocks
    else:
        depth = [ResidualBlock(channels) for _ in range(blocks)]
    return nn.Sequential(
        before,
        nn.Sequential(*depth),
        classifier_head(channels, classes),
    )


def stem_only(
    image_shape: tuple[int, int, int], classes: int, stem: str = "conv", channels: int = 64
) -> nn.Module:
    """Stem and head with nothing between: how much of the accuracy needs no feature block."""
    return resnet(image_shape, classes, stem, channels, blocks=0)


def revnet(
    image_shape: tuple[int, int, int],
    classes: int,
    stem: str = "conv",
    channels: int = 64,
    blocks: int = 6,
    reconstruct: bool = True,
) -> nn.Module:
    """Stem, `blocks` reversible residual blocks, head (Gomez et al. 2017)."""
    steps = [ReversibleBlock.residual(channels) for _ in range(blocks)]
    return nn.Sequential(
        STEMS[stem](image_shape[0], channels),
        ReversibleSequence(steps, reconstruct),
        classifier_head(channels, classes),
    )


def odenet(
    image_shape: tuple[int, int, int],
    classes: int,
    solver: Solver,
    gradient: Gradient,
    stem: str = "conv",
    channels: int = 64,
) -> nn.Module:
    """Stem, one ODE block in place of the residual blocks, head."""
    return nn.Sequential(
        STEMS[stem](image_shape[0], channels),
        ODEBlock(ConvVectorField(channels), solver, gradient),
        classifier_head(channels, classes),
    )
