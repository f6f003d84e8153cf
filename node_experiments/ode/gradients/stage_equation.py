"""The transpose of a stage's equation Y = base + h d f(t, Y), by the implicit-function theorem.

dY = (I - h d J)^-1 d(base), J = df/dy at the solution: whatever Newton's method went through on
its way there does not matter. Small systems are factorised; large ones are solved by GMRES, for
which one vector-Jacobian product is an iteration.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..linearization import DENSE_UP_TO, gmres
from .evaluation import Evaluation

__all__ = ["solve_transposed"]

RESTARTS = 20
REDUCTION = 1e-3  # of the residual, by each of them


def solve_transposed(evaluation: Evaluation, cotangent: Tensor, hd: float) -> Tensor:
    """Solve (I - hd J)^T x = cotangent.

    Args:
        evaluation: The vector field at the stage; its graph is kept.
        cotangent: Right-hand side, shape `(n,)`.
        hd: Step size times the diagonal of the method, in units of t.

    Raises:
        ArithmeticError: GMRES does not converge.
    """
    _, y, derivative = evaluation
    if not derivative.requires_grad:
        return cotangent

    def pulled_back(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(
            derivative,
            y,
            v.view(y.shape).to(derivative.dtype),
            retain_graph=True,
            materialize_grads=True,
        )
        return product.reshape(-1).to(v.dtype)

    n = len(cotangent)
    if n <= DENSE_UP_TO:
        identity = torch.eye(n, dtype=cotangent.dtype, device=cotangent.device)
        jacobian = torch.stack([pulled_back(row) for row in identity])
        return torch.linalg.solve_ex(identity - hd * jacobian.t(), cotangent).result

    def operator(v: Tensor) -> Tensor:
        return v - hd * pulled_back(v)

    tolerance = torch.finfo(cotangent.dtype).eps ** (2 / 3)
    bound = tolerance * float(torch.linalg.vector_norm(cotangent))
    x, residual = torch.zeros_like(cotangent), cotangent
    for _ in range(RESTARTS):
        x = x + gmres(operator, residual, REDUCTION)
        residual = cotangent - operator(x)
        if float(torch.linalg.vector_norm(residual)) <= bound:
            return x
    raise ArithmeticError(
        f"the transposed equation of an implicit stage was not solved by {RESTARTS} restarts of "
        f"GMRES (residual {float(torch.linalg.vector_norm(residual)):.1e}, allowed {bound:.1e}); "
        "take smaller steps, or gradient='adjoint'"
    )
