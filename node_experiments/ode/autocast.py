"""Autocast for the vector field only: the solver computes in the precision of the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

__all__ = ["current_autocast", "full_precision"]


def current_autocast(device: torch.device, recorded: bool) -> Callable[[], AbstractContextManager]:
    """Return a factory of contexts that restore the current autocast state in an evaluation.

    Args:
        recorded: Whether all evaluations of the solve are part of one graph.
    """
    if not torch.is_autocast_enabled(device.type):
        return nullcontext
    dtype = torch.get_autocast_dtype(device.type)

    def context() -> AbstractContextManager:
        # A weight cast that was cached without a graph would be reused by evaluations with one,
        # which would lose the gradient.
        cached = recorded or not torch.is_grad_enabled()
        return torch.autocast(device.type, dtype=dtype, cache_enabled=cached)

    return context


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Disable autocast inside, and exchange none of its cached casts with the outside."""
    if not torch.is_autocast_enabled(device.type):
        yield
        return
    torch.clear_autocast_cache()
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.clear_autocast_cache()
