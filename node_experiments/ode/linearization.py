"""The Jacobian of a vector field at one point: whole for small states, as products for large.

One evaluation builds the graph; every product is one pass over it and no further evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["AugmentedLinearization", "Linear", "Linearization", "gmres"]


class Linear(Protocol):
    """A square matrix, whole or as its product with a vector."""

    def dense(self) -> Tensor: ...
    def times(self, v: Tensor) -> Tensor: ...


class Linearization:
    """J = df/dy at (t, y).

    Args:
        func: Maps a state `(n,)` to its derivative `(n,)`, differentiably.
        y: Where, shape `(n,)`.
    """

    def __init__(self, func: Callable[[Tensor], Tensor], y: Tensor):
        with torch.enable_grad():
            self._y = y.detach().requires_grad_()
            self._f = func(self._y)
            self._u = torch.zeros_like(self._y).requires_grad_()
            self._transposed = self._pull_back(self._u, create_graph=True)

    def dense(self) -> Tensor:
        """J, shape `(n, n)`."""
        rows = torch.eye(len(self._y), dtype=self._y.dtype, device=self._y.device)
        return torch.stack([self._pull_back(row) for row in rows])

    def times(self, v: Tensor) -> Tensor:
        """J v: the vector-Jacobian product is linear in its vector, and this is its transpose."""
        if not self._transposed.requires_grad:
            return torch.zeros_like(v)
        (product,) = torch.autograd.grad(
            self._transposed, self._u, v, retain_graph=True, materialize_grads=True
        )
        return product

    def transposed_times(self, u: Tensor) -> Tensor:
        """J^T u."""
        return self._pull_back(u)

    def _pull_back(self, u: Tensor, create_graph: bool = False) -> Tensor:
        if not self._f.requires_grad:
            return torch.zeros_like(self._y)
        (product,) = torch.autograd.grad(
            self._f,
            self._y,
            u,
            retain_graph=True,
            create_graph=create_graph,
            materialize_grads=True,
        )
        return product


class AugmentedLinearization:
    """Of (f, -a df/dy) at (y, a), without d(-a df/dy)/dy.

    Newton's method loses nothing by it: the equation of y does not see a, and once y has
    converged that of a is linear with exactly this matrix.
    """

    def __init__(self, jacobian: Linearization):
        self._jacobian = jacobian

    def dense(self) -> Tensor:
        jacobian = self._jacobian.dense()
        return torch.block_diag(jacobian, -jacobian.t())

    def times(self, v: Tensor) -> Tensor:
        v_y, v_a = v.chunk(2)
        return torch.cat([self._jacobian.times(v_y), -self._jacobian.transposed_times(v_a)])


def gmres(
    operator: Callable[[Tensor], Tensor], b: Tensor, tolerance: float, max_iterations: int = 50
) -> Tensor:
    """Solve operator(x) = b (Saad & Schultz 1986), from x = 0 and without restarts.

    Args:
        b: Right-hand side, shape `(n,)`.
        tolerance: Bound on |operator(x) - b| / |b|.
    """
    size = float(torch.linalg.vector_norm(b))
    if size == 0:
        return torch.zeros_like(b)
    basis = [b / size]
    m = min(max_iterations, len(b))
    hessenberg = torch.zeros(m + 1, m, dtype=torch.float64)
    target = torch.zeros(m + 1, dtype=torch.float64)
    target[0] = size
    weights = target[:0]
    for j in range(m):
        v = operator(basis[j])
        vectors = torch.stack(basis)
        along = vectors @ v
        v = v - along @ vectors
        again = vectors @ v  # orthogonalised twice, against cancellation
        v = v - again @ vectors
        norm = torch.linalg.vector_norm(v)
        hessenberg[: j + 2, j] = torch.cat([along + again, norm.unsqueeze(0)]).double().cpu()
        small = hessenberg[: j + 2, : j + 1]
        weights = torch.linalg.lstsq(small, target[: j + 2].unsqueeze(1)).solution[:, 0]
        residual = torch.linalg.vector_norm(small @ weights - target[: j + 2])
        if float(residual) <= tolerance * size or hessenberg[j + 1, j] < 1e-14 * size:
            break
        basis.append(v / norm)
    return weights.to(b) @ torch.stack(basis[: len(weights)])
