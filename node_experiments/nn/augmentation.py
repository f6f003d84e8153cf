"""Augmentation of an ODE's state by dimensions that start at zero (Dupont, Doucet & Teh 2019).

Trajectories of an ODE cannot cross, so its flow is a homeomorphism: it cannot move a sphere out of
the shell around it. With a few additional dimensions it can lift one above the other.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

__all__ = ["MAX_AUGMENT_RATIO", "append_zeros", "warn_if_overaugmented"]

MAX_AUGMENT_RATIO = (
    10  # additional dimensions per dimension of the state, above which there is a warning
)


def append_zeros(y: Tensor, count: int, dim: int = -1) -> Tensor:
    """The state with `count` additional dimensions, all zero.

    Args:
        dim: The axis of the dimensions: -1 for vectors, 1 for images `(batch, channel, ...)`.

    >>> append_zeros(torch.ones(1, 2), 3)
    tensor([[1., 1., 0., 0., 0.]])
    """
    if not count:
        return y
    shape = list(y.shape)
    shape[dim] = count
    return torch.cat([y, y.new_zeros(shape)], dim)


def warn_if_overaugmented(count: int, dim: int) -> None:
    """Warn if there are more additional dimensions than can be of use.

    Args:
        count: Number of additional dimensions.
        dim: Dimension of the state itself.
    """
    if count > MAX_AUGMENT_RATIO * dim:
        warnings.warn(
            f"model.augment={count} is more than {MAX_AUGMENT_RATIO} times the {dim} dimensions "
            "of the state: the vector field mostly maps zeros; Dupont et al. (2019) found 1 to 10 "
            "enough. Use model.augment=10 or fewer",
            stacklevel=2,
        )
