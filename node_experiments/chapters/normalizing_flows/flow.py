"""What every normalizing flow can do: draw samples with their density, and give any point's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from ...config.checks import ConfigError

__all__ = ["DimensionError", "Flow", "check_points", "normal_log_density"]


class DimensionError(ConfigError, ValueError):
    """A flow and a dimension that do not fit together."""


class Flow(Protocol):
    """A density q on R^dim that is a transformed Gaussian.

    Part of the way from noise to data is a density as well: `until` is the share of it, from above
    0 to 1, in time or in layers.

    Attributes:
        dim: Dimension of a point.
    """

    dim: int

    def sample(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Points `(batch, dim)` from standard normal noise of that shape, and their log q."""
        ...

    def log_prob(self, x: Tensor, until: float = 1.0) -> Tensor:
        """Log-density in nats of points `(batch, dim)`, shape `(batch,)`."""
        ...

    def path(self, noise: Tensor, untils: Sequence[float]) -> Tensor:
        """Where noise `(batch, dim)` goes: `(until, batch, dim)`, for rising values of `until`."""
        ...


def normal_log_density(z: Tensor, std: float) -> Tensor:
    """Logarithm of N(z; 0, std^2 I) in nats, shape `(batch,)` from `(batch, dim)`."""
    constant = z.shape[-1] * (math.log(std) + 0.5 * math.log(2 * math.pi))
    return -0.5 * (z / std).square().sum(-1) - constant


def check_points(x: Tensor, dim: int) -> None:
    """Refuse points of another dimension.

    Raises:
        DimensionError: The shape is not `(batch, dim)`.
    """
    if x.dim() != 2 or x.shape[1] != dim:
        raise DimensionError(
            f"this flow takes points of shape (batch, {dim}); found {tuple(x.shape)}; give points "
            "of that dimension, or make the flow with dim set to theirs"
        )
