"""Interface and helpers shared by all normalizing flows.

A flow is a density q on R^dim, a transformed Gaussian, with `sample(noise)` (points and their log
q), `log_prob(x, fraction)` and `path(noise, fractions)`, at fractions of the transformation.
"""

from __future__ import annotations

import math

from torch import Tensor

from ...config.checks import ConfigError

__all__ = ["DimensionError", "check_points", "normal_log_density"]


class DimensionError(ConfigError, ValueError):
    """A flow and a dimension do not fit together."""


def normal_log_density(z: Tensor, std: float) -> Tensor:
    """Logarithm of N(z; 0, std^2 I) in nats, shape `(batch,)` from `(batch, dim)`."""
    constant = z.shape[-1] * (math.log(std) + 0.5 * math.log(2 * math.pi))
    return -0.5 * (z / std).square().sum(-1) - constant


def check_points(x: Tensor, dim: int) -> None:
    """Check that points have the dimension of the flow.

    Raises:
        DimensionError: The shape is not `(batch, dim)`.
    """
    if x.dim() != 2 or x.shape[1] != dim:
        raise DimensionError(
            f"this flow takes points of shape (batch, {dim}); found {tuple(x.shape)}; give points "
            "of that dimension, or build the flow with dim set to theirs"
        )
