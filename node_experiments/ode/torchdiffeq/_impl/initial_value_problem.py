"""One call of torchdiffeq's interface, translated to `solve`."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...gradients import Gradient
from ...solution import Solution, SolveError
from ...solve import solve
from .errors import ArgumentError, failed_assertion, in_words_of_drop_in
from .events import MAX_FIXED_STEPS, MAX_STEPS, first_component
from .fields import CALLBACKS, adapt_field, callbacks, norm_of, promote_dtypes
from .flow import move_outputs, move_start
from .methods import method_of
from .options import default_solver, make_solver, tolerance
from .own_methods import integrate_own, own_method
from .solvers import FixedGridODESolver

__all__ = ["InitialValueProblem", "shapes_of"]


class InitialValueProblem:
    """The validated arguments of `odeint`.

    Attributes:
        own: The method, if it is a class that a program added to `SOLVERS`.
        fixed: Whether the method takes fixed steps.
        solver: The solver described by method, tolerances and options.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        y0: Any,
        t: Tensor,
        rtol: Any,
        atol: Any,
        method: str | None,
        options: dict[str, Any] | None,
        event_fn: Callable[..., Any] | None,
    ):
        times = check_times(t)
        if event_fn is not None and len(times) != 2:
            raise ValueError(f"with event_fn, t must have 2 times; found {len(times)}")
        if isinstance(y0, bool | int | float | complex):
            raise ArgumentError(
                f"y0 must be a tensor, or a tuple, list or dict of tensors; found {y0!r}"
            )
        self.func, self.y0, self.t = func, promote_dtypes(y0), t
        self.options = dict(options or {})
        self.method = method or "dopri5"
        choice, self.fixed = method_of(method)
        self.own = None
        if not isinstance(choice, str):
            self.own = own_method(choice, func, self.y0, t, rtol=rtol, atol=atol, **self.options)
        self._event_fn = event_fn
        self._number = len(times)
        if self.fixed:
            rtol = atol = 1e-9  # not used, whatever they are
        by_number = rtol.__class__ is float and atol.__class__ is float
        if by_number and not options and event_fn is None and self.own is None:
            self.solver = default_solver(method, rtol, atol, *(times if self.fixed else ()))
        else:
            shapes, copies = shapes_of(self.y0)
            self.solver = make_solver(
                self.own or method,
                self.options,
                tolerance("rtol", rtol, shapes, copies),
                tolerance("atol", atol, shapes, copies),
                self._grid,
                open_end=event_fn is not None,
            )
            if isinstance(self.y0, Tensor) and not by_number:
                # Tolerances of components are in the order of the axes.
                self.y0 = self.y0.contiguous()
        self.is_scipy = self.solver.properties.family == "scipy"

    @property
    def has_event(self) -> bool:
        return self._event_fn is not None

    def _grid(self, constructor: Callable[..., Tensor] | None) -> Tensor:
        """Ends of fixed steps: the times, or those of the option `grid_constructor`.

        Raises:
            ArgumentError: The grid does not go from the first time to the last.
        """
        if constructor is None:
            return self.t
        grid = constructor(self.func, self.y0, self.t)
        ends = self.t.detach().to(grid)[[0, -1]]
        if not torch.equal(grid.detach()[[0, -1]], ends):
            raise ArgumentError(
                "options['grid_constructor'] must return times from t[0] to t[-1], "
                f"{ends.tolist()}; found {grid[[0, -1]].tolist()}"
            )
        return grid

    def solve(self, gradient: Gradient | str, parameters: Sequence[Tensor] | None = None) -> Any:
        """The states, or the time and states of the event, as `odeint` returns them."""
        func, y0, t = self.func, self.y0, self.t
        if self.own is not None and not self.own.steps_alone:
            return self._solve_by_own_loop(self.own, gradient)
        if self._event_fn is None and (self._number == 1 or is_empty(y0)):
            return self._without_steps()
        field = adapt_field(func, y0, broadcasts=self.fixed)
        norm = None if self.is_scipy else norm_of(self.options.get("norm"), y0)
        supported = () if self.is_scipy else CALLBACKS[:1] if self.fixed else CALLBACKS
        dtype = t.dtype if self.fixed else torch.float64
        watch = callbacks(func, self.method, supported, dtype)
        arguments = {"norm": norm, "watch": watch, "parameters": parameters}
        if self._event_fn is not None:
            return self._solve_to_event(field, gradient, arguments)
        backprop = gradient == "backprop"
        if backprop and self.is_scipy:
            return self._solve_without_gradients(field, arguments)
        moves = t.requires_grad and not torch._C._are_functorch_transforms_active()
        if not (backprop and moves and torch.is_grad_enabled()):
            return solve_or_assert(field, y0, t, self.solver, gradient, **arguments).ys
        start = move_start(field, y0, t)
        solution = solve_or_assert(field, start, t.detach(), self.solver, gradient, **arguments)
        return move_outputs(field, y0, t, solution.ys)

    def _without_steps(self) -> Any:
        """Outputs for a single time, or for a state without elements."""
        if self._number == 1:
            return pytree.tree_map(lambda y: y.unsqueeze(0).clone(), self.y0)
        field = adapt_field(self.func, self.y0, broadcasts=True)
        f = field(self.t[0], self.y0)
        count = self._number - 1
        return pytree.tree_map(lambda y, f: torch.stack([y, *[y + f] * count]), self.y0, f)

    def _solve_without_gradients(self, field: Any, arguments: dict[str, Any]) -> Any:
        """Solve by a method of SciPy, which records no graph."""
        tensors = [*pytree.tree_leaves(self.y0), self.t]
        if isinstance(self.func, torch.nn.Module):
            tensors += self.func.parameters()
        if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
            warnings.warn(
                f"odeint with method={self.method!r} gives values without gradients; use "
                "odeint_adjoint for gradients",
                stacklevel=4,
            )
        with torch.no_grad():
            return solve_or_assert(field, self.y0, self.t, self.solver, "adjoint", **arguments).ys

    def _solve_by_own_loop(self, own: FixedGridODESolver, gradient: Gradient | str) -> Any:
        """Call `integrate` of a class that overrides it; autograd records what it does."""
        if gradient != "backprop" or self._event_fn is not None:
            what = "an event" if self._event_fn is not None else "odeint_adjoint"
            raise ArgumentError(
                f"method={self.method!r}: {type(own).__name__} overrides `integrate`, and {what} "
                "needs the steps alone; leave `integrate` to the base class, or solve with odeint"
            )
        return integrate_own(own, self.y0, self.t)

    def _solve_to_event(
        self, field: Any, gradient: Gradient | str, arguments: dict[str, Any]
    ) -> Any:
        assert self._event_fn is not None
        t, solver = self.t, self.solver
        limit = MAX_FIXED_STEPS if self.fixed else MAX_STEPS
        limit = solver.max_steps_between_outputs or limit
        solver = replace(solver, max_steps=limit, max_steps_between_outputs=None)
        end = torch.copysign(t.detach().new_tensor(math.inf), t[1].detach() - t[0].detach())
        y0, until = self.y0, torch.stack([t[0], end])
        if gradient == "backprop" and t.requires_grad and torch.is_grad_enabled():
            y0, until = move_start(field, y0, t), until.detach()
        event = first_component(self._event_fn, y0, t[0], at_ends=self.fixed)
        solution = solve_or_assert(field, y0, until, solver, gradient, events=[event], **arguments)
        ends = pytree.tree_map(lambda y, ys: torch.stack([y, ys[-1]]), self.y0, solution.ys)
        return solution.ts[-1].to(t.dtype), ends


def check_times(t: Any) -> list[float]:
    """The times as host floats; rejects what torchdiffeq's assertions reject.

    Raises:
        TypeError: The times are not floats.
        ArgumentError: Not a tensor, a wrong shape, or times that are not strictly monotonic.
    """
    if not isinstance(t, Tensor):
        raise ArgumentError(f"t must be a tensor of shape (time,); found {type(t).__name__}")
    if not t.is_floating_point():
        raise TypeError(f"t must be a tensor of floats; found {t.dtype}; write t.float()")
    if t.is_meta:
        raise ArgumentError("t is on the device 'meta' and has no values; make it on another one")
    if t.dim() != 1 or t.numel() == 0:
        raise ArgumentError(f"t must have shape (time,); found {tuple(t.shape)}")
    times = t.tolist()
    later = times[1:]
    if not (all(map(operator.lt, times, later)) or all(map(operator.gt, times, later))):
        raise ArgumentError(
            f"t must be strictly increasing or decreasing; found {times}; solve at t.unique() and "
            "index the outputs by its inverse"
        )
    return times


def shapes_of(y0: Any) -> tuple[list[torch.Size], int]:
    """Shapes of the tensors of a state, and the number of real numbers per element."""
    if isinstance(y0, Tensor):
        return [y0.shape], 1 + y0.is_complex()
    leaves = [leaf for leaf in pytree.tree_leaves(y0) if isinstance(leaf, Tensor)]
    complex_numbers = any(leaf.is_complex() for leaf in leaves)
    return [leaf.shape for leaf in leaves], 1 + complex_numbers


def is_empty(y0: Any) -> bool:
    """Whether a state has no elements."""
    if isinstance(y0, Tensor):
        return y0.numel() == 0
    leaves = [leaf for leaf in pytree.tree_leaves(y0) if isinstance(leaf, Tensor)]
    return bool(leaves) and not any(leaf.numel() for leaf in leaves)


def solve_or_assert(*args: Any, **kwargs: Any) -> Solution:
    """Call `solve`; its errors are also assertion errors, as those of torchdiffeq.

    Programs look for torchdiffeq's words in messages. Advice names arguments of this interface.
    """
    try:
        return solve(*args, **kwargs)
    except SolveError as error:
        raise failed_assertion(error.solution) from None
    except (ValueError, NotImplementedError) as error:
        message = in_words_of_drop_in(str(error))
        if message == str(error):
            raise
        raise type(error)(message) from None
