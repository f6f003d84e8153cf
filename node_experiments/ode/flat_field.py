"""The vector field for methods that work on flat vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .solution import StepCounts
from .vector_field import Dynamics, compute_stage_times

__all__ = ["FlatField"]


class FlatField:
    """Dynamics as a function of host times that returns a new vector, integrands at its end.

    Attributes:
        state_shape: Shape of the state; `(n + q,)` with q integrals.
        stage_times: The times of the stages of a step; see `compute_stage_times`.

    Args:
        like: An example state, with the shape and dtype of all states.
        counts: Where evaluations are counted.
        time: Converts a host time to a 0-d tensor.
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
        self.stage_times = partial(compute_stage_times, time)
        self._shape, self._n, self._q = like.shape, like.numel(), quadratures
        self.state_shape = (self._n + self._q,) if quadratures else like.shape

    @property
    def resolution(self) -> float:
        """Resolution of the dynamics, which an evaluation may show to be coarser."""
        return self._dynamics.resolution

    def __call__(self, t: float | Tensor, y: Tensor) -> Tensor:
        """Derivative and integrands at (t, y), shape `(n + q,)`; y may have q further entries."""
        self._counts.evaluations += 1
        time = t if isinstance(t, Tensor) else self._time(t)
        if self._q:
            integrand = y.new_empty(self._q)
            f = self._dynamics(time, y[: self._n].view(self._shape), integrand)
            return torch.cat([f.reshape(-1).to(y.dtype), integrand])
        return self._derivative(time, y, self._args)

    def derivative(self, t: float | Tensor, y: Tensor) -> Tensor:
        """The derivative without integrands, shape `(n,)`."""
        self._counts.evaluations += 1
        time = t if isinstance(t, Tensor) else self._time(t)
        return self._derivative(time, y, (None,) if self._q else self._args)

    def _derivative(self, time: Tensor, y: Tensor, args: Sequence[Any]) -> Tensor:
        f = self._dynamics(time, y[: self._n].view(self._shape), *args)
        return unshared(f.reshape(-1).to(y.dtype))


def unshared(derivative: Tensor) -> Tensor:
    """Copy a derivative that the next evaluation may overwrite: a field may reuse a buffer.

    One that is in a graph and was never changed in place was created by this evaluation. Without
    a graph nothing is known: the memory may belong to a NumPy array.
    """
    if torch.compiler.is_compiling():  # traced tensors have no memory yet
        return derivative
    if derivative.requires_grad and derivative._version == 0:
        return derivative
    return derivative.clone()
