"""Fewer batches than a dataset has, to look for mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch import Tensor

__all__ = ["FirstBatches", "OneBatch", "samples_in"]


class FirstBatches:
    """The first `limit` batches of every pass."""

    def __init__(self, batches: Any, limit: int) -> None:
        self._batches, self._limit = batches, limit

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._batches, name)

    @property
    def epoch(self) -> int:
        """The epoch whose batches are drawn."""
        return self._batches.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._batches.epoch = epoch

    def __len__(self) -> int:
        return min(self._limit, len(self._batches))

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._batches), len(self))


class OneBatch:
    """The first batch of the first epoch, as often as there are batches: a model must fit it."""

    def __init__(self, batches: Any) -> None:
        self._length = len(batches)
        batches.epoch = 0
        self._batch = next(iter(batches))
        self.epoch = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Any]:
        for _ in range(self._length):
            yield self._batch


def samples_in(batch: Any) -> int:
    """The number of samples of a batch: its length, or that of its first tensor; 0 if it has none.

    >>> import torch
    >>> samples_in((torch.zeros(3, 2), torch.zeros(3)))
    3
    """
    if isinstance(batch, Tensor):
        return len(batch) if batch.ndim else 0
    if isinstance(batch, list | tuple):
        return samples_in(batch[0]) if batch else 0
    return len(batch) if hasattr(batch, "__len__") else 0
