"""How good a predictive distribution is: an even mixture of Gaussians around drawn means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["crps", "held"]

Array = NDArray[np.float64]
CHUNK = 2048  # values at once: the score compares all pairs of components


def held(values: Array, means: Array, std: Array, share: float = 0.9) -> NDArray[np.bool_]:
    """Whether each value is in the central band that holds this fraction of its mixture.

    Args:
        values: Shape `(value,)`.
        means, std: Of the components, shape `(component, value)`; they broadcast.
    """
    below = ndtr((values - means) / std).mean(0)
    return (below >= (1 - share) / 2) & (below <= (1 + share) / 2)


def crps(values: Array, means: Array, std: Array) -> Array:
    """Continuous ranked probability score of each value, in its unit (Grimit et al. 2006, eq. 4).

    E|X - y| - E|X - X'| / 2 of independent draws X, X' of the mixture. A lower score is better; of
    a single point it is the absolute error.

    Args:
        values, means, std: As in `held`.
    """
    means, std = np.broadcast_arrays(means, std)
    parts = []
    for start in range(0, len(values), CHUNK):
        y, m, s = (x[..., start : start + CHUNK] for x in (values, means, std))
        error = folded(y - m, s).mean(0)
        spread = sum(
            folded(m - m[k], np.sqrt(s**2 + s[k] ** 2)).mean(0) for k in range(len(m))
        ) / len(m)
        parts.append(error - 0.5 * spread)
    return np.concatenate(parts) if parts else np.zeros(0)


def folded(mean: Array, std: Array) -> Array:
    """E|X| of a Gaussian X."""
    z = mean / std
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return 2 * std * density + mean * (2 * ndtr(z) - 1)
