"""Integrals of the polynomial through given nodes, which multistep methods are made of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["integration_weights", "newton_integral"]


def integration_weights(nodes: Sequence[float], start: float, end: float) -> tuple[float, ...]:
    """Weights w such that sum_i w_i f(nodes_i) integrates polynomials of degree < len(nodes)."""
    h = end - start
    u = [(node - start) / h for node in nodes]
    weights = []
    for i, own in enumerate(u):
        polynomial = [1.0]
        for j, other in enumerate(u):
            if j != i:
                polynomial = _times_linear(polynomial, other, own - other)
        weights.append(h * sum(c / (p + 1) for p, c in enumerate(polynomial)))
    return tuple(weights)


def _times_linear(polynomial: list[float], root: float, scale: float) -> list[float]:
    """Coefficients of polynomial(u) (u - root) / scale, lowest power first."""
    low = [-root * c / scale for c in polynomial] + [0.0]
    high = [0.0] + [c / scale for c in polynomial]
    return [a + b for a, b in zip(low, high, strict=True)]


def newton_integral(
    y1: Tensor, phi: Tensor, nodes: list[float], h: float, thetas: Sequence[float]
) -> Tensor:
    """y1 plus the integral from 1 to theta of the polynomial with these divided differences.

    Args:
        phi: Modified divided differences at the first node, shape `(differences, n)`.
        nodes: Where they were taken, in units of the step, from 1 downwards.
    """
    # In powers of v = u - 1, which stays within [-1, 0].
    polynomial, integrals = [1.0], []
    for j in range(len(phi)):
        if j:
            polynomial = _times_linear(polynomial, nodes[j - 1] - 1, 1 - nodes[j])
        integrals.append([c / (p + 1) for p, c in enumerate(polynomial)])
    weights = [
        [h * sum(c * (theta - 1) ** (p + 1) for p, c in enumerate(row)) for row in integrals]
        for theta in thetas
    ]
    return torch.addmm(y1, phi.new_tensor(weights), phi)
