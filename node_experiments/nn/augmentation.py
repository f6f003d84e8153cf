"""Further dimensions of an ODE's state that start at zero (Dupont, Doucet & Teh 2019).

Trajectories of an ODE cannot cross, so that its flow is a homeomorphism: it cannot carry a sphere
out of the shell around it. In a few more dimensions it can lift one above the other.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

__all__ = ["MOST", "append_zeros", "warn_if_overaugmented"]

MOST = 10  # further dimensions for each of the state, beyond which there is a warning


def append_zeros(y: Tensor, count: int, dim: int = -1) -> Tensor:
    """The state with `count` more dimensions, all zero.

    Args:
        dim: The axis of the dimensions: -1 of vectors, 1 of images `(batch, channel, ...)`.

    >>> append_zeros(torch.ones(1, 2), 3)
    tensor([[1., 1., 0., 0., 0.]])
    """
    if not count:
        return y
    shape = list(y.shape)
    shape[dim] = count
    return torch.cat([y, y.new_zeros(shape)], dim)


def warn_if_overaugmented(count: int, dim: int) -> None:
    """Warn of further dimensions that cost more than they can help.

    Args:
        count: Further dimensions.
        dim: Those of the state itself.
    """
    if count > MOST * dim:
        warnings.warn(
            f"model.augment={count} is more than {MOST} times the {dim} dimensions of the state: "
            "the vector field mostly maps zeros; Dupont et al. (2019) found 1 to 10 enough. Take "
            "model.augment=10 or fewer",
            stacklevel=2,
        )
