"""Names of torchdiffeq's `misc` that programs import: norms, and where fields are evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from ...norms import rms_norm as _rms_norm

__all__ = ["Perturb", "_linf_norm", "_mixed_norm", "_null_callback", "_rms_norm"]


class Perturb(Enum):
    """Where the vector field is evaluated: at a time, just before it or just after it.

    The solver moves the times of a step itself (`options={"perturb": True}`), so that a vector
    field takes this argument and does not use it.
    """

    NONE = 0
    PREV = 1
    NEXT = 2


def _null_callback(*args: Any, **kwargs: Any) -> None:
    pass


def _linf_norm(tensor: Tensor) -> Tensor:
    """The largest modulus of the entries, shape `()`."""
    return tensor.abs().max()


def _mixed_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The largest of the root mean squares of several tensors, shape `()`."""
    if not tensors:
        return torch.zeros(())
    return torch.stack([_rms_norm(x.reshape(-1)) for x in tensors]).max()
