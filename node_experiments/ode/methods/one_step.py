"""Methods that the user gives as a function which takes one step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from ..vector_field import is_traced_or_transformed
from .base import State, Time

if TYPE_CHECKING:
    from ..flat_field import FlatField

__all__ = ["OneStep"]

Field = Callable[[Time, Tensor], Tensor]


@dataclass(eq=False)
class OneStep:
    """A one-step method, given by the function that takes a step.

    It goes with `gradient="backprop"`; with `Adjoint(method=...)`, which solves backwards by a
    method of this package; with events, outputs inside steps (by a cubic Hermite polynomial up to
    order 4, by shorter steps above) and all options of fixed steps, or of adaptive ones if it has
    an error estimate. States are real: of a complex one, solve the real and imaginary parts.

    Attributes:
        name: Its name in messages.
        step: Function (f, t, h, y) -> y(t + h), or (y(t + h), error) with `error_order`, where
            f(t, y) is the derivative. `t` and `h` are numbers, and `y` is a tensor of the shape
            of the state, or of shape `(n,)` if that is a tuple, list or dict. The function must
            not change `y` in place.
        order: Order of convergence.
        stages: Evaluations of f per step.
        error_order: Power of h in the error estimate; None if steps can only be fixed.
        reference: Where the method was published.

    Example:
        >>> import torch
        >>> from node_experiments.ode import OneStep, Solver, solve
        >>> def heun(f, t, h, y):
        ...     k = f(t, y)
        ...     return y + h / 2 * (k + f(t + h, y + h * k))
        >>> solver = Solver(OneStep("my_heun", heun, order=2, stages=2), num_steps=100)
        >>> round(solve(lambda t, y: -y, torch.ones(1), [0.0, 1.0], solver).ys[-1].item(), 4)
        0.3679
    """

    name: str
    step: Callable[[Field, Time, Time, Tensor], Tensor | tuple[Tensor, Tensor]]
    order: int
    stages: int
    error_order: int | None = None
    reference: str = ""
    has_second_solution = False
    searched = True  # for tensors that need a gradient, which the adjoint method cannot give

    def __repr__(self) -> str:
        return f"OneStep({self.name!r})"

    def start(self, field: FlatField, t: Time, y: Tensor) -> State:
        return (y,)

    def advance(
        self, field: FlatField, t: Time, h: Time, state: State
    ) -> tuple[State, Tensor | None]:
        """The state after a step, and the estimate of its error.

        Raises:
            ValueError: The step changed its state in place, or does not return what it should.
        """
        (flat,) = state
        y = flat.view(field.state_shape)
        counts_changes = not (is_traced_or_transformed() or y.is_inference())
        version = y._version if counts_changes else 0
        result = self.step(lambda t, y: field(t, y.reshape(-1)).view(y.shape), t, h, y)
        if counts_changes and y._version != version:
            raise ValueError(
                f"the step of {self!r} changed y in place; write y = y + ... instead of y += ..."
            )
        parts = result if isinstance(result, tuple) else (result,)
        wanted = 1 if self.error_order is None else 2
        if len(parts) != wanted or not all(isinstance(x, Tensor) for x in parts):
            what = "a state" if wanted == 1 else "a tuple (state, error)"
            raise ValueError(
                f"the step of {self!r} must return {what}; found "
                f"{tuple(type(x).__name__ for x in parts)}"
            )
        for part in parts:
            if part.shape != y.shape or part.dtype != y.dtype:
                raise ValueError(
                    f"the step of {self!r} must return tensors of the shape and dtype of y, "
                    f"{tuple(y.shape)} and {y.dtype}; found {tuple(part.shape)} and {part.dtype}"
                )
        y_next, *error = (part.reshape(-1) for part in parts)
        return (y_next,), error[0] if error else None
