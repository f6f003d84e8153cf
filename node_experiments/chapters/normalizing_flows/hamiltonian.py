"""A vector field with zero trace: each half of the state is driven by the other one.

The continuous counterpart of NICE (Chen et al. 2018, appendix A.2, "Hamiltonian CNF"). It
preserves volume, and with it density along trajectories: it moves and folds the base density but
cannot sharpen it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .concat_squash import ConcatSquashMLP
from .flow import DimensionError

__all__ = ["HamiltonianField"]


class HamiltonianField(nn.Module):
    """d(q, p)/dt = (f(t, p), g(t, q)).

    Args:
        dim: Dimension of the state, at least 2; q is the first half, rounded down.
        hidden: Units of each hidden layer of f and g.
        layers: Hidden layers of f and of g.

    Raises:
        DimensionError: The dimension is below 2.
    """

    def __init__(self, dim: int, hidden: int, layers: int) -> None:
        super().__init__()
        if dim < 2:
            raise DimensionError(
                f"hamiltonian_cnf splits the state into halves and needs at least 2 dimensions; "
                f"found {dim}; use planar_cnf or ffjord"
            )
        self.sizes = [dim // 2, dim - dim // 2]
        a, b = self.sizes
        self.drives_first = ConcatSquashMLP([b, *[hidden] * layers, a])
        self.drives_second = ConcatSquashMLP([a, *[hidden] * layers, b])

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt at a 0-d time, of the shape `(batch, dim)` of z."""
        q, p = z.split(self.sizes, 1)
        return torch.cat([self.drives_first(t, p), self.drives_second(t, q)], 1)

    def with_divergence(
        self, t: Tensor, z: Tensor, probes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """dz/dt, and its trace, which is 0 everywhere."""
        return self(t, z), torch.zeros_like(z[:, 0])
