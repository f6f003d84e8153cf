"""A residual network and an ODE network with scalar states (Chen et al. 2018, Figure 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...nn.ode_module import ODEModule
from ...ode import Gradient, Solver
from .chapter import DepthPairConfig

__all__ = ["DepthODE", "DepthPair", "ResidualSteps", "TimeField", "depth_pair"]


class TimeField(nn.Module):
    """Vector field f(t, h): a network with one tanh layer, which also reads the depth t."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """A 0-d depth and states `(batch, 1)`; keeps the shape."""
        return self.net(torch.cat([h, t.to(h).expand_as(h)], 1))


class ResidualSteps(nn.Module):
    """h_(k+1) = h_k + f(h_k, theta_k) for k = 0, ..., blocks - 1 (eq. 1)."""

    def __init__(self, blocks: int, hidden: int) -> None:
        super().__init__()
        self.functions = nn.ModuleList(
            nn.Sequential(nn.Linear(1, hidden), nn.Tanh(), nn.Linear(hidden, 1))
            for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """States at every depth, `(blocks + 1, batch, 1)` from `(batch, 1)`."""
        states = [x]
        for function in self.functions:
            states.append(states[-1] + function(states[-1]))
        return torch.stack(states)


class DepthODE(ODEModule):
    """h(depth) of dh/dt = f(h, t), h(0) = x (eq. 2)."""

    def __init__(self, depth: float, solver: Solver, gradient: Gradient, hidden: int) -> None:
        super().__init__(TimeField(hidden), solver, gradient)
        self.register_buffer("times", torch.tensor([0.0, depth]), persistent=False)
        self.times: Tensor

    def forward(self, x: Tensor, times: Tensor | None = None) -> Tensor:
        """States at `times` (by default at both ends), `(time, batch, 1)` from `(batch, 1)`."""
        x = x.float() if torch.is_autocast_enabled(x.device.type) else x
        return self.solve(x, self.times if times is None else times)


class DepthPair(nn.Module):
    """Both networks side by side on the same task; the ODE's depth is the number of blocks."""

    def __init__(self, blocks: int, solver: Solver, gradient: Gradient, hidden: int) -> None:
        super().__init__()
        self.residual = ResidualSteps(blocks, hidden)
        self.ode = DepthODE(float(blocks), solver, gradient, hidden)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs of both, `(batch, 1)` from `(batch, 1)`."""
        return self.residual(x)[-1], self.ode(x)[-1]


def depth_pair(
    settings: DepthPairConfig, data: Any, solver: Solver, gradient: Gradient
) -> DepthPair:
    """Build the networks of Figure 1."""
    return DepthPair(settings.blocks, solver, gradient, settings.hidden)
