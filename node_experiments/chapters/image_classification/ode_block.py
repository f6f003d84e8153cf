"""A network block whose output is the solution of an ODE, and time-dependent convolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...nn.augmentation import append_zeros
from ...nn.ode_module import ODEModule
from ...ode import Gradient, Solver

__all__ = ["ODEBlock", "TimeConv2d"]


class ODEBlock(ODEModule):
    """y(1) of dy/dt = f(t, y), y(0) = input: continuous depth (Chen et al. 2018, eq. 2).

    Args:
        vector_field: Module that maps a 0-d time and a state to a derivative of its shape.
        solver: The solver; can be replaced on a trained model.
        gradient: The gradient method.
        augment: Channels of zeros appended to the input.
    """

    def __init__(
        self, vector_field: nn.Module, solver: Solver, gradient: Gradient, augment: int = 0
    ) -> None:
        super().__init__(vector_field, solver, gradient)
        self.augment = augment
        self.register_buffer("times", torch.tensor([0.0, 1.0]), persistent=False)
        self.times: Tensor

    def forward(self, y: Tensor) -> Tensor:
        """The state at t = 1: `(batch, channels + augment, ...)` from `(batch, channels, ...)`."""
        # Under autocast the state stays in full precision; only the vector field uses less.
        y = y.float() if torch.is_autocast_enabled(y.device.type) else y
        return self.solve(append_zeros(y, self.augment, dim=1), self.times)[-1]


class TimeConv2d(nn.Module):
    """A 3x3 convolution of the state with a constant channel t concatenated in front of it.

    Convolution is linear, so the constant channel t contributes a field that does not depend on
    the state: conv(concat(t, y)) = conv(y) + conv(t). This computes the same function as the
    concatenation of the official example without building the wider input. The bias is part of
    this field, which is that of one image: its gradient for a whole batch is expensive.

    Args:
        in_channels: Channels of the state, without the time.
        out_channels: Channels of the result.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        # Initialised as one layer, so that the weights have the distribution of the original.
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
