"""Layers shared by the image classifiers (the official MNIST example of Chen et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "STEMS",
    "Norm",
    "ResidualBlock",
    "ResidualFunction",
    "classifier_head",
    "conv3x3",
    "conv_stem",
    "group_norm",
    "res_stem",
]

# Number of channels -> the layer that normalises them.
Norm = Callable[[int], nn.Module]


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in at most 32 groups of equal size."""
    groups = next(count for count in range(min(32, channels), 0, -1) if channels % count == 0)
    return nn.GroupNorm(groups, channels)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


class ResidualFunction(nn.Module):
    """f(y) of a pre-activation residual block: two normalised convolutions (He et al. 2016).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution.
        norm: Builds the normalisation layer before each activation.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, norm: Norm = group_norm
    ) -> None:
        super().__init__()
        self.norm1 = norm(in_channels)
        self.conv1 = conv3x3(in_channels, out_channels, stride)
        self.norm2 = norm(out_channels)
        self.conv2 = conv3x3(out_channels, out_channels)

    def forward(self, y: Tensor) -> Tensor:
        """Map a state `(batch, in_channels, height, width)`; stride divides the size."""
        return self.after_activation(F.relu(self.norm1(y)))

    def after_activation(self, activated: Tensor) -> Tensor:
        """The rest of f, applied to the output of the first activation."""
        return self.conv2(F.relu(self.norm2(self.conv1(activated))))


class ResidualBlock(ResidualFunction):
    """Pre-activation residual block: y + f(y), one Euler step of size 1 (He et al. 2016).

    Args:
        channels: Channels of input and output.
        stride: Stride of the first convolution; above 1 the shortcut is a 1x1 convolution of
            the activated input.
    """

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__(channels, channels, stride)
        self.shortcut = (
            nn.Conv2d(channels, channels, 1, stride, bias=False) if stride != 1 else None
        )

    def forward(self, y: Tensor) -> Tensor:
        """Shapes `(batch, channels, height, width)` in and out; stride divides the size."""
        activated = F.relu(self.norm1(y))
        shortcut = y if self.shortcut is None else self.shortcut(activated)
        return shortcut + self.after_activation(activated)


def conv_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Two strided convolutions; 28x28 images become a state of `channels` x 6 x 6."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3),
        group_norm(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 4, stride=2, padding=1),
        group_norm(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 4, stride=2, padding=1),
    )


def res_stem(in_channels: int, channels: int) -> nn.Sequential:
    """Two strided residual blocks; 28x28 images become a state of `channels` x 7 x 7."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3),
        ResidualBlock(channels, stride=2),
        ResidualBlock(channels, stride=2),
    )


def classifier_head(channels: int, classes: int, norm: Norm = group_norm) -> nn.Sequential:
    """Normalisation, average over the image, and one linear layer."""
    return nn.Sequential(
        norm(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )


STEMS = {"conv": conv_stem, "res": res_stem}
