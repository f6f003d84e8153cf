"""The transpose of the equations of a block of implicit stages, by the implicit function theorem.

With the derivatives k_i = f(t_i, base_i + h sum_j a_ij k_j) and J_i = df/dy there,

    dk_i - h J_i sum_j a_ij dk_j = dr_i,

dr being what the derivatives change by while the k inside f stand still: whatever Newton's method
went through on its way there does not matter. Small systems are factorised; large ones are solved
by GMRES, for which one vector-Jacobian product a stage is an iteration.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..methods.newton import DENSE_UP_TO, gmres_to_rounding
from .base import Evaluation

__all__ = ["solve_transposed"]


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
    m, n = cotangents.shape
    if n <= DENSE_UP_TO:
        identity = torch.eye(n, dtype=cotangents.dtype, device=cotangents.device)
        jacobians = torch.stack(
            [torch.stack([pulled_back(e, row) for row in identity]) for e in evaluations]
        )
        transposed = torch.einsum("ji,jpq->iqjp", ha, jacobians).reshape(m * n, m * n)
        identity = torch.eye(m * n, dtype=cotangents.dtype, device=cotangents.device)
        flat = torch.linalg.solve_ex(identity - transposed, cotangents.reshape(-1)).result
        return flat.view(m, n)

    def operator(v: Tensor) -> Tensor:
        rows = v.view(m, n)
        products = [pulled_back(e, row) for e, row in zip(evaluations, rows, strict=True)]
        return v - (ha.t() @ torch.stack(products)).view(-1)

    return gmres_to_rounding(operator, cotangents.reshape(-1)).view(m, n)


def pulled_back(evaluation: Evaluation, v: Tensor) -> Tensor:
    """J^T v, shape `(n,)`."""
    _, y, derivative = evaluation
    if not derivative.requires_grad:
        return torch.zeros_like(v)
    (product,) = torch.autograd.grad(
        derivative,
        y,
        v.view(y.shape).to(derivative.dtype),
        retain_graph=True,
        materialize_grads=True,
    )
    return product.reshape(-1).to(v.dtype)
