"""An ODE from the pixels of an image to its class, plain or augmented (Dupont et al. 2019, 5.2).

No layers precede the ODE: its initial state is the image, with `augment` channels of zeros
appended, and one linear layer reads its final state. Plain and augmented networks have about the
same number of parameters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...nn.augmentation import warn_if_overaugmented
from ...ode import Gradient, Solver
from .batches import ImageData
from .chapter import ImageODEConfig
from .ode_block import ODEBlock

__all__ = ["ImageField", "filters_for", "image_ode"]


class ImageField(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with ReLU in between, each with the time as a channel."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels + 1, filters, 1)
        self.second = nn.Conv2d(filters + 1, filters, 3, padding=1)
        self.last = nn.Conv2d(filters + 1, channels, 1)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """The derivative at a 0-d time and a state `(batch, channels, height, width)`."""
        time = t.to(y.dtype).expand(len(y), 1, *y.shape[-2:])
        y = F.relu(self.first(torch.cat([time, y], 1)))
        y = F.relu(self.second(torch.cat([time, y], 1)))
        found: Tensor = self.last(torch.cat([time, y], 1))
        return found


def filters_for(parameters: int, channels: int, head: int) -> int:
    """The number of filters for which field and head come closest to a number of parameters.

    Args:
        channels: Channels of the state.
        head: Parameters of the linear layer.

    >>> filters_for(85_400, 1, 7_850), filters_for(85_400, 6, 47_050)  # of the official code
    (92, 64)
    """

    def distance(filters: int) -> int:
        field = filters * (channels + 2) + filters * (9 * (filters + 1) + 1)
        return abs(field + channels * (filters + 2) + head - parameters)

    return min(range(1, 513), key=distance)


def image_ode(
    settings: ImageODEConfig, data: ImageData, solver: Solver, gradient: Gradient
) -> nn.Module:
    """Build the network: pooling, one ODE block, one linear layer."""
    channels, height, width = data.image_shape
    warn_if_overaugmented(settings.augment, channels)
    channels += settings.augment
    head = nn.Linear(channels * (height // settings.pool) * (width // settings.pool), data.classes)
    head_parameters = sum(p.numel() for p in head.parameters())
    filters = filters_for(settings.parameters, channels, head_parameters)
    return nn.Sequential(
        nn.AvgPool2d(settings.pool),
        ODEBlock(ImageField(channels, filters), solver, gradient, settings.augment),
        nn.Flatten(),
        head,
    )
