"""The image classifiers of Chen et al. 2018, section 3, and their control."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...nn.augmentation import warn_if_overaugmented
from ...ode import Gradient, Solver
from .batches import ImageData
from .chapter import ImageClassifierConfig, MLPConfig, ODENetConfig, ResNetConfig
from .ode_block import ODEBlock, TimeConv2d
from .residual_blocks import STEMS, ResidualBlock, classifier_head, group_norm

__all__ = ["ConvVectorField", "mlp", "odenet", "resnet", "stem_only"]


class ConvVectorField(nn.Module):
    """The ODE-Net's f(t, y): two convolutions as in a residual block, with time as an input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = group_norm(channels)
        self.conv1 = TimeConv2d(channels, channels)
        self.norm2 = group_norm(channels)
        self.conv2 = TimeConv2d(channels, channels)
        self.norm3 = group_norm(channels)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The derivative at a 0-d time and a state `(batch, channels, height, width)`."""
        y = self.conv1(t, F.relu(self.norm1(y)))
        y = self.conv2(t, F.relu(self.norm2(y)))
        return self.norm3(y)


def mlp(settings: MLPConfig, data: ImageData, solver: Solver, gradient: Gradient) -> nn.Module:
    """One hidden layer (LeCun et al. 1998), the first row of Table 1."""
    channels, height, width = data.image_shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, settings.hidden),
        nn.ReLU(),
        nn.Linear(settings.hidden, data.classes),
    )


def resnet(
    settings: ResNetConfig, data: ImageData, solver: Solver, gradient: Gradient
) -> nn.Module:
    """Stem, residual blocks, head; without blocks, stem and head alone.

    With `settings.shared`, all blocks share their weights: the Euler method for dy/dt = f(y) with
    steps of 1.
    """
    stem = stem_of(settings, data)
    if settings.shared:
        depth = [ResidualBlock(settings.channels)] * settings.blocks
    else:
        depth = [ResidualBlock(settings.channels) for _ in range(settings.blocks)]
    return nn.Sequential(
        stem, nn.Sequential(*depth), classifier_head(settings.channels, data.classes)
    )


def stem_only(
    settings: ImageClassifierConfig, data: ImageData, solver: Solver, gradient: Gradient
) -> nn.Module:
    """Stem and head alone, which shows how much of the accuracy needs no feature block."""
    return nn.Sequential(
        stem_of(settings, data),
        nn.Sequential(),
        classifier_head(settings.channels, data.classes),
    )


def odenet(
    settings: ODENetConfig, data: ImageData, solver: Solver, gradient: Gradient
) -> nn.Module:
    """Stem, one ODE block in place of the residual blocks, head."""
    warn_if_overaugmented(settings.augment, settings.channels)
    channels = settings.channels + settings.augment
    return nn.Sequential(
        stem_of(settings, data),
        ODEBlock(ConvVectorField(channels), solver, gradient, settings.augment),
        classifier_head(channels, data.classes),
    )


def stem_of(settings: ImageClassifierConfig, data: ImageData) -> nn.Module:
    """The layers before the feature block."""
    return STEMS[settings.stem](data.image_shape[0], settings.channels)
