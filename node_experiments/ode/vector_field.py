"""The vector field as the methods call it: a host time and a flat state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from .solution import StepCounts

__all__ = [
    "Dynamics",
    "Field",
    "VectorField",
    "graph_position",
    "in_own_memory",
    "without_old_graph",
]

VectorField = Callable[[float, Tensor], Tensor]
"""Maps a time and a state `(n + q,)` to its derivative `(n + q,)`."""


class Dynamics(Protocol):
    """Writes dy/dt at (t, y) into `derivative`, and the integrands of pure quadratures beside it.

    A quadrature is an integral along the solution that does not feed back into it, as the
    parameter gradients of the adjoint method (the term is that of Hindmarsh et al. 2005).
    """

    def __call__(
        self, t: float, y: Tensor, derivative: Tensor, integrand: Tensor | None
    ) -> None: ...


class Field:
    """Dynamics as a function that returns a fresh vector, integrands behind the derivative.

    Args:
        like: A state; its shape, dtype and device are those of all states.
        quadratures: Number q of integrals along the solution.
    """

    def __init__(self, dynamics: Dynamics, like: Tensor, counts: StepCounts, quadratures: int = 0):
        self._dynamics, self._counts = dynamics, counts
        self._shape, self._n, self._q = like.shape, like.numel(), quadratures

    def __call__(self, t: float, y: Tensor) -> Tensor:
        """Derivative and integrands at (t, y), shape `(n + q,)`; y may carry q more entries."""
        self._counts.evaluations += 1
        result = torch.empty(self._n + self._q, dtype=y.dtype, device=y.device)
        self._dynamics(
            t,
            y[: self._n].view(self._shape),
            result[: self._n].view(self._shape),
            result[self._n :] if self._q else None,
        )
        return result


def in_own_memory(derivative: Tensor) -> Tensor:
    """A derivative that the next evaluation does not overwrite: a vector field may reuse a buffer.

    One that is in a graph and was never changed in place was made by this evaluation. Without a
    graph nothing is known: the memory may be that of a NumPy array.
    """
    if torch.compiler.is_compiling():  # what is traced has no memory yet
        return derivative
    if derivative.requires_grad and derivative._version == 0:
        return derivative
    return derivative.clone()


def graph_position() -> int:
    """The number that the next node of a graph made by this thread will have; 0 while tracing."""
    return 0 if torch.compiler.is_compiling() else torch._C._autograd._get_sequence_nr()


def without_old_graph(derivative: Tensor, position: int) -> Tensor:
    """The derivative with its graph, where the vector field's buffer keeps none.

    A buffer that is written again at every evaluation would otherwise take along the graphs of
    all earlier ones.

    Args:
        position: That of the graph before the evaluation.
    """
    if torch.compiler.is_compiling() or derivative._version == 0 or derivative.grad_fn is None:
        return derivative
    buffer = derivative._base if derivative._base is not None else derivative
    if buffer.grad_fn is None or buffer.grad_fn._sequence_nr() < position:
        return derivative
    own = derivative.clone()
    buffer.detach_()
    return own
