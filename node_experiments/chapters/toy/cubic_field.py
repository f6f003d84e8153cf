"""A vector field that is a small network of the state's cubes, as in the official demo."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...nn.augmentation import append_zeros, warn_if_overaugmented
from ...nn.ode_module import ODEModule
from ...ode import Gradient, Solver
from .chapter import NeuralODEConfig

__all__ = ["CubicField", "NeuralODE", "neural_ode"]


class CubicField(nn.Module):
    """f(y) = W2 tanh(W1 y^3 + b1) + b2; weights are initially N(0, 0.1^2) and biases 0."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, dim))
        for layer in self.net:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.1)
                nn.init.zeros_(layer.bias)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        """A 0-d time and a state `(..., dim)`; keeps the shape."""
        return self.net(y**3)


class NeuralODE(ODEModule):
    """A neural ODE that maps initial states to trajectories.

    Args:
        dim: Dimension of the data.
        augment: Number of additional dimensions that start at zero.
    """

    def __init__(
        self, dim: int, hidden: int, solver: Solver, gradient: Gradient, augment: int = 0
    ) -> None:
        super().__init__(CubicField(dim + augment, hidden), solver, gradient)
        self.dim, self.augment = dim, augment

    def forward(self, y0: Tensor, times: Tensor) -> Tensor:
        """States at `times`, `(time, batch, dim)` from `(batch, dim)`."""
        y0 = y0.float() if torch.is_autocast_enabled(y0.device.type) else y0
        states: Tensor = self.solve(append_zeros(y0, self.augment), times)
        return states[..., : self.dim]

    def velocity(self, t: Tensor, y: Tensor) -> Tensor:
        """dy/dt at states `(..., dim)` whose additional dimensions are zero, as initially."""
        found: Tensor = self.vector_field(t, append_zeros(y, self.augment))
        return found[..., : self.dim]


def neural_ode(
    settings: NeuralODEConfig, data: Any, solver: Solver, gradient: Gradient
) -> NeuralODE:
    """Build the model of the demo for the dimension of its data."""
    warn_if_overaugmented(settings.augment, data.dim)
    return NeuralODE(data.dim, settings.hidden, solver, gradient, settings.augment)
