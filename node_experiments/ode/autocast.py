"""Autocast is for the vector field: a solver computes in the precision of the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

__all__ = ["autocast_like_now", "full_precision"]


def autocast_like_now(
    device: torch.device, recorded: bool
) -> Callable[[], AbstractContextManager]:
    """A context for each evaluation that repeats the autocast state of this moment.

    Args:
        recorded: Whether all evaluations of the solve are part of one graph.
    """
    if not torch.is_autocast_enabled(device.type):
        return nullcontext
    dtype = torch.get_autocast_dtype(device.type)

    def context() -> AbstractContextManager:
        # A cast of a weight that was made and cached without a graph would be met by evaluations
        # with one, which would lose the gradient.
        cached = recorded or not torch.is_grad_enabled()
        return torch.autocast(device.type, dtype=dtype, cache_enabled=cached)

    return context


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Without autocast, and with none of its casts from before met inside or the reverse."""
    if not torch.is_autocast_enabled(device.type):
        yield
        return
    torch.clear_autocast_cache()
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.clear_autocast_cache()
