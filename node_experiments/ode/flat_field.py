"""The vector field of methods that work on vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .solution import StepCounts
from .vector_field import Dynamics

__all__ = ["FlatField"]


class FlatField:
    """Dynamics as a function of host times that returns a fresh vector, integrands at its end.

    Attributes:
        resolution: As of its dynamics.

    Args:
        like: A state; its shape and dtype are those of all states.
        counts: Where evaluations are counted.
        time: Makes a 0-d time of a host time.
        args: Arguments of the dynamics.
        quadratures: Number q of integrals along the solution.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        like: Tensor,
        counts: StepCounts,
        time: Callable[[float], Tensor],
        args: Sequence[Any] = (),
        quadratures: int = 0,
    ):
        self._dynamics, self._counts, self._time, self._args = dynamics, counts, time, args
        self.resolution = dynamics.resolution
        self._shape, self._n, self._q = like.shape, like.numel(), quadratures

    def __call__(self, t: float | Tensor, y: Tensor) -> Tensor:
        """Derivative and integrands at (t, y), shape `(n + q,)`; y may carry q more entries."""
        self._counts.evaluations += 1
        time = t if isinstance(t, Tensor) else self._time(t)
        if self._q:
            integrand = y.new_empty(self._q)
            f = self._dynamics(time, y[: self._n].view(self._shape), integrand)
            return torch.cat([f.reshape(-1).to(y.dtype), integrand])
        return self._derivative(time, y, self._args)

    def derivative(self, t: float | Tensor, y: Tensor) -> Tensor:
        """The derivative alone, shape `(n,)`."""
        self._counts.evaluations += 1
        time = t if isinstance(t, Tensor) else self._time(t)
        return self._derivative(time, y, (None,) if self._q else self._args)

    def _derivative(self, time: Tensor, y: Tensor, args: Sequence[Any]) -> Tensor:
        f = self._dynamics(time, y[: self._n].view(self._shape), *args)
        return in_own_memory(f.reshape(-1).to(y.dtype))

    def clock(
        self, t: float | Tensor, h: float | Tensor, nodes: Sequence[float]
    ) -> tuple[list[Tensor], float | Tensor]:
        """The times t + c h as the vector field sees them, and the size of the step."""
        times = [t + c * h for c in nodes]
        return [x if isinstance(x, Tensor) else self._time(x) for x in times], h


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
