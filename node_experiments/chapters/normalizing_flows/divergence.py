"""The trace of df/dz: exact, or estimated without bias (Hutchinson 1990; Grathwohl et al. 2019).

Both are sums of v^T (df/dz) v over probes v: the unit vectors, or random signs. A vector field
propagates all probes in one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .flow import DimensionError

__all__ = ["Divergence", "trace_of"]

EXACT_LIMIT = 16  # dimensions up to which the exact trace is worth its cost


@dataclass(frozen=True)
class Divergence:
    """Method to compute the trace.

    Attributes:
        kind: `exact`, or `hutchinson`: estimated from random signs in training, exact in
            evaluations up to `EXACT_LIMIT` dimensions.
        closed_form: Whether the vector field has a trace in closed form and needs no probes.
    """

    kind: str = "exact"
    closed_form: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("exact", "hutchinson"):
            raise ValueError(f"model.trace={self.kind!r} is unknown; allowed: exact, hutchinson")

    def check(self, dim: int) -> None:
        """Check that the trace is affordable in this dimension.

        Raises:
            DimensionError: An exact trace would need a probe for each of many dimensions.
        """
        if self.kind == "exact" and not self.closed_form and dim > EXACT_LIMIT:
            raise DimensionError(
                f"model.trace='exact' costs {dim} Jacobian products per evaluation in {dim} "
                f"dimensions, and is allowed up to {EXACT_LIMIT}; use model.trace=hutchinson"
            )

    def probes(self, z: Tensor, training: bool) -> Tensor | None:
        """Probes for one solve with states `(batch, dim)`.

        Returns:
            Shape `(probe, 1, dim)` (all unit vectors) or `(1, batch, dim)` (random signs).
        """
        if self.closed_form:
            return None
        dim = z.shape[1]
        if self.kind == "exact" or (not training and dim <= EXACT_LIMIT):
            return torch.eye(dim, dtype=z.dtype, device=z.device).unsqueeze(1)
        return (torch.randint(0, 2, z.shape, device=z.device) * 2 - 1).to(z.dtype).unsqueeze(0)


def trace_of(probes: Tensor, images: Tensor) -> Tensor:
    """Sum over probes of v^T J v, shape `(batch,)`.

    Args:
        probes: v, shape `(probe, batch or 1, dim)`.
        images: J v, shape `(probe, batch, dim)`.
    """
    return (probes * images).sum((0, 2))
