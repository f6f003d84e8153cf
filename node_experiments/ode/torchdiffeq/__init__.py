"""torchdiffeq's functions on these solvers: code runs when only its import is changed.

    from node_experiments.ode.compat import odeint, odeint_adjoint, odeint_event

Names that mean something else there than here are mapped to what they do there: `rk4` is the 3/8
rule, `heun2` is `heun`, `explicit_adams` is `adams_bashforth`, `implicit_adams` and `fixed_adams`
are `adams_moulton`, and `scipy_solver` takes its method from `options["solver"]`. All other names
of this package work too. Multistep methods have order 4 at most. Values between fixed steps are
cubic instead of linear. Wrong arguments raise `ValueError`, and a solve that does not reach its
end raises `SolveError`, where torchdiffeq raises `AssertionError`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from .events import Event
from .gradients import Adjoint, Gradient
from .methods import METHODS
from .norms import rms_norm
from .solve import solve
from .solver import Solver

__all__ = ["odeint", "odeint_adjoint", "odeint_event"]

NAMES = {
    "rk4": "rk38",
    "heun2": "heun",
    "explicit_adams": "adams_bashforth",
    "implicit_adams": "adams_moulton",
    "fixed_adams": "adams_moulton",
}
SCIPY_NAMES = {"LSODA": "scipy_lsoda", "BDF": "scipy_bdf", "Radau": "scipy_radau"}
OPTIONS = {
    "first_step": "first_step",
    "safety": "safety",
    "ifactor": "max_factor",
    "dfactor": "min_factor",
    "max_num_steps": "max_steps",
    "min_step": "min_step",
    "max_step": "max_step",
    "step_size": "step_size",
    "max_order": "max_order",
}
# What has no meaning here: time is always double, and the correctors iterate once.
IGNORED = {"dtype", "interp", "perturb", "max_iters", "grid_constructor", "solver", "norm"}
FAR = 1e8  # end of a solve that only an event ends, in units of t


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[..., Tensor] | None = None,
) -> Any:
    """Solve with gradients by backpropagation through the solver.

    Args:
        func: The vector field of (t, y).
        y0: A tensor or a tuple of tensors.
        t: Times, shape `(time,)`; a single one gives back `y0` with its time axis.
        event_fn: Function of (t, y); the solve ends where one of its components is zero, and all
            of `t` but its first two entries, which give start and direction, is ignored.

    Returns:
        The states with a leading time axis; with `event_fn` the time of the event, and the states
        at the start and at the event.
    """
    return _odeint(func, y0, t, rtol, atol, method, options, event_fn, "backprop")


def odeint_adjoint(
    func: nn.Module | Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[..., Tensor] | None = None,
    adjoint_rtol: float | None = None,
    adjoint_atol: float | None = None,
    adjoint_method: str | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
) -> Any:
    """Solve with gradients by the adjoint method; see `odeint`.

    Args:
        adjoint_options: Of these only `norm` is read: `"seminorm"` leaves the parameter gradients
            out of the error norm.
        adjoint_params: Tensors that need gradients; the parameters of `func` when None.

    Raises:
        ValueError: Neither a module nor `adjoint_params`.
    """
    if adjoint_params is None and not isinstance(func, nn.Module):
        raise ValueError("func must be an nn.Module, or adjoint_params must be given")
    norm = (adjoint_options or {}).get("norm")
    back = NAMES.get(adjoint_method, adjoint_method) if adjoint_method else None
    gradient = Adjoint(adjoint_rtol, adjoint_atol, seminorm=norm == "seminorm", method=back)
    params = None if adjoint_params is None else list(adjoint_params)
    return _odeint(func, y0, t, rtol, atol, method, options, event_fn, gradient, params)


def odeint_event(
    func: Callable[..., Any],
    y0: Any,
    t0: Tensor,
    *,
    event_fn: Callable[..., Tensor],
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,
) -> Any:
    """Solve until a component of `event_fn(t, y)` is zero, with gradients of time and state.

    Returns:
        The time of the event, 0-d, and the states at the start and at the event.
    """
    t0 = torch.as_tensor(t0)
    t = torch.stack([t0, t0 - 1 if reverse_time else t0 + 1])
    return odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)


def _odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    rtol: Any,
    atol: Any,
    method: str | None,
    options: dict[str, Any] | None,
    event_fn: Callable[..., Tensor] | None,
    gradient: Gradient | str,
    parameters: Sequence[Tensor] | None = None,
) -> Any:
    options = dict(options or {})
    if event_fn is None and isinstance(t, Tensor) and t.shape == (1,):
        return pytree.tree_map(lambda y: y.unsqueeze(0), y0)
    if event_fn is not None:
        direction = -1.0 if float(t[1]) < float(t[0]) else 1.0
        t = torch.stack([t[0], t[0].detach() + direction * FAR])
    solver = make_solver(func, y0, t, rtol, atol, method, options)
    norm = options.get("norm") or (None if isinstance(y0, Tensor) else largest_rms)
    watch = callbacks(func)
    if METHODS[solver.method].family == "scipy":
        # There as here SciPy's methods have their own norm and tell of no step.
        norm = None
        if watch is not None:
            warnings.warn(f"{solver.method} does not tell its steps to callbacks", stacklevel=3)
            watch = None
    start = y0
    if gradient == "backprop" and t.requires_grad:
        start = _move_start(func, y0, t)
    solution = solve(
        func,
        start,
        t.detach() if gradient == "backprop" else t,
        solver,
        gradient,
        parameters=parameters,
        events=() if event_fn is None else components(event_fn, y0, t),
        norm=norm,
        watch=watch,
    )
    if event_fn is not None:
        ends = pytree.tree_map(lambda ys: torch.stack([ys[0], ys[-1]]), solution.ys)
        return solution.ts[-1], ends
    if gradient == "backprop" and t.requires_grad:
        return _move_outputs(func, y0, t, solution.ys)
    return solution.ys


def make_solver(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    rtol: Any,
    atol: Any,
    method: str | None,
    options: dict[str, Any],
) -> Solver:
    """The solver that torchdiffeq's method name and options mean.

    Raises:
        ValueError: An unknown option or SciPy method.
    """
    known = OPTIONS.keys() | IGNORED | {"step_t", "jump_t"}
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r}; allowed: {', '.join(sorted(known))}")
    name = NAMES.get(method or "dopri5", method or "dopri5")
    if name == "scipy_solver":
        kind = options.get("solver", "LSODA")
        if kind not in SCIPY_NAMES:
            raise ValueError(f"options['solver']={kind!r} must be one of {', '.join(SCIPY_NAMES)}")
        name = SCIPY_NAMES[kind]
    chosen: dict[str, Any] = {
        OPTIONS[key]: float(value) if key not in ("max_num_steps", "max_order") else int(value)
        for key, value in options.items()
        if key in OPTIONS and value is not None
    }
    if "max_order" in chosen:
        chosen["max_order"] = min(chosen["max_order"], 4 if name.startswith("adams_") else 12)
    for key in ("step_t", "jump_t"):
        if options.get(key) is not None:
            chosen[key] = tuple(torch.as_tensor(options[key]).double().tolist())
    adaptive = name in METHODS and METHODS[name].adaptive
    if not adaptive and options.get("grid_constructor") is not None:
        chosen["step_t"] = tuple(options["grid_constructor"](func, y0, t).double().tolist())
    elif not adaptive and "step_size" not in chosen:
        chosen["step_t"] = tuple(t.detach().double().tolist())
    chosen.setdefault("max_steps", 2**31 - 1)
    return Solver(name, rtol=_tolerance(rtol), atol=_tolerance(atol), **chosen)


def components(event_fn: Callable[..., Tensor], y0: Any, t: Tensor) -> list[Event]:
    """One event for every component of the event function."""
    with torch.no_grad():
        count = event_fn(t[0].detach(), y0).numel()

    def component(i: int) -> Event:
        return Event(lambda t, y: event_fn(t, y).reshape(-1)[i])

    return [component(i) for i in range(count)]


def callbacks(func: Callable[..., Any]) -> Callable[[float, float, Any, bool], None] | None:
    """The callbacks that torchdiffeq looks for on the vector field, as one function."""
    on_step, on_accept, on_reject = (
        getattr(func, f"callback_{name}", None) for name in ("step", "accept_step", "reject_step")
    )
    if on_step is None and on_accept is None and on_reject is None:
        return None

    def watch(t: float, h: float, y: Any, accepted: bool) -> None:
        like = pytree.tree_leaves(y)[0]
        time, step = torch.tensor(t, device=like.device), torch.tensor(h, device=like.device)
        for callback in (on_step, on_accept if accepted else on_reject):
            if callback is not None:
                callback(time, y, step)

    return watch


def largest_rms(state: Any) -> Tensor:
    """The largest root mean square of the tensors of a state, shape `()`."""
    return torch.stack([rms_norm(leaf.reshape(-1)) for leaf in pytree.tree_leaves(state)]).max()


def _tolerance(value: Any) -> float | tuple[float, ...]:
    if isinstance(value, Tensor):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(float(part) for part in value)
    return float(value)


def _move_start(func: Callable[..., Any], y0: Any, t: Tensor) -> Any:
    """The initial state with its dependence on the first time: -f(t0, y0) dt0."""
    with torch.no_grad():
        f = func(t[0], y0)
    shift = t[0] - t[0].detach()
    return pytree.tree_map(lambda y, dy: y - dy * shift.to(dy.dtype), y0, f)


def _move_outputs(func: Callable[..., Any], y0: Any, t: Tensor, ys: Any) -> Any:
    """The outputs with their dependence on their own times: f(t_i, y_i) dt_i."""
    outputs = []
    for i in range(len(t)):
        if i == 0:
            outputs.append(y0)
            continue
        y = pytree.tree_map(lambda leaf, i=i: leaf[i], ys)
        with torch.no_grad():
            f = func(t[i], y)
        shift = t[i] - t[i].detach()
        outputs.append(pytree.tree_map(lambda a, b, s=shift: a + b * s.to(b.dtype), y, f))
    return pytree.tree_map(lambda *leaves: torch.stack(leaves), *outputs)
