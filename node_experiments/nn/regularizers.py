"""Integrals along a trajectory that make an ODE easy to solve when they are part of the loss.

With dz/dt = f(t, z), each integral is computed for every row of a batch as a mean over dimensions,
and its penalty is the mean over rows:

    kinetic   integral of |f|^2 dt                  (Finlay et al. 2020, RNODE)
    jacobian  integral of |noise^T df/dz|^2 dt      (Finlay et al. 2020, RNODE)
    taylor    integral of |d^K z / dt^K|^2 dt       (Kelly et al. 2020, TayNODE)

They are solved together with the state, but the error norm leaves them out: the steps are those of
the state alone, with or without the regulariser, and the penalty is as accurate as these allow.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.utils import _pytree as pytree

__all__ = ["Penalty", "RegularizedField", "Regularizer", "trajectory_derivatives"]

Dynamics = Callable[[Tensor, Tensor], Tensor]


class Penalty(NamedTuple):
    """An integral along a solve and its weight in the loss, `weight * integral`."""

    weight: float
    integral: Tensor


@dataclass(frozen=True)
class Regularizer:
    """Weights of the integrals in the loss; integrals of weight 0 are not computed.

    Attributes:
        order: K of `taylor`, at least 2. One evaluation costs as much as 2^K - 1 of f.
    """

    kinetic: float = 0.0
    jacobian: float = 0.0
    taylor: float = 0.0
    order: int = 3

    @property
    def weights(self) -> dict[str, float]:
        """The weights above 0, by name."""
        names = ("kinetic", "jacobian", "taylor")
        return {name: getattr(self, name) for name in names if getattr(self, name) > 0}


class RegularizedField:
    """A vector field of (state, integrals), with a row of integrals `(integrals,)` per row of z.

    A vector field whose state has other parts besides the moving state z (a log-density, a number
    of events) declares this by two members: `moving_part(y)`, a view of z, and `dynamics(t, z)`,
    the derivative of z alone. Only z is regularised.

    This is not a module, so that the weights of the vector field keep their names.

    Args:
        vector_field: Module of a 0-d time, a state and further arguments.
    """

    def __init__(self, vector_field: nn.Module, regularizer: Regularizer) -> None:
        self.vector_field = vector_field
        self.regularizer = regularizer

    def start(self, y0: Any) -> tuple[Any, Tensor]:
        """The initial state with integrals of 0."""
        z = self._moving_part(y0)
        return y0, z.new_zeros(len(z), len(self.regularizer.weights))

    def draw_noise(self, y0: Any) -> Tensor | None:
        """Rademacher noise for one solve, so that |noise^T J|^2 has the mean |J|_F^2."""
        if not self.regularizer.jacobian > 0:
            return None
        return torch.empty_like(self._moving_part(y0)).bernoulli_(0.5).mul_(2).sub_(1)

    @staticmethod
    def norm(state: tuple[Any, Tensor]) -> Tensor:
        """Root mean square of the state, without the integrals."""
        leaves = pytree.tree_leaves(state[0])
        sizes = [torch.linalg.vector_norm(leaf) for leaf in leaves]
        size = sizes[0] if len(sizes) == 1 else torch.linalg.vector_norm(torch.stack(sizes))
        return size / sum(leaf.numel() for leaf in leaves) ** 0.5

    def __call__(
        self, t: Tensor, state: tuple[Any, Tensor], noise: Tensor | None, *args: Any
    ) -> tuple[Any, Tensor]:
        """Derivatives of the state and of the integrals `(row, integrals)`."""
        y, integrals = state
        if not hasattr(self.vector_field, "moving_part"):
            velocity, integrands = self._evaluate(
                lambda t, z: self.vector_field(t, z, *args), t, y, noise
            )
            return velocity, integrands.to(integrals.dtype)
        derivative = self.vector_field(t, y, *args)
        velocity = self._moving_part(derivative)
        dynamics: Any = self.vector_field.dynamics
        _, integrands = self._evaluate(dynamics, t, self._moving_part(y), noise, velocity)
        return derivative, integrands.to(integrals.dtype)

    def _evaluate(
        self,
        dynamics: Dynamics,
        t: Tensor,
        z: Tensor,
        noise: Tensor | None,
        velocity: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """dz/dt and the integrands `(row, integrals)`, with as few evaluations as possible."""
        found: dict[str, Tensor] = {}
        if noise is not None:
            value, product = vector_jacobian_product(dynamics, t, z, noise)
            found["jacobian"] = mean_square(product)
            velocity = value if velocity is None else velocity
        if self.regularizer.taylor > 0:
            derivatives = trajectory_derivatives(dynamics, t, z, self.regularizer.order)
            found["taylor"] = mean_square(derivatives[-1])
            velocity = derivatives[0] if velocity is None else velocity
        if velocity is None:
            velocity = dynamics(t, z)
        if self.regularizer.kinetic > 0:
            found["kinetic"] = mean_square(velocity)
        return velocity, torch.stack([found[name] for name in self.regularizer.weights], -1)

    def _moving_part(self, y: Any) -> Tensor:
        moving_part = getattr(self.vector_field, "moving_part", None)
        return y if moving_part is None else moving_part(y)


def mean_square(x: Tensor) -> Tensor:
    """Mean square of the components of each row, in at least float32, shape `(row,)`."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    return x.square().reshape(len(x), -1).mean(1)


def vector_jacobian_product(
    dynamics: Dynamics, t: Tensor, z: Tensor, vector: Tensor
) -> tuple[Tensor, Tensor]:
    """f(t, z) and vector^T df/dz, differentiable if gradients are enabled."""
    wanted = torch.is_grad_enabled()
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        value = dynamics(t, z)
        (product,) = torch.autograd.grad(
            value, z, vector.to(value.dtype), create_graph=wanted, materialize_grads=True
        )
    return (value if wanted else value.detach()), product


def trajectory_derivatives(dynamics: Dynamics, t: Tensor, z: Tensor, order: int) -> list[Tensor]:
    """dz/dt, d^2z/dt^2, ... up to d^K z/dt^K of the solution through z at time t.

    The Taylor polynomial of the solution that is known so far is enough for one more derivative
    (Kelly et al. 2020): with z(t + s) = z + s z' + ... + s^k z^(k) / k! + O(s^{k+1}),

        z^(k+1) = d^k/ds^k f(t + s, z(t + s)) at s = 0.

    The derivatives with respect to s are nested forward-mode derivatives, which work for any f.
    With k of them one evaluation costs 2^k; a recursion for the Taylor coefficients of every
    operation, at a cost of k^2, would save nothing up to K = 3.

    Args:
        dynamics: f, of a 0-d time and a state.
        order: K, at least 1.
    """
    derivatives = [dynamics(t, z)]

    def along_solution(s: Tensor) -> Tensor:
        state = z
        for k, derivative in enumerate(derivatives, 1):
            state = state + s**k / math.factorial(k) * derivative.to(z.dtype)
        return dynamics(t + s, state)

    for _ in range(order - 1):
        derivatives.append(_derivative_at_zero(along_solution, len(derivatives), t))
    return derivatives


def _derivative_at_zero(func: Callable[[Tensor], Tensor], order: int, like: Tensor) -> Tensor:
    """The derivative at 0, of the given order, of a function of one 0-d tensor."""
    for _ in range(order):
        func = _differentiated(func)
    with warnings.catch_warnings():
        # torch warns when forward-mode differentiation is first used.
        warnings.filterwarnings("ignore", ".*torch.jit.script.* is deprecated", FutureWarning)
        return func(torch.zeros_like(like))


def _differentiated(func: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda s: jvp(func, (s,), (torch.ones_like(s),))[1]
