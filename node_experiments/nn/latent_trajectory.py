"""The solution of an ODE at separate times for every sample of a batch.

There are two ways. One is to solve for the union of all times, from which each sample takes its
own: best when the samples share a grid. The other is to solve for a few knots that all samples
share, and to interpolate between them by cubic Hermite polynomials: the cost does not grow with
the number of different times.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..ode import Gradient, Solver
from ..ode.methods.butcher_tableau import hermite_weights
from .augmentation import append_zeros
from .cpu.feature_major import units_first
from .ode_module import ODEModule

__all__ = ["LatentTrajectory", "read_between_knots"]


class LatentTrajectory(ODEModule):
    """The solution z(t) of dz/dt = f(t, z), z(0) = z0 (Chen et al. 2018, section 5, eq. 11 to 13).

    Args:
        vector_field: Module that maps a 0-d time and a state to a derivative of its shape.
        solver: Solver of the ODE, or the name of a method; may be exchanged after training.
        gradient: Gradient method, or its name.
        knots: Number of intervals between knots up to the latest time; 0 to always solve for the
            union of times; None to use knots if there are more than `MAX_TIMES_WITHOUT_KNOTS`
            different times.
        augment: Number of dimensions that the state of `vector_field` has after those of z; they
            start at zero and are not returned.

    Example:
        >>> class Decay(nn.Module):
        ...     def forward(self, t, z):
        ...         return -z
        >>> z = LatentTrajectory(Decay(), "dopri5", "discrete")
        >>> times = torch.tensor([[0.0, 1.0, 2.0], [0.5, 1.0, 1.5]])  # of two samples
        >>> z(torch.ones(2, 4), times).shape
        torch.Size([2, 3, 4])
        >>> [round(float(x), 3) for x in z(torch.ones(2, 1), times)[:, 1, 0]]  # exp(-1)
        [0.368, 0.368]
    """

    MAX_TIMES_WITHOUT_KNOTS = 400

    def __init__(
        self,
        vector_field: nn.Module,
        solver: Solver | str,
        gradient: Gradient | str,
        knots: int | None = None,
        augment: int = 0,
    ) -> None:
        super().__init__(vector_field, solver, gradient)
        self.knots, self.augment = knots, augment

    def forward(self, z0: Tensor, times: Tensor) -> Tensor:
        """States at the times of each sample.

        Args:
            z0: States at time 0, shape `(..., batch, latent)`.
            times: Not negative; shape `(batch, time)` or `(1, time)`.

        Returns:
            Shape `(..., batch, time, latent)`.
        """
        z0 = z0.float() if torch.is_autocast_enabled(z0.device.type) else z0
        states = self._states(units_first(append_zeros(z0, self.augment)), times)
        return states[..., : z0.shape[-1]] if self.augment else states

    def _states(self, z0: Tensor, times: Tensor) -> Tensor:
        times = times.to(z0.dtype)
        grid, index = torch.unique(times, return_inverse=True)
        many = len(grid) > self.MAX_TIMES_WITHOUT_KNOTS and len(times) > 1
        if self.knots if self.knots is not None else many:
            return self._between_knots(z0, times)
        if grid[0] != 0:
            grid = torch.cat([grid.new_zeros(1), grid])
            index = index + 1
        zs = self.solve(z0, grid).movedim(0, -2) if len(grid) > 1 else z0.unsqueeze(-2)
        if len(times) == 1:
            whole = index.shape[1] == zs.shape[-2]
            return zs if whole else zs.index_select(-2, index[0])
        return pick(zs, index)

    def _between_knots(self, z0: Tensor, times: Tensor) -> Tensor:
        end = float(times.max())
        if end == 0:
            return z0.unsqueeze(-2).expand(*z0.shape[:-1], times.shape[1], z0.shape[-1])
        knots = torch.linspace(0, end, (self.knots or self._default_knots(end)) + 1).to(times)
        zs = self.solve(z0, knots)
        derivatives = torch.stack(
            [self.vector_field(t, z) for t, z in zip(knots, zs, strict=True)]
        )
        return read_between_knots(knots, zs.movedim(0, -2), derivatives.movedim(0, -2), times)

    def _default_knots(self, end: float) -> int:
        """The default number of intervals: that of the steps of a fixed-step solver, or 50."""
        solver = self.solver
        if solver.num_steps is not None:
            return solver.num_steps
        return math.ceil(end / solver.step_size) if solver.step_size is not None else 50


def read_between_knots(knots: Tensor, z: Tensor, derivatives: Tensor, times: Tensor) -> Tensor:
    """Cubic Hermite interpolation, with an error of O(h^4) for knots that are h apart.

    Args:
        knots: Increasing times, shape `(knot,)`.
        z, derivatives: State and dz/dt at the knots, shape `(..., batch, knot, latent)`.
        times: From the first knot to the last, shape `(batch, time)`.

    Returns:
        Shape `(..., batch, time, latent)`.
    """
    left = (torch.searchsorted(knots, times.contiguous(), right=True) - 1).clamp(0, len(knots) - 2)
    h = knots[left + 1] - knots[left]
    theta = (times - knots[left]) / h
    h, theta = h.unsqueeze(-1), theta.unsqueeze(-1)
    start, first, end, last = hermite_weights(theta)
    return (
        start * pick(z, left)
        + h * first * pick(derivatives, left)
        + end * pick(z, left + 1)
        + h * last * pick(derivatives, left + 1)
    )


def pick(z: Tensor, index: Tensor) -> Tensor:
    """Select the times `index`, `(batch, chosen)`, per sample of `(..., batch, time, latent)`."""
    index = index.unsqueeze(-1).expand(*z.shape[:-2], index.shape[-1], z.shape[-1])
    return z.gather(-2, index)
