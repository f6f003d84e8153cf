"""A whole explicit Runge-Kutta step as one compiled function.

Of a small vector field a step is many operations of a few microseconds, most of them for calling
and recording each. Compiled together they are a handful of loops, and so is the backward pass. The
vector field alone would be too little: the operations between its evaluations are as many.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import cache, partial
from itertools import count
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from .methods.butcher_tableau import Tableau
from .methods.explicit_runge_kutta import ExplicitRungeKutta
from .solution import StepCounts
from .vector_field import PlainField

__all__ = ["compiled_step", "compiler_fault", "runge_kutta_step"]

StepFunction = Callable[..., tuple[Tensor, Tensor]]


def runge_kutta_step(
    field: Callable[..., Tensor],
    tableau: Tableau,
    numbers: Tensor,
    y: Tensor,
    first: Tensor | None,
    args: tuple[Any, ...],
) -> tuple[Tensor, Tensor]:
    """One step, out of place.

    Args:
        field: The vector field, of a 0-d time, a state and `args`.
        numbers: The size of the step, then the times of its stages; shape `(1 + stage,)`.
        y: State at the start of the step.
        first: The derivative there, if it is known.

    Returns:
        The state at the end, of the shape of y, and the derivatives, shape `(stage, *y.shape)`.
    """
    size, *times = numbers.unbind()

    def clock(t: float, h: float, nodes: Sequence[float]) -> tuple[list[Tensor], Tensor]:
        return times, size

    stepper = ExplicitRungeKutta(
        tableau, PlainField(field), y, StepCounts(), args=args, records=True, clock=clock
    )
    if first is not None:
        stepper.starts_with(y, first)
    end = stepper.step(0.0, 0.0, y)
    return end, torch.stack(stepper.stages)


_NUMBERS = count()
_COMPILED: WeakKeyDictionary[Any, StepFunction] = WeakKeyDictionary()


def compiled_step(func: Any, device: torch.device) -> StepFunction:
    """`runge_kutta_step` for the vector field of a user, compiled when it is first called.

    Where nothing can be compiled it is `runge_kutta_step` itself.
    """
    fault = compiler_fault(device)
    if fault is not None:
        warnings.warn(f"nothing is compiled: {fault}", RuntimeWarning, stacklevel=2)
        return runge_kutta_step
    while isinstance(func, partial):
        func = func.func
    # Functions that are created for every solve share their code, and objects that cannot be
    # looked up their class.
    key = getattr(func, "__code__", func if isinstance(func, Hashable) else type(func))
    if key not in _COMPILED:
        # The compiler keeps what it made with the code of a function, and gives up after a few;
        # and sizes that functions of one name have met it takes for ones that change.
        name = f"{runge_kutta_step.__name__}_{next(_NUMBERS)}"
        own = FunctionType(runge_kutta_step.__code__.replace(co_name=name), globals())
        _COMPILED[key] = torch.compile(own)
    return _COMPILED[key]


@cache
def compiler_fault(device: torch.device) -> str | None:
    """Why `torch.compile` does not work for a device, or None if it does."""
    try:
        torch.compile(lambda x: x.sin() + 1)(torch.zeros(8, device=device))
    except Exception as error:  # of many kinds, by what is missing
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return (
            f"torch.compile does not work on {device.type} here ({reason}); on a CPU it needs a "
            "C++ compiler such as g++"
        )
    return None
