"""The linearised equations of a block of implicit stages, by the implicit function theorem.

With the derivatives k_i = f(t_i, base_i + h sum_j a_ij k_j) and J_i = df/dy there,

    dk_i - h J_i sum_j a_ij dk_j = dr_i,

where dr_i is the change of f at fixed k; the iterations of Newton's method do not matter. Small
systems are factorised; large ones are solved by GMRES, at the cost of one product with each
Jacobian per iteration.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..methods.newton import DENSE_UP_TO, gmres_to_rounding
from .backward_pass import Evaluation

__all__ = ["StageSystem", "solve_transposed"]


class Jacobian(Protocol):
    """The Jacobian J of the vector field at one point, for states of n components."""

    def dense(self) -> Tensor:
        """J, shape `(n, n)`."""
        ...

    def times(self, v: Tensor) -> Tensor:
        """J v, shape `(n,)`."""
        ...

    def transposed_times(self, u: Tensor) -> Tensor:
        """J^T u, shape `(n,)`."""
        ...


class StageSystem:
    """The equations x_i - h J_i sum_j a_ij x_j = b_i of a block of stages.

    Args:
        jacobians: The m Jacobians J_i.
        ha: Step size times coefficients, shape `(m, m)`.
    """

    def __init__(self, jacobians: Sequence[Jacobian], ha: Tensor):
        self._jacobians, self._ha = jacobians, ha
        self._factorised: tuple[Tensor, Tensor] | None = None

    def solve(self, b: Tensor, transposed: bool) -> Tensor:
        """x, or the solution with the transposed matrix, of the shape of b, `(m, n)`.

        Raises:
            ArithmeticError: GMRES does not converge.
        """
        if b.shape[1] <= DENSE_UP_TO:
            factors, pivots = self._factors(b)
            x = torch.linalg.lu_solve(factors, pivots, b.reshape(-1, 1), adjoint=transposed)
            return x.view(b.shape)

        def operator(v: Tensor) -> Tensor:
            rows = v.view(b.shape)
            if transposed:
                pulled = [
                    j.transposed_times(x) for j, x in zip(self._jacobians, rows, strict=True)
                ]
                return v - (self._ha.t() @ torch.stack(pulled)).view(-1)
            mixed = (self._ha @ rows).unbind()
            pushed = [j.times(x) for j, x in zip(self._jacobians, mixed, strict=True)]
            return v - torch.stack(pushed).view(-1)

        return gmres_to_rounding(operator, b.reshape(-1)).view(b.shape)

    def _factors(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if self._factorised is None:
            m, n = like.shape
            jacobians = torch.stack([j.dense() for j in self._jacobians])
            coupled = torch.einsum("ij,ipq->ipjq", self._ha, jacobians)
            identity = torch.eye(m * n, dtype=like.dtype, device=like.device)
            matrix = identity - coupled.reshape(m * n, m * n)
            self._factorised = torch.linalg.lu_factor_ex(matrix)[:2]
            self._jacobians = ()
        return self._factorised


class PullbackJacobian:
    """The Jacobian of one evaluation, by vector-Jacobian products."""

    def __init__(self, evaluation: Evaluation):
        self._evaluation = evaluation

    def dense(self) -> Tensor:
        y = self._evaluation.y
        rows = torch.eye(y.numel(), dtype=y.dtype, device=y.device)
        return torch.stack([self.transposed_times(row) for row in rows])

    def times(self, v: Tensor) -> Tensor:
        raise NotImplementedError("the transposed equations need no such product")

    def transposed_times(self, u: Tensor) -> Tensor:
        _, y, derivative = self._evaluation
        if not derivative.requires_grad:
            return torch.zeros_like(u)
        (product,) = torch.autograd.grad(
            derivative,
            y,
            u.view(y.shape).to(derivative.dtype),
            retain_graph=True,
            materialize_grads=True,
        )
        return product.reshape(-1).to(u.dtype)


def solve_transposed(evaluations: Sequence[Evaluation], cotangents: Tensor, ha: Tensor) -> Tensor:
    """Solve x_i - h sum_j a_ji J_j^T x_j = cotangents_i.

    Args:
        evaluations: The vector field at the m stages; their graphs are kept.
        cotangents: Right-hand sides, shape `(m, n)`.
        ha: Step size, in units of t, times the coefficients of the block, shape `(m, m)`.

    Raises:
        ArithmeticError: GMRES does not converge.
    """
    if not any(evaluation.derivative.requires_grad for evaluation in evaluations):
        return cotangents
    system = StageSystem(list(map(PullbackJacobian, evaluations)), ha)
    return system.solve(cotangents, transposed=True)
