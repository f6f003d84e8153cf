"""A convolution that also sees the time, computed as a bias field."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["TimeConv2d"]


class TimeConv2d(nn.Module):
    """A 3x3 convolution of the state with a constant channel t concatenated in front of it.

    Convolution is linear, so the channel of the constant t contributes a field that does not
    depend on the state: conv(concat(t, y)) = conv(y) + conv(t). This computes the same function
    as the concatenation of the official example without building the wider input. The bias is
    part of the field of one image, for its gradient is dear beside a batch of images.

    Args:
        in_channels: Channels of the state, without the time.
        out_channels: Channels of the result.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        # Drawn as one layer, so that the initial weights have the distribution of the original.
        joint = nn.Conv2d(in_channels + 1, out_channels, 3, padding=1)
        assert joint.bias is not None
        self.time_weight = nn.Parameter(joint.weight[:, :1].detach().clone())
        self.weight = nn.Parameter(joint.weight[:, 1:].detach().clone())
        self.bias = nn.Parameter(joint.bias.detach().clone())

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """A 0-d time and a state `(batch, in_channels, height, width)`; keeps height and width."""
        channel = t.to(y.dtype).expand(1, 1, *y.shape[-2:])
        field = F.conv2d(channel, self.time_weight, self.bias, padding=1)
        return F.conv2d(y, self.weight, padding=1) + field
