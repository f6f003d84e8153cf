"""Conversion of event functions with any number of components to a single event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...events import Event

__all__ = ["MAX_FIXED_STEPS", "MAX_STEPS", "first_component"]

# Number of steps after which a search gives up, unless max_num_steps is given; the number of fixed
# steps is that of torchdiffeq.
MAX_STEPS, MAX_FIXED_STEPS = 100_000, 20_000


def first_component(
    event_fn: Callable[..., Any], y0: Any, t0: Tensor, at_ends: bool = False
) -> Event:
    """The event at which the first of the components of `event_fn(t, y)` crosses zero.

    Components are multiplied by their initial signs, so that their minimum crosses with the first.

    Args:
        at_ends: Whether only the ends of steps are searched, and not their inside.
    """
    with torch.no_grad():
        start = as_float(event_fn(t0.detach().clone(), pytree.tree_map(torch.clone, y0)))
        signs = torch.where(start < 0, -1.0, 1.0).to(start)

    def smallest(t: Tensor, y: Any) -> Tensor:
        return (as_float(event_fn(t, y)) * signs).min()

    return Event(smallest, at_start=True, points=0 if at_ends else Event.points)


def as_float(value: Any) -> Tensor:
    """The value of an event function as a tensor of floats; booleans become 1 or -1."""
    value = torch.as_tensor(value)
    if value.dtype == torch.bool:
        return torch.where(value, 1.0, -1.0)
    return value if value.is_floating_point() else value.to(torch.get_default_dtype())
