"""Scores of a predictive distribution that is an equally weighted mixture of Gaussians."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["crps", "in_central_interval"]

Array = NDArray[np.float64]
CHUNK = 2048  # values at once: the score compares all pairs of components


def in_central_interval(
    values: Array, means: Array, std: Array, level: float = 0.9
) -> NDArray[np.bool_]:
    """Whether each value lies in the central interval that holds this fraction of its mixture.

    Args:
        values: Shape `(value,)`.
        means, std: Means and standard deviations of the components, shape `(component, value)`;
            they broadcast.
    """
    below = ndtr((values - means) / std).mean(0)
    return (below >= (1 - level) / 2) & (below <= (1 + level) / 2)


def crps(values: Array, means: Array, std: Array) -> Array:
    """Continuous ranked probability score of each value, in its unit (Grimit et al. 2006, eq. 4).

    E|X - y| - E|X - X'| / 2 for independent draws X, X' of the mixture. A lower score is better;
    for a point forecast it is the absolute error.

    Args:
        values, means, std: As in `in_central_interval`.
    """
    means, std = np.broadcast_arrays(means, std)
    parts = []
    for start in range(0, len(values), CHUNK):
        y, m, s = (x[..., start : start + CHUNK] for x in (values, means, std))
        error = folded_mean(y - m, s).mean(0)
        spread = sum(
            folded_mean(m - m[k], np.sqrt(s**2 + s[k] ** 2)).mean(0) for k in range(len(m))
        ) / len(m)
        parts.append(error - 0.5 * spread)
    return np.concatenate(parts) if parts else np.zeros(0)


def folded_mean(mean: Array, std: Array) -> Array:
    """E|X| of a Gaussian X."""
    z = mean / std
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return 2 * std * density + mean * (2 * ndtr(z) - 1)
