"""The base class from which programs derive their own fixed-step methods."""

from __future__ import annotations

import abc
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...methods.base import Time
from ...methods.butcher_tableau import hermite_weights
from ...methods.one_step import Field, OneStep
from ...solve import solve
from ...solver import Solver
from .flow import move_outputs, move_start
from .misc import Perturb, _null_callback

__all__ = ["FixedGridODESolver", "StepField"]

GridConstructor = Callable[[Callable[..., Any], Any, Tensor], Tensor]


def output_times(func: Callable[..., Any], y0: Any, t: Tensor) -> Tensor:
    """A grid of steps from output time to output time."""
    return t


def equal_steps(step_size: float, func: Callable[..., Any], y0: Any, t: Tensor) -> Tensor:
    """A grid of steps of one size, except for the last one.

    The times have the same last bits as those of torchdiffeq: vector fields that look something
    up by `int(t / dt)` find the same entries.
    """
    times = t.detach()
    direction = torch.sign(times[-1] - times[0])
    count = max(2, int(torch.ceil((times[-1] - times[0]).abs() / step_size + 1)))
    steps = torch.arange(count, dtype=times.dtype, device=times.device) * step_size
    grid = direction * (steps + direction * times[0])
    grid[-1] = times[-1]
    return grid


class StepField:
    """The vector field as `_step_func` and `integrate` of a method call it."""

    callback_step = callback_accept_step = callback_reject_step = staticmethod(_null_callback)

    def __init__(self, field: Callable[[Tensor, Tensor], Tensor]):
        self._field = field

    def __call__(self, t: Tensor, y: Tensor, *, perturb: Perturb = Perturb.NONE) -> Tensor:
        return self._field(t, y)


class ProgramStep(OneStep):
    """The steps of a program's class, which holds the vector field and the initial state."""

    searched = False


class FixedGridODESolver(abc.ABC):
    """A fixed-step method that is given by `_step_func`.

    A class derived from it is used after `SOLVERS["name"] = Class`, by `odeint` and
    `odeint_adjoint` with `method="name"`, or directly, by `integrate`. It is called with all
    options of the solve. New code writes a function instead: `node_experiments.ode.OneStep`.

    Args:
        func: Vector field of a 0-d time and a state.
        y0: Initial state; a tuple of tensors is flattened.
        step_size: Size of the steps, in units of t; without it, steps end at the output times or
            at those of `grid_constructor`, a function of (func, y0, t).
        interp: Outputs inside steps: `"linear"` or `"cubic"` (Hermite).
        perturb: Evaluate a step that starts or ends at a jump of the field from inside the step.

    Example:
        >>> from node_experiments.ode.torchdiffeq import odeint
        >>> from node_experiments.ode.torchdiffeq._impl.odeint import SOLVERS
        >>> class SymplecticEuler(FixedGridODESolver):
        ...     order = 1
        ...     def _step_func(self, func, t0, dt, t1, y0):
        ...         f0 = func(t0, y0)
        ...         q, p = y0.chunk(2, -1)
        ...         dp = dt * f0.chunk(2, -1)[1]
        ...         dq = dt * func(t0, torch.cat([q, p + dp], -1)).chunk(2, -1)[0]
        ...         return torch.cat([dq, dp], -1), f0
        >>> SOLVERS["symplectic_euler"] = SymplecticEuler
        >>> def spring(t, y):
        ...     return torch.stack([y[1], -y[0]])
        >>> y0, t = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 100.0])
        >>> y = odeint(spring, y0, t, method="symplectic_euler", options={"step_size": 0.1})[-1]
        >>> 0.4 < y.square().sum() / 2 < 0.6  # the energy, 0.5 at the start
        tensor(True)
    """

    order: int

    def __init__(
        self,
        func: Callable[..., Tensor],
        y0: Tensor,
        step_size: float | None = None,
        grid_constructor: GridConstructor | None = None,
        interp: str = "linear",
        perturb: bool = False,
        **unused_kwargs: Any,
    ):
        self.atol = unused_kwargs.pop("atol", 1e-9)
        for name in ("rtol", "norm"):
            unused_kwargs.pop(name, None)
        if unused_kwargs:
            warnings.warn(
                f"{type(self).__name__} does not use the options {', '.join(unused_kwargs)}",
                stacklevel=2,
            )
        if step_size is not None and grid_constructor is not None:
            raise ValueError(
                "options step_size and grid_constructor are both set; set one of them"
            )
        self.func, self.y0 = func, y0
        self.dtype, self.device = y0.dtype, y0.device
        self.step_size, self.interp, self.perturb = step_size, interp, perturb
        self.grid_constructor = grid_constructor or self._grid_constructor_from_step_size(
            step_size
        )

    @classmethod
    def valid_callbacks(cls) -> set[str]:
        return {"callback_step"}

    @abc.abstractmethod
    def _step_func(
        self, func: Callable[..., Tensor], t0: Tensor, dt: Tensor, t1: Tensor, y0: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The increment of the state in a step, and the derivative at its start."""

    def integrate(self, t: Tensor) -> Tensor:
        """States at the times, shape `(time, *state)`."""
        grid = self.grid_constructor(self.func, self.y0, t)
        solver = Solver(
            self.as_method(),
            step_t=tuple(grid.tolist()),
            perturb=self.perturb,
            interpolation="linear" if self.interp == "linear" else "dense",
        )
        start = move_start(self.func, self.y0, t) if t.requires_grad else self.y0
        ys: Tensor = solve(self.func, start, t.detach(), solver, "backprop").ys
        return move_outputs(self.func, start, t, ys) if t.requires_grad else ys

    def as_method(self) -> OneStep:
        """The method for `Solver`. Steps to smaller times are those of the reversed equation."""

        def step(f: Field, t: Time, h: Time, y: Tensor) -> Tensor:
            sign = -1 if h < 0 else 1
            func = StepField(lambda t, y: sign * f(sign * t, y))
            t0, t1, dt = (y.new_tensor(sign * float(x)) for x in (t, t + h, h))
            return y + self._step_func(func, t0, dt, t1, y)[0]

        return ProgramStep(type(self).__name__, step, self.order, stages=self.order)

    @property
    def steps_alone(self) -> bool:
        """Whether the class gives the steps alone, and not the loop over them."""
        return type(self).integrate is FixedGridODESolver.integrate

    @staticmethod
    def _grid_constructor_from_step_size(step_size: float | None) -> GridConstructor:
        return output_times if step_size is None else partial(equal_steps, float(step_size))

    def _linear_interp(self, t0: Tensor, t1: Tensor, y0: Tensor, y1: Tensor, t: Tensor) -> Tensor:
        return torch.lerp(y0, y1, ((t - t0) / (t1 - t0)).to(y0.dtype))

    def _cubic_hermite_interp(
        self, t0: Tensor, y0: Tensor, f0: Tensor, t1: Tensor, y1: Tensor, f1: Tensor, t: Tensor
    ) -> Tensor:
        start, first, end, last = hermite_weights((t - t0) / (t1 - t0))
        return start * y0 + end * y1 + (t1 - t0) * (first * f0 + last * f1)
