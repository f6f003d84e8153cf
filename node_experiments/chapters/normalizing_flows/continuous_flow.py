"""Continuous normalizing flows: density and state in one solve (Chen et al. 2018, section 4).

By the instantaneous change of variables (theorem 1, eq. 8), d log p(z(t)) / dt = -tr(df/dz) along
dz/dt = f(t, z). The solver carries z and log p together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...nn.ode_module import ODEModule
from ...ode import Gradient, Solver, solve
from .divergence import Divergence
from .flow import check_points, normal_log_density

__all__ = ["ContinuousFlow", "DensityField"]


class DensityField(nn.Module):
    """d(z, log p)/dt = (f, -tr(df/dz)).

    Args:
        dynamics: f, with its trace; the `vector_field` of `ContinuousFlow`.
    """

    def __init__(self, dynamics: nn.Module) -> None:
        super().__init__()
        self.dynamics = dynamics

    @staticmethod
    def moving_part(state: tuple[Tensor, Tensor]) -> Tensor:
        """The state z, without its log-density."""
        return state[0]

    def forward(
        self, t: Tensor, state: tuple[Tensor, Tensor], probes: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The derivative at a 0-d time; shapes `(batch, dim)` and `(batch,)`, in and out."""
        dynamics: Any = self.dynamics
        derivative, trace = dynamics.with_divergence(t, state[0], probes)
        return derivative, -trace


class ContinuousFlow(ODEModule):
    """The density of z(horizon) when z(0) is Gaussian.

    Args:
        vector_field: Maps a 0-d time and states `(batch, dim)` to their derivatives; its
            `with_divergence(t, z, probes)` also returns the traces `(batch,)` of df/dz.
        dim: Dimension of a state.
        divergence: The method for the trace; its probes are drawn once per solve.
        horizon: Time of the data; that of the noise is 0.
        base_std: Standard deviation of the noise.

    Raises:
        DimensionError: The divergence is not allowed in this dimension.
    """

    field_compiles = False

    def __init__(
        self,
        vector_field: nn.Module,
        dim: int,
        solver: Solver,
        gradient: Gradient,
        divergence: Divergence | None = None,
        horizon: float = 1.0,
        base_std: float = 1.0,
    ) -> None:
        super().__init__(DensityField(vector_field), solver, gradient)
        self.divergence = divergence or Divergence("exact", closed_form=True)
        self.divergence.check(dim)
        self.dim = dim
        self.horizon, self.base_std = horizon, base_std

    def log_prob(self, x: Tensor, fraction: float = 1.0) -> Tensor:
        """Log-density in nats at the time `fraction * horizon`, shape `(batch,)`."""
        check_points(x, self.dim)
        times = x.new_tensor([fraction * self.horizon, 0.0])
        z, change = self._solve(x, torch.zeros_like(x[:, 0]), times)
        return normal_log_density(z[-1], self.base_std) - change[-1]

    def sample(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Points at the horizon from standard normal noise, and their log-density in nats."""
        check_points(noise, self.dim)
        z = self.base_std * noise
        start = normal_log_density(z, self.base_std)
        points, log_density = self._solve(z, start, z.new_tensor([0.0, self.horizon]))
        return points[-1], log_density[-1]

    def path(self, noise: Tensor, fractions: Sequence[float]) -> Tensor:
        """States at the times `fraction * horizon`, `(fraction, batch, dim)`, from one solve."""
        check_points(noise, self.dim)
        times = noise.new_tensor([0.0, *(fraction * self.horizon for fraction in fractions)])
        field: Any = self.vector_field
        solution = solve(field.dynamics, self.base_std * noise, times, self.solver, self.gradient)
        self.solves = [solution.stats]
        return solution.ys[1:]

    def _solve(self, z: Tensor, log_density: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        probes = self.divergence.probes(z, self.training)
        states, log_densities = self.solve((z, log_density), times, probes)
        return states, log_densities
