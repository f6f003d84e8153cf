"""A vector field that is a small network of the cubes of its state, as in the official demo."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..ode import Gradient, Solver, SolveStats, solve

__all__ = ["CubicField", "NeuralODE"]


class CubicField(nn.Module):
    """f(y) = W2 tanh(W1 y^3 + b1) + b2, with weights from N(0, 0.1^2) and no bias at first."""

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


class NeuralODE(nn.Module):
    """A trajectory from its initial state.

    Attributes:
        stats: Evaluations and steps of the last solve, filled further by its backward pass.
    """

    def __init__(self, dim: int, solver: Solver, gradient: Gradient, hidden: int = 50) -> None:
        super().__init__()
        self.vector_field = CubicField(dim, hidden)
        self.solver, self.gradient = solver, gradient
        self.stats = SolveStats()

    def forward(self, y0: Tensor, times: Tensor) -> Tensor:
        """States at `times`, `(time, batch, dim)` from `(batch, dim)`."""
        y0 = y0.float() if torch.is_autocast_enabled(y0.device.type) else y0
        solution = solve(self.vector_field, y0, times, self.solver, self.gradient)
        self.stats = solution.stats
        return solution.ys
