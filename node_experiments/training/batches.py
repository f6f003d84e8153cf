"""Fewer batches than a dataset has, for debugging."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

__all__ = ["FirstBatches", "OneBatch", "shorten"]


def shorten(data: Any, overfit: bool, limit: int | None) -> None:
    """If `overfit`, train on one batch; read at most `limit` batches of each part of the data."""
    if overfit:
        data.train = OneBatch(data.train)
    if limit is not None:
        for name in ("train", "validation", "test"):
            if getattr(data, name) is not None:
                setattr(data, name, FirstBatches(getattr(data, name), limit))


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
    """The first batch of the first epoch, repeated through every epoch, for overfitting."""

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
