"""The adjoint method for a linear system, and for an ODE that Euler's method turns into one.

McNamara et al. 2004, section 4, who use the method to control a fluid, first explain it in linear
algebra. To compute u^T B with A B = C directly, a system must be solved for each column of C. But
with A^T v = u,

    u^T B = v^T A B = v^T C,

so that one solve is enough for any number of columns. C is the derivative of the equations with
respect to the parameters, u that of the loss with respect to the solution, and v is the adjoint.

Explicit Euler steps of dy/dt = M y + C(t) p from y(0) = 0 are such a system, for the sensitivities
B_k = dy_k/dp of all states at once:

    B_0 = 0,   B_(k+1) - (I + h M) B_k = h C(t_k).

A is lower triangular with blocks I and -(I + h M): solving A B = C goes forward in time. A^T is
upper triangular, so that solving A^T v = u goes backward in time,

    v_k = u_k + (I + h M)^T v_(k+1),

which are Euler steps of the adjoint equation da/dt = -a^T df/dy (Chen et al. 2018, eq. 4), and
v^T C = sum_k h v_(k+1)^T C(t_k) is its integral over a^T df/dp (eq. 5).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["by_adjoint", "by_columns", "euler_adjoint", "euler_system"]


def by_columns(a: Tensor, c: Tensor, u: Tensor) -> Tensor:
    """u^T B with A B = C, by one solve for each column of C.

    Args:
        a: Shape `(n, n)`.
        c: Shape `(n, parameters)`.
        u: Shape `(n,)`.

    >>> a = torch.tensor([[2.0, 0.0], [1.0, 4.0]])
    >>> c, u = torch.eye(2), torch.tensor([1.0, 1.0])
    >>> by_columns(a, c, u), by_adjoint(a, c, u)
    (tensor([0.3750, 0.2500]), tensor([0.3750, 0.2500]))
    """
    return u @ torch.linalg.solve(a, c)


def by_adjoint(a: Tensor, c: Tensor, u: Tensor) -> Tensor:
    """The same as v^T C with A^T v = u, by a single solve."""
    return torch.linalg.solve(a.T, u) @ c


def euler_system(
    matrix: Tensor, inputs: Callable[[float], Tensor], times: list[float]
) -> tuple[Tensor, Tensor]:
    """A and C of all Euler steps of dy/dt = M y + C(t) p.

    Args:
        matrix: M, shape `(n, n)`.
        inputs: C(t), shape `(n, parameters)`.
        times: Equally spaced times of the states y_0, ..., y_K.

    Returns:
        Shapes `((K + 1) n, (K + 1) n)` and `((K + 1) n, parameters)`.
    """
    n, steps, h = len(matrix), len(times) - 1, times[1] - times[0]
    step = torch.eye(n, dtype=matrix.dtype) + h * matrix
    below = torch.diag(torch.ones(steps, dtype=matrix.dtype), -1)
    a = torch.eye((steps + 1) * n, dtype=matrix.dtype) - torch.kron(below, step)
    c = [torch.zeros_like(inputs(times[0])), *(h * inputs(t) for t in times[:-1])]
    return a, torch.cat(c)


def euler_adjoint(
    matrix: Tensor, inputs: Callable[[float], Tensor], times: list[float], u: Tensor
) -> Tensor:
    """d(u^T y_K)/dp, shape `(parameters,)`, by the adjoint recurrence backward in time, without A.

    Args:
        u: Gradient of the loss with respect to the last state, shape `(n,)`.
    """
    h = times[1] - times[0]
    adjoint, gradient = u, torch.zeros_like(inputs(times[0])[0])
    for t in reversed(times[:-1]):
        gradient = gradient + h * adjoint @ inputs(t)
        adjoint = adjoint + h * adjoint @ matrix
    return gradient
