"""`odeint`, `odeint_dense` and `odeint_event`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...solve import solve
from .fields import adapt_field, norm_of, promote_dtypes
from .flow import move_in_time
from .initial_value_problem import InitialValueProblem
from .methods import SOLVERS

__all__ = ["SOLVERS", "odeint", "odeint_dense", "odeint_event"]


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[..., Any] | None = None,
) -> Any:
    """Solve dy/dt = func(t, y) with gradients by backpropagation through the solver.

    Args:
        func: The vector field of a 0-d time and a state.
        y0: A tensor or a tuple of tensors of any shapes.
        t: Times, shape `(time,)`, strictly increasing or decreasing.
        rtol, atol: Tolerances of the local error: a number, a tensor that broadcasts to the
            state, or a sequence with one of these for each tensor of the state.
        method: A name of torchdiffeq or of this package; `dopri5` when None.
        options: Options of the method; there is a warning for those that it does not use.
        event_fn: Function of (t, y) with one or more components. The solve ends where one of them
            crosses zero; `t` then has shape `(2,)`, and its second entry only gives the direction.

    Returns:
        The states at `t`, each tensor with a leading axis `(time,)`; with `event_fn` the time of
        the event, 0-d, and the states at the start and at the event, with a leading axis `(2,)`.

    Raises:
        ValueError: Arguments that are wrong or do not fit together.
        SolveError: The solve did not reach its end, or no event occurred.

    Example:
        >>> y0, t = torch.ones(1), torch.tensor([0.0, 1.0])
        >>> odeint(lambda t, y: -y, y0, t)[-1]
        tensor([0.3679])
    """
    problem = InitialValueProblem(func, y0, t, rtol, atol, method, options, event_fn)
    return problem.solve("backprop")


def odeint_dense(
    func: Callable[..., Any],
    y0: Any,
    t0: Tensor | float,
    t1: Tensor | float,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
) -> Callable[[Tensor | float], Any]:
    """The solution between `t0` and `t1` as a function of time.

    Returns:
        A function that maps times of any shape to states, whose axes come after those of the
        times. It is differentiable with respect to all that `odeint` is but the times `t0` and
        `t1`, and to a 0-d time; a `UserWarning` tells of other times that require a gradient.

    Raises:
        ValueError: Arguments that are wrong or do not fit together.
        SolveError: The solve did not reach `t1`.

    Example:
        >>> y = odeint_dense(lambda t, y: -y, torch.ones(1), 0.0, 1.0)
        >>> y(0.5)
        tensor([0.6065])
        >>> y(torch.tensor([0.0, 0.3, 1.0])).shape
        torch.Size([3, 1])
    """
    if torch.is_grad_enabled() and any(getattr(end, "requires_grad", False) for end in (t0, t1)):
        warnings.warn(
            "odeint_dense gives no gradients of t0 and t1; use odeint with the times that are "
            "needed, or detach them",
            stacklevel=2,
        )
    ends = [torch.as_tensor(end, dtype=torch.float64).detach().cpu() for end in (t0, t1)]
    t = torch.stack([end.reshape(()) for end in ends])
    problem = InitialValueProblem(func, y0, t, rtol, atol, method, options, None)
    field = adapt_field(func, promote_dtypes(y0), problem.fixed)
    solution = solve(
        field,
        promote_dtypes(y0),
        t,
        problem.solver,
        "backprop",
        norm=norm_of(problem.options.get("norm"), y0),
        dense=True,
    )
    interpolant = solution.interpolant
    assert interpolant is not None

    def evaluate(t: Tensor | float) -> Any:
        if isinstance(t, Tensor) and t.requires_grad and t.dim() == 0:
            return move_in_time(field, t, interpolant(t.detach()))
        return interpolant(t)

    return evaluate


def odeint_event(
    func: Callable[..., Any],
    y0: Any,
    t0: Tensor,
    *,
    event_fn: Callable[..., Any],
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,
) -> Any:
    """Solve until a component of `event_fn(t, y)` is zero, with gradients of time and state.

    Args:
        t0: The initial time, of any shape with one element.
        reverse_time: Solve towards smaller times.
        odeint_interface: `odeint` or `odeint_adjoint`, to which `kwargs` are passed.

    Returns:
        The time of the event, 0-d, and the states at the start and at the event, with a leading
        axis `(2,)`.

    Raises:
        ValueError: Arguments that are wrong or do not fit together.
        SolveError: No event occurred.

    Example:
        >>> def half(t, y):
        ...     return y - 0.5
        >>> odeint_event(lambda t, y: -y, torch.ones(1), torch.tensor(0.0), event_fn=half)
        (tensor(0.6931), tensor([[1.0000],
                [0.5000]]))
    """
    t0 = torch.as_tensor(t0).reshape(())
    t = torch.stack([t0, t0.detach() + (-1 if reverse_time else 1)])
    return odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)
