"""Splits of series into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import DataError
from .ragged import RaggedSeries

__all__ = ["Split", "group_split", "ordered_split", "random_split", "stratified_split"]

TRAIN_FRACTION = 0.8  # Rubanova et al. 2019


class Split(NamedTuple):
    """Indices of the series of each part; no series, and no group of series, is in two parts."""

    train: Tensor
    validation: Tensor
    test: Tensor

    def of(self, series: RaggedSeries) -> tuple[RaggedSeries, RaggedSeries, RaggedSeries]:
        """The three parts of the series."""
        return series.take(self.train), series.take(self.validation), series.take(self.test)


def ordered_split(series: int, validation_size: int) -> Split:
    """The first 80 % for training, as in the official code; the last of them for validation."""
    return _cut(np.arange(series), int(TRAIN_FRACTION * series), validation_size)


def random_split(series: int, validation_size: int, seed: int) -> Split:
    """80 % for training, drawn as scikit-learn's `train_test_split(train_size=0.8)` does."""
    order = np.random.RandomState(seed).permutation(series)
    training = int(TRAIN_FRACTION * series)
    # In scikit-learn the test part comes first.
    order = np.concatenate([order[series - training :], order[: series - training]])
    return _cut(order, training, validation_size)


def stratified_split(classes: Sequence[str], validation_size: int, seed: int) -> Split:
    """80 % for training; every part has the same fraction of each class, as nearly as possible.

    Args:
        classes: Class of each series.
    """
    order = np.random.RandomState(seed).permutation(len(classes))
    names = np.array(classes)[order]
    place = np.empty(len(order))
    for name in set(classes):
        members = (names == name).nonzero()[0]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    # The members of each class are spread evenly along this order, wherever it is cut.
    spread = order[place.argsort(kind="stable")]
    return _cut(spread, int(TRAIN_FRACTION * len(classes)), validation_size)


def group_split(groups: list[str], validation_size: int, seed: int) -> Split:
    """Split by whole groups: a fifth for testing and, if requested, a fifth for validation.

    Args:
        groups: Group of each series, such as the person, all of which stays in one part.

    Raises:
        DataError: Too few groups.
    """
    names = sorted(set(groups))
    fifth = max(1, round(len(names) * (1 - TRAIN_FRACTION)))
    held_out = fifth * (2 if validation_size else 1)
    if held_out >= len(names):
        raise DataError(
            f"groups in the data: {len(names)} ({', '.join(names[:5])}), too few to hold out "
            f"{held_out}; use more data, or dataset.validation_size=0"
        )
    order = [names[i] for i in np.random.RandomState(seed).permutation(len(names))]
    place = {name: i for i, name in enumerate(order)}
    places = torch.tensor([place[group] for group in groups])
    parts = [places >= held_out, (places >= fifth) & (places < held_out), places < fifth]
    train, validation, test = (part.nonzero().squeeze(1) for part in parts)
    return Split(train, validation[:validation_size], test)


def _cut(order: np.ndarray, training: int, validation_size: int) -> Split:
    if training == 0:
        raise DataError(
            f"training and test need at least one series each; found {len(order)}; cut a long "
            "one into parts, and name each as a series"
        )
    if validation_size >= training:
        raise DataError(
            f"dataset.validation_size={validation_size} leaves none of the {training} training "
            "series; lower it"
        )
    numbers = torch.from_numpy(order)
    kept = training - validation_size
    return Split(numbers[:kept], numbers[kept:training], numbers[training:])
