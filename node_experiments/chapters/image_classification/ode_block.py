"""A block of a network whose output is the solution of an ODE."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...nn.augmentation import append_zeros
from ...nn.ode_module import ODEModule
from ...ode import (
    Gradient,
    Solver,
)

__all__ = ["ODEBlock"]


class ODEBlock(ODEModule):
    """y(1) of dy/dt = f(t, y), y(0) = input: continuous depth (Chen et al. 2018, eq. 2).

    Args:
        vector_field: Module that maps a 0-d time and a state to a derivative of its shape.
        solver: How the ODE is solved; may be exchanged on a trained model.
        gradient: How gradients are computed.
        augment: Channels of zeros that the state has beyond those of the input.
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
        # Under autocast the state stays in full precision; only the vector field is cheapened.
        y = y.float() if torch.is_autocast_enabled(y.device.type) else y
        return self.solve(append_zeros(y, self.augment, dim=1), self.times)[-1]
