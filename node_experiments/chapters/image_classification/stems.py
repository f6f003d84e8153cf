"""What stands before and after the feature block: downsampling stems and the classifier head."""

from __future__ import annotations

from torch import nn

from .residual_blocks import (
    Norm,
    ResidualBlock,
    group_norm,
)

__all__ = ["STEMS", "classifier_head", "conv_stem", "res_stem"]


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
    """Normalise, average over the image, and one linear layer."""
    return nn.Sequential(
        norm(channels),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, classes),
    )


STEMS = {"conv": conv_stem, "res": res_stem}
