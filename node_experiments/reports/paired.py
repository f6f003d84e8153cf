"""How much a fraction of wrong images changed, where both tests saw the same images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

__all__ = ["paired_error", "unpaired_error"]


def paired_error(pairs: Sequence[tuple[set[int], set[int]]], images: int) -> float:
    """Standard error, by the choice of the images, of a mean change of several networks.

    An image's change is the mean over networks of -1 (right now, wrong before), 0 or 1; images
    are independent of each other, networks that see the same images are not. For one network this
    is the standard error of McNemar (1947).

    Args:
        pairs: Of each network, the numbers of the images wrong before and after.
        images: How many there are, right or wrong.
    """
    changes: Counter[int] = Counter()
    for before, after in pairs:
        changes.update(after - before)
        changes.subtract(before - after)
    networks = len(pairs)
    mean = sum(changes.values()) / networks / images
    squares = sum((change / networks) ** 2 for change in changes.values()) / images
    # Where no image changed, one might have: an error of zero would be too sure.
    smallest = 1 / (networks**2 * images)
    return math.sqrt(max(squares - mean**2, smallest) / images)


def unpaired_error(before: float, after: float, images: int) -> float:
    """The same without the numbers of the images: as if each test had its own images.

    It is too large where a network is wrong on much the same images in both tests.

    Args:
        before, after: Mean shares of wrong images.
    """
    variance = before * (1 - before) + after * (1 - after)
    return math.sqrt(max(variance, 1 / images) / images)
