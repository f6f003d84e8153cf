"""Batches that are drawn again in every epoch, from the seed and the epoch's number alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import torch

__all__ = ["SeededBatches", "epoch_generator"]

T = TypeVar("T")


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """A random number generator on the CPU that depends on the seed and the epoch alone."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)


class SeededBatches(Generic[T]):
    """A fixed number of batches per epoch, drawn from a distribution.

    Args:
        draw: Draws a batch, given the generator of the epoch.
        batches: Batches per epoch.

    Attributes:
        epoch: The epoch whose batches are drawn.
    """

    def __init__(self, draw: Callable[[torch.Generator], T], batches: int, seed: int) -> None:
        self._draw, self._batches, self._seed = draw, batches, seed
        self.epoch = 0

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[T]:
        generator = epoch_generator(self._seed, self.epoch)
        for _ in range(self._batches):
            yield self._draw(generator)
