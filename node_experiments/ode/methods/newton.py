"""The Jacobian of a vector field at one point, and the linear systems of Newton's method with it.

One evaluation builds the graph; every product is one pass over it, without further evaluations.
Small systems are factorised, large ones solved by GMRES.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from ..captured_tensors import own_saved_tensors
from ..lost_graphs import GraphLost
from .base import StepFailed

__all__ = ["AugmentedLinearization", "Linear", "Linearization", "gmres", "gmres_to_rounding"]

DENSE_UP_TO = 128  # components of the state; larger systems are solved by GMRES
TOLERANCE = 1e-3  # of GMRES: Newton's method, or a restart, corrects what is left
MOST_ITERATIONS = 50  # of GMRES without a restart
RESTARTS = 20
NO_JACOBIAN = (
    "an implicit method differentiates the vector field with respect to its state, and the "
    "derivative that it returned is in no graph: it was made by torch.tensor(...), .item(), NumPy "
    "or .detach(); compute it by torch operations on y, or use an explicit method or "
    "'scipy_lsoda'"
)

LinearSolver = Callable[[Tensor], Tensor]


class Linear(Protocol):
    """The Jacobian J of some dynamics."""

    def solver(self, ha: Tensor) -> LinearSolver:
        """Return a function that solves x - ha (x J^T) = b for x.

        Both x and b have shape `(m, n)`: one row per stage, coupled by `ha` of shape `(m, m)`.
        """
        ...


class Linearization:
    """The Jacobian J = df/dy at one point (t, y).

    Args:
        func: Maps a state `(n,)` to its derivative `(n,)`, differentiably.
        y: State at the point, shape `(n,)`.
    """

    def __init__(self, func: Callable[[Tensor], Tensor], y: Tensor):
        with torch.enable_grad(), own_saved_tensors():
            self._y = y.detach().requires_grad_()
            try:
                self._f = func(self._y)
            except GraphLost:
                raise ValueError(NO_JACOBIAN) from None
            self._u = torch.zeros_like(self._y).requires_grad_()
            self._transposed = self._pull_back(self._u, create_graph=True)

    def solver(self, ha: Tensor, transposed: bool = False) -> LinearSolver:
        """Return a solver of x - ha (x J^T) = b, or of that with J transposed; see `Linear`."""
        n, m = len(self._y), len(ha)
        if n > DENSE_UP_TO:
            times = self.transposed_times if transposed else self.times

            def operator(v: Tensor) -> Tensor:
                products = torch.stack([times(row) for row in v.view(m, n)])
                return v - (ha @ products).view(-1)

            return lambda b: gmres(operator, b.reshape(-1), TOLERANCE).view(m, n)
        matrix = self._matrix.t() if transposed else self._matrix
        identity = torch.eye(m * n, dtype=matrix.dtype, device=matrix.device)
        coupled = torch.kron(ha, matrix.contiguous())
        factors, pivots, _ = torch.linalg.lu_factor_ex(identity - coupled)

        def solve(b: Tensor) -> Tensor:
            return torch.linalg.lu_solve(factors, pivots, b.reshape(-1, 1)).view(m, n)

        return solve

    @cached_property
    def _matrix(self) -> Tensor:
        return self.dense()

    def dense(self) -> Tensor:
        """The Jacobian J as a matrix, shape `(n, n)`."""
        rows = torch.eye(len(self._y), dtype=self._y.dtype, device=self._y.device)
        return torch.stack([self._pull_back(row) for row in rows])

    def times(self, v: Tensor) -> Tensor:
        """The product J v: the transpose of the vector-Jacobian product, linear in its vector."""
        if not self._transposed.requires_grad:
            return torch.zeros_like(v)
        (product,) = torch.autograd.grad(
            self._transposed, self._u, v, retain_graph=True, materialize_grads=True
        )
        return product

    def transposed_times(self, u: Tensor) -> Tensor:
        """The product J^T u."""
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
    """Jacobian of (f, -a df/dy) at (y, a), without the block d(-a df/dy)/dy.

    Newton's method loses nothing by that: the equation of y does not depend on a, and once y has
    converged, that of a is linear with exactly this matrix.
    """

    def __init__(self, jacobian: Linearization):
        self._jacobian = jacobian

    def solver(self, ha: Tensor) -> LinearSolver:
        # Two systems with separate norms of the residual: state and adjoint differ in units and
        # often in magnitude, so that an error of one could hide that of the other.
        solve_y = self._jacobian.solver(ha)
        solve_a = self._jacobian.solver(-ha, transposed=True)

        def solve(b: Tensor) -> Tensor:
            b_y, b_a = b.chunk(2, dim=1)
            return torch.cat([solve_y(b_y), solve_a(b_a)], dim=1)

        return solve


def gmres(operator: Callable[[Tensor], Tensor], b: Tensor, tolerance: float) -> Tensor:
    """Solve operator(x) = b (Saad & Schultz 1986), from x = 0 and without restarts.

    Args:
        b: Right-hand side, shape `(n,)`.
        tolerance: Bound on |operator(x) - b| / |b|.

    Raises:
        StepFailed: The tolerance was not reached in `MOST_ITERATIONS`.
    """
    size = float(torch.linalg.vector_norm(b))
    if size == 0:
        return torch.zeros_like(b)
    basis = [b / size]
    m = min(MOST_ITERATIONS, len(b))
    hessenberg = torch.zeros(m + 1, m, dtype=torch.float64, device="cpu")
    target = torch.zeros(m + 1, dtype=torch.float64, device="cpu")
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
        if float(residual) <= tolerance * size or norm < 1e-14 * small.norm():
            return weights.to(b) @ torch.stack(basis)
        basis.append(v / norm)
    raise StepFailed(f"GMRES did not converge in {m} iterations")


def gmres_to_rounding(operator: Callable[[Tensor], Tensor], b: Tensor) -> Tensor:
    """Solve operator(x) = b as accurately as gradients need it, by restarted GMRES.

    Args:
        b: Right-hand side, shape `(n,)`.

    Raises:
        ArithmeticError: It does not converge.
    """
    bound = torch.finfo(b.dtype).eps ** (2 / 3) * float(torch.linalg.vector_norm(b))
    x, residual = torch.zeros_like(b), b
    for _ in range(RESTARTS):
        x = x + gmres(operator, residual, TOLERANCE)
        residual = b - operator(x)
        if float(torch.linalg.vector_norm(residual)) <= bound:
            return x
    left = float(torch.linalg.vector_norm(residual))
    raise ArithmeticError(
        f"the equation of the gradient of an implicit step was not solved by {RESTARTS} restarts "
        f"of GMRES (residual {left:.1e}, allowed {bound:.1e}); take smaller steps, or "
        "gradient='adjoint'"
    )
