"""Gauss-Legendre quadrature of parameter gradients, with an error estimate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..norms import rms_norm
from .augmented_solve import real_view

__all__ = ["GaussPanels", "Gradients"]

Gradients = tuple[Tensor | None, ...]


class GaussPanels:
    """Gauss-Legendre quadrature, with an error estimate from the same values.

    For an odd number p of nodes, the middle node alone is the midpoint rule of order 2, while all
    of them are a rule of order 2p. The difference between the two, relative to the size of the
    terms, has order 2; raised to the power p it estimates the relative error.

    Args:
        points: Number p of nodes.
    """

    def __init__(self, points: int):
        from scipy.special import roots_legendre

        nodes, weights = roots_legendre(points)
        self._nodes = [(1 + x) / 2 for x in nodes.tolist()]
        self._weights = [w / 2 for w in weights.tolist()]
        self.estimates_errors = points >= 3 and points % 2 == 1

    def between(self, start: float, end: float) -> tuple[list[float], list[float]]:
        """Nodes and weights on an interval."""
        length = end - start
        return [start + length * x for x in self._nodes], [length * w for w in self._weights]

    def size_and_error(self, terms: Sequence[Gradients]) -> tuple[float, float]:
        """The sum of the sizes of the weighted terms, and the estimated error of their sum.

        Sizes are root mean squares over all elements of all parameters.
        """
        like = [
            next((x for x in each if x is not None), None) for each in zip(*terms, strict=True)
        ]
        flat = [
            torch.cat([
                real_view(torch.zeros_like(other) if x is None else x).reshape(-1)
                for x, other in zip(term, like, strict=True)
                if other is not None
            ])
            for term in terms
            if any(x is not None for x in like)
        ]  # fmt: skip
        if not flat:
            return 0.0, 0.0
        values = torch.stack(flat)
        factors = torch.ones_like(values[:, 0])
        factors[len(terms) // 2] -= 1 / self._weights[len(terms) // 2]
        sizes = rms_norm(values, dim=1).sum(), rms_norm(factors @ values)
        size, apart = torch.stack(sizes).tolist()
        return size, size * (apart / size) ** len(terms) if size > 0 else 0.0
