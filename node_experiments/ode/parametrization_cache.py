"""Support for `torch.nn.utils.parametrize.cached()` around a solve.

This context caches each parametrized weight until it is left. A weight that a solve computes
without a graph would be reused by the evaluations of the backward pass, which would lose the
gradient; one with a graph would be shared by all of them, though each frees its graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.utils import parametrize

__all__ = ["cache_disabled"]


@contextmanager
def cache_disabled() -> Iterator[None]:
    """Disable the cache: weights are recomputed at every use."""
    before = parametrize._cache_enabled
    parametrize._cache_enabled = 0
    try:
        yield
    finally:
        parametrize._cache_enabled = before
