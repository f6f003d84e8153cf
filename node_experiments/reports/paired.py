"""Standard error of the change of a fraction of wrong images between two tests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

__all__ = ["paired_error", "unpaired_error"]


def paired_error(pairs: Sequence[tuple[set[int], set[int]]], images: int) -> float:
    """Standard error, due to the sampling of the images, of the mean change of several networks.

    An image's change is the mean over networks of -1 (right now, wrong before), 0 or 1; images
    are independent of each other, networks that see the same images are not. For one network this
    is the standard error of McNemar (1947).

    Args:
        pairs: For each network, the indices of the images that were wrong before and after.
        images: Number of images, right or wrong.
    """
    changes: Counter[int] = Counter()
    for before, after in pairs:
        changes.update(after - before)
        changes.subtract(before - after)
    networks = len(pairs)
    mean = sum(changes.values()) / networks / images
    squares = sum((change / networks) ** 2 for change in changes.values()) / images
    # Even if no image changed, one might have: an error of zero would be overconfident.
    smallest = 1 / (networks**2 * images)
    return math.sqrt(max(squares - mean**2, smallest) / images)


def unpaired_error(before: float, after: float, images: int) -> float:
    """The same without the indices of the images, as if each test had its own images.

    It is too large if a network is wrong on mostly the same images in both tests.

    Args:
        before, after: Mean fractions of wrong images.
    """
    variance = before * (1 - before) + after * (1 - after)
    return math.sqrt(max(variance, 1 / images) / images)
