"""Methods that a program adds to `SOLVERS`, for one initial value problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from .fields import CALLBACKS, adapt_field, flat, unflattened
from .solvers import FixedGridODESolver, StepField

__all__ = ["integrate_own", "own_method"]


def own_method(
    cls: type[FixedGridODESolver], func: Callable[..., Any], y0: Any, t: Tensor, **options: Any
) -> FixedGridODESolver:
    """Create the method for one initial value problem.

    Its vector field has increasing times, and a flat state if `y0` is no tensor.
    """
    field = adapt_field(func, y0, broadcasts=True)
    sign = direction(t)
    step_field = StepField(lambda t, y: sign * flat(field(sign * t, unflattened(y, y0))))
    for name in CALLBACKS:
        callback = getattr(func, name, None)
        if callback is not None:
            setattr(
                step_field,
                name,
                lambda t, y, dt, call=callback: call(sign * t, unflattened(y, y0), dt),
            )
    grid = options.get("grid_constructor")
    if grid is not None:
        options["grid_constructor"] = lambda _, y, t: sign * grid(func, y0, sign * t)
    return cls(func=step_field, y0=flat(y0), **options)


def integrate_own(method: FixedGridODESolver, y0: Any, t: Tensor) -> Any:
    """States at the times, by the loop over steps of the class itself."""
    return unflattened(method.integrate(direction(t) * t), y0)


def direction(t: Tensor) -> int:
    return -1 if len(t) > 1 and bool(t[1] < t[0]) else 1
