"""The initial value problem, as the boundary hands it to the inner code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from .norms import Norm, rms_norm
from .solution import SolveStats
from .solver import Solver
from .tableaus import TABLEAUS, Tableau

__all__ = ["Problem", "autocast_like_now"]


@dataclass
class Problem:
    """dy/dt = func(t, y, *args), y(t[0]) = y0, on a state that is one tensor.

    Attributes:
        func: Vector field; takes a 0-d time, a state of the shape of y0, and `args`.
        y0: Initial state, any shape.
        t: Output times, shape `(time,)`; `times` holds the same as host floats.
        parameters: Tensors that need a gradient and that `func` reads by itself.
        args: Further arguments of `func`; tensors among them may need a gradient.
    """

    func: Callable[..., Tensor]
    y0: Tensor
    t: Tensor
    times: list[float]
    solver: Solver
    parameters: tuple[Tensor, ...] = ()
    args: tuple = ()
    norm: Norm = rms_norm
    stats: SolveStats = field(default_factory=SolveStats)
    autocast: Callable[[], AbstractContextManager] = nullcontext
    _time: tuple[float, Tensor] | None = field(default=None, repr=False)

    @cached_property
    def tableau(self) -> Tableau:
        return TABLEAUS[self.solver.method]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What needs a gradient besides y0 and t: tensors among the arguments, then parameters."""
        args = [a for a in self.args if isinstance(a, Tensor) and a.requires_grad]
        return (*args, *self.parameters)

    @property
    def error_order(self) -> int:
        """Power of h in the local error estimate of an adaptive method."""
        assert self.tableau.embedded_order is not None
        return self.tableau.embedded_order + 1

    def time(self, t: float) -> Tensor:
        """A 0-d time for the vector field, made on the device, so that nothing waits for it."""
        if self._time is None or t != self._time[0]:
            like = self.y0
            self._time = (t, torch.full((), t, dtype=like.dtype, device=like.device))
        return self._time[1]


def autocast_like_now(device: torch.device) -> Callable[[], AbstractContextManager]:
    """A context that repeats the autocast state of this moment, for evaluations made later."""
    if not torch.is_autocast_enabled(device.type):
        return nullcontext
    dtype = torch.get_autocast_dtype(device.type)
    # Without the cache of cast weights: it may hold casts that were made without a graph.
    return lambda: torch.autocast(device.type, dtype=dtype, cache_enabled=False)
