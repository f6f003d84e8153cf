"""`odeint_adjoint`: gradients by solving the adjoint equation backwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from ...gradients import Adjoint
from ...methods.registry import METHODS
from ...norms import rms_norm
from ...solver import Solver
from .errors import failed_assertion
from .fields import CALLBACKS, combine_callbacks, flat, norm_of, unflattened
from .initial_value_problem import InitialValueProblem, shapes_of
from .methods import method_of, options_of
from .options import make_solver, tolerance
from .own_methods import own_method
from .solvers import FixedGridODESolver

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
        adjoint_rtol, adjoint_atol, adjoint_method: Tolerances and method of the backward solve;
            those of the forward solve when None, and `rk4` if a program gave the method. A
            sequence of tolerances has one for each of time, state, adjoint and every tensor that
            needs a gradient.
        adjoint_options: Options of the backward solve; when None, those of the forward solve
            except `norm`. Its `norm` is a function of the tuple (time, *state, *adjoint,
            *gradients), or "seminorm", which leaves the gradients out.
        adjoint_params: Tensors that need gradients; those that `func` holds when None.

    Raises:
        ValueError: `func` is no module and `adjoint_params` is None; or `adjoint_method` differs
            from `method`, and `options` is given without `adjoint_options`.

    Example:
        >>> rate = torch.tensor(0.5, requires_grad=True)
        >>> y0, t = torch.ones(1), torch.tensor([0.0, 2.0])
        >>> ys = odeint_adjoint(lambda t, y: -rate * y, y0, t, adjoint_params=(rate,))
        >>> ys[-1].sum().backward()
        >>> round(rate.grad.item(), 3)  # -2 exp(-1)
        -0.736
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
    if parameters is None and getattr(func, "_is_replica", False):
        assert isinstance(func, nn.Module)
        parameters = find_parameters(func)
    if adjoint_options is None:
        backward_options = {k: v for k, v in problem.options.items() if k != "norm"}
        inherits = adjoint_method == method and adjoint_rtol is None and adjoint_atol is None
        inherits = inherits and not {"grid_constructor", "step_size"} & backward_options.keys()
    else:
        backward_options, inherits = dict(adjoint_options), False
    norm = backward_options.pop("norm", None)
    if callable(norm) and parameters and not all(p.requires_grad for p in parameters):
        warnings.warn(
            "adjoint_options['norm'] is called without those of adjoint_params that need no "
            "gradient",
            stacklevel=2,
        )
    own = None
    if problem.own is not None and adjoint_method == method:
        # It was written for the state of the forward solve, and so may be its options.
        adjoint_method, inherits = "rk4", False
        known = backward_options.keys() & options_of("rk38", fixed=True)
        backward_options = {name: backward_options[name] for name in known}
    choice = method_of(adjoint_method)[0]
    if not isinstance(choice, str):
        own = own_method(choice, func, problem.y0, t, **backward_options)
    solver = None
    if not inherits:
        learned = list(func.parameters()) if parameters is None else parameters  # type: ignore[union-attr]
        solver = backward_solver(
            problem,
            own or adjoint_method,
            backward_options,
            rtol if adjoint_rtol is None else adjoint_rtol,
            atol if adjoint_atol is None else adjoint_atol,
            [p for p in learned if p.requires_grad],
        )
    if isinstance(choice, str) and METHODS[choice].family == "scipy":
        # SciPy's methods have their own norm and step size control.
        plain = Adjoint(
            seminorm=norm == "seminorm",
            solver=solver,
            error=failed_assertion,
            materialize_grads=True,
        )
        return problem.solve(plain, parameters)
    options_of_node = {"norm": adjoint_norm(norm, problem)}
    gradient = Adjoint(
        solver=solver,
        norm=lambda y, a, gradients: norm_of_parts(options_of_node["norm"], y, a, gradients),
        watch=adjoint_callbacks(func, t),
        error=failed_assertion,
    )
    result = problem.solve(gradient, parameters)
    attach(options_of_node, result)
    return result


def backward_solver(
    problem: InitialValueProblem,
    method: str | FixedGridODESolver | None,
    options: dict[str, Any],
    rtol: Any,
    atol: Any,
    learned: Sequence[Tensor],
) -> Solver:
    """The solver of the backward solve; fixed steps start again at every output time."""

    def grid(constructor: Callable[..., Tensor] | None) -> Tensor:
        back = problem.t.detach().flip(0)
        if constructor is None:
            return back
        intervals = (back[i : i + 2] for i in range(len(back) - 1))
        return torch.cat([constructor(problem.func, problem.y0, pair) for pair in intervals])

    if isinstance(method, FixedGridODESolver) or method_of(method)[1]:
        rtol = atol = 1e-9  # not used, whatever they are
    # Its intervals end at output times, or at an event that is not known yet.
    open_end = problem.has_event or options.get("step_size") is not None
    shapes, copies = shapes_of(problem.y0)
    return make_solver(
        method,
        options,
        backward_tolerance("adjoint_rtol", rtol, shapes, copies, learned),
        backward_tolerance("adjoint_atol", atol, shapes, copies, learned),
        grid,
        open_end,
    )


def backward_tolerance(
    name: str, value: Any, shapes: list[torch.Size], copies: int, learned: Sequence[Tensor]
) -> Any:
    """A tolerance for both state and adjoint, or separate ones for each part of the two."""
    if not isinstance(value, list | tuple) or len(value) != 3 + len(learned):
        return tolerance(name, value, shapes, copies)
    parts = [torch.Size(()), *(torch.Size([sum(s.numel() for s in shapes)]),) * 2]
    parts += [p.shape for p in learned]
    spread = [
        torch.as_tensor(piece, dtype=torch.float64).expand(part).reshape(-1)
        for piece, part in zip(value, parts, strict=True)
    ]
    of_state = torch.cat(spread[1:3]).repeat_interleave(copies)
    return tuple(torch.cat([of_state, *spread[3:]]).tolist())


def adjoint_norm(
    norm: Callable[[tuple[Tensor, ...]], Any] | str | None, problem: InitialValueProblem
) -> Callable[[tuple[Tensor, ...]], Any]:
    """The norm as a function of (time, state, adjoint, *gradients); tuple states are flattened."""
    of_state = norm_of(problem.options.get("norm"), problem.y0) or rms_norm

    def by_user(parts: tuple[Tensor, ...]) -> Any:
        assert callable(norm)
        time, y, adjoint, *gradients = parts
        both = [pytree.tree_leaves(unflattened(x, problem.y0)) for x in (y, adjoint)]
        return norm((time, *both[0], *both[1], *gradients))

    def largest(parts: tuple[Tensor, ...]) -> Tensor:
        time, y, adjoint, *gradients = parts
        sizes = [time.abs(), *(of_state(unflattened(x, problem.y0)) for x in (y, adjoint))]
        if norm != "seminorm":
            sizes += [rms_norm(gradient) for gradient in gradients if gradient.numel()]
        return torch.stack([size.to(time) for size in sizes]).max()

    return by_user if callable(norm) else largest


def norm_of_parts(
    norm: Callable[[tuple[Tensor, ...]], Any],
    state: Any,
    adjoint: Any,
    gradients: tuple[Tensor, ...],
) -> Tensor:
    """Apply a norm of one tuple to the errors of a step."""
    y, a = flat(state), flat(adjoint)
    time = y.new_zeros(()).abs()  # gradients of times are not part of the solve
    return torch.as_tensor(norm((time, y, a, *gradients))).abs()


def attach(options: dict[str, Any], result: Any) -> None:
    """Set `adjoint_options` on the autograd node of the solve, as torchdiffeq does.

    For a single tensor this is the node of the result, for other states a few nodes behind it.
    """
    node = pytree.tree_leaves(result)[-1].grad_fn
    while node is not None and not isinstance(getattr(node, "options", None), Adjoint):
        node = node.next_functions[0][0] if node.next_functions else None
    if node is not None:
        node.adjoint_options = options


def adjoint_callbacks(func: Any, t: Tensor) -> Callable[..., None] | None:
    """Callbacks of the backward solve, called with (t, (time gradient, state, adjoint), dt)."""
    watch = combine_callbacks(
        [getattr(func, f"{name}_adjoint", None) for name in CALLBACKS], t.dtype
    )
    if watch is None:
        return None

    def call(t: float, h: float, state: Any, accepted: bool) -> None:
        y, adjoint = map(flat, state)
        watch(t, h, (y.new_zeros(()), y, adjoint), accepted)

    return call


def find_parameters(module: nn.Module) -> list[Tensor]:
    """The parameters that get gradients from `odeint_adjoint` when none are given.

    A replica that `torch.nn.DataParallel` made has copies of them in plain attributes.
    """
    if not getattr(module, "_is_replica", False):
        return list(module.parameters())
    held = (x for part in module.modules() for x in vars(part).values())
    return [x for x in held if isinstance(x, Tensor) and x.requires_grad]
