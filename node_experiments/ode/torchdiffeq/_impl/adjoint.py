"""`odeint_adjoint`: gradients by solving the adjoint equation backwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ...gradients import Adjoint
from ...methods import METHODS
from ...solver import Solver
from .fields import CALLBACKS, together
from .initial_value_problem import InitialValueProblem, shapes_of
from .methods import method_of
from .options import make_solver, tolerance

__all__ = ["find_parameters", "odeint_adjoint"]


def odeint_adjoint(
    func: nn.Module | Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[..., Any] | None = None,
    adjoint_rtol: Any = None,
    adjoint_atol: Any = None,
    adjoint_method: str | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Any:
    """Solve with gradients by the adjoint method; see `odeint`.

    Args:
        adjoint_rtol, adjoint_atol, adjoint_method: Of the backward solve; those of the forward
            solve when None. A sequence of tolerances has one for each of time, state, adjoint and
            every tensor that needs a gradient.
        adjoint_options: Options of the backward solve; those of the forward solve but `norm` when
            None. Its `norm` is a function of the tuple (time, *state, *adjoint, *gradients), or
            "seminorm", which leaves the gradients out.
        adjoint_params: Tensors that need gradients; those that `func` holds when None.

    Raises:
        ValueError: Neither a module nor `adjoint_params`; or `options` that cannot be those of
            another `adjoint_method`.
    """
    if adjoint_params is None and not isinstance(func, nn.Module):
        raise ValueError("func must be an nn.Module, or adjoint_params must be given")
    adjoint_method = adjoint_method or method
    if adjoint_method != method and options is not None and adjoint_options is None:
        raise ValueError(
            f"adjoint_method={adjoint_method!r} differs from method={method!r}, so options cannot "
            "be those of the backward solve; pass adjoint_options too ({} for the defaults)"
        )
    problem = InitialValueProblem(func, y0, t, rtol, atol, method, options, event_fn)
    parameters = None if adjoint_params is None else list(adjoint_params)
    if adjoint_options is None:
        backward_options = {k: v for k, v in problem.options.items() if k != "norm"}
        inherits = adjoint_method == method and adjoint_rtol is None and adjoint_atol is None
        inherits = inherits and "grid_constructor" not in backward_options
    else:
        backward_options, inherits = dict(adjoint_options), False
    norm = backward_options.pop("norm", None)
    if callable(norm) and parameters and not all(p.requires_grad for p in parameters):
        warnings.warn(
            "adjoint_options['norm'] is called without those of adjoint_params that need no "
            "gradient",
            stacklevel=2,
        )
    solver = None
    if not inherits:
        learned = list(func.parameters()) if parameters is None else parameters  # type: ignore[union-attr]
        solver = backward_solver(
            problem,
            adjoint_method,
            backward_options,
            rtol if adjoint_rtol is None else adjoint_rtol,
            atol if adjoint_atol is None else adjoint_atol,
            [p for p in learned if p.requires_grad],
        )
    is_scipy = METHODS[method_of(adjoint_method)[0]].family == "scipy"
    gradient = Adjoint(
        seminorm=norm == "seminorm",
        solver=solver,
        norm=adjoint_norm(norm) if callable(norm) and not is_scipy else None,
        watch=None if is_scipy else adjoint_callbacks(func, t),
    )
    return problem.solve(gradient, parameters)


def backward_solver(
    problem: InitialValueProblem,
    method: str | None,
    options: dict[str, Any],
    rtol: Any,
    atol: Any,
    learned: Sequence[Tensor],
) -> Solver:
    """The solver of the backward solve, whose fixed steps start again at every output time."""

    def grid(constructor: Callable[..., Tensor] | None) -> Tensor:
        back = problem.t.detach().flip(0)
        if constructor is None:
            return back
        intervals = (back[i : i + 2] for i in range(len(back) - 1))
        return torch.cat([constructor(problem.func, problem.y0, pair) for pair in intervals])

    shapes, copies = shapes_of(problem.y0)
    return make_solver(
        method,
        options,
        backward_tolerance("adjoint_rtol", rtol, shapes, copies, learned),
        backward_tolerance("adjoint_atol", atol, shapes, copies, learned),
        grid,
    )


def backward_tolerance(
    name: str, value: Any, shapes: list[torch.Size], copies: int, learned: Sequence[Tensor]
) -> Any:
    """A tolerance of the state and of the adjoint alike, or one for each part of the two."""
    parts = [torch.Size(()), *(torch.Size([sum(s.numel() for s in shapes)]),) * 2]
    parts += [p.shape for p in learned]
    if not isinstance(value, list | tuple) or len(value) != len(parts):
        return tolerance(name, value, shapes, copies)
    spread = [
        torch.as_tensor(piece, dtype=torch.float64).expand(part).reshape(-1)
        for piece, part in zip(value, parts, strict=True)
    ]
    of_state = torch.cat(spread[1:3]).repeat_interleave(copies)
    return tuple(torch.cat([of_state, *spread[3:]]).tolist())


def adjoint_norm(norm: Callable[[tuple[Tensor, ...]], Any]) -> Callable[..., Tensor]:
    """Torchdiffeq's norm of one tuple as a norm of state, adjoint and gradients."""

    def together(state: Any, adjoint: Any, gradients: tuple[Tensor, ...]) -> Tensor:
        leaves = [*pytree.tree_leaves(state), *pytree.tree_leaves(adjoint)]
        time = leaves[0].new_zeros(()).abs()  # gradients of times are no part of the solve
        return torch.as_tensor(norm((time, *leaves, *gradients))).abs()

    return together


def adjoint_callbacks(func: Any, t: Tensor) -> Callable[..., None] | None:
    """The callbacks of the backward solve, of (t, (time gradient, state, adjoint), dt)."""
    watch = together([getattr(func, f"{name}_adjoint", None) for name in CALLBACKS], t.dtype)
    if watch is None:
        return None

    def call(t: float, h: float, state: Any, accepted: bool) -> None:
        y, adjoint = (
            torch.cat([leaf.reshape(-1) for leaf in leaves]) if len(leaves) > 1 else leaves[0]
            for leaves in map(pytree.tree_leaves, state)
        )
        watch(t, h, (y.new_zeros(()), y, adjoint), accepted)

    return call


def find_parameters(module: nn.Module) -> list[Tensor]:
    """The parameters that `odeint_adjoint` gives gradients to when it is not told any."""
    return list(module.parameters())
