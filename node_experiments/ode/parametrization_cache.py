"""`torch.nn.utils.parametrize.cached()` around a solve.

It keeps each weight that is computed from others until it is left. A weight that a solve computes
without a graph would be met by the evaluations of the backward pass, which would lose the
gradient; one with a graph would be met by all of them, of which each uses up its graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.nn.utils import parametrize

__all__ = ["set_aside"]


@contextmanager
def set_aside() -> Iterator[None]:
    """Weights are computed by every use."""
    before = parametrize._cache_enabled
    parametrize._cache_enabled = 0
    try:
        yield
    finally:
        parametrize._cache_enabled = before
