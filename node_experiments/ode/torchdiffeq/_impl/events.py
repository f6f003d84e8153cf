"""Event functions of any number of components as one event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...events import Event

__all__ = ["MOST_FIXED_STEPS", "MOST_STEPS", "first_component"]

# Steps after which a search gives up, unless max_num_steps is given; that of fixed ones is
# torchdiffeq's.
MOST_STEPS, MOST_FIXED_STEPS = 100_000, 20_000


def first_component(event_fn: Callable[..., Any], y0: Any, t0: Tensor) -> Event:
    """The event that the first component of `event_fn(t, y)` crosses zero.

    Components are counted as positive at the start, so that their minimum crosses with the first.
    """
    with torch.no_grad():
        start = as_number(event_fn(t0.detach().clone(), pytree.tree_map(torch.clone, y0)))
        signs = torch.where(start < 0, -1.0, 1.0).to(start)

    def smallest(t: Tensor, y: Any) -> Tensor:
        return (as_number(event_fn(t, y)) * signs).min()

    return Event(smallest, at_start=True)


def as_number(value: Any) -> Tensor:
    """The value of an event function as a tensor of floats; a truth value as 1 or -1."""
    value = torch.as_tensor(value)
    if value.dtype == torch.bool:
        return torch.where(value, 1.0, -1.0)
    return value if value.is_floating_point() else value.to(torch.get_default_dtype())
