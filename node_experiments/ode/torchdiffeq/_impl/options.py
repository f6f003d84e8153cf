"""Conversion of torchdiffeq's options to a `Solver`."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...methods.registry import METHODS
from ...solver import Solver
from .errors import ArgumentError
from .methods import SCIPY_SOLVERS, method_of, options_of
from .solvers import FixedGridODESolver, equal_steps

__all__ = ["default_solver", "make_solver", "tolerance"]

NUMBERS = {
    "first_step": "first_step",
    "safety": "safety",
    "ifactor": "max_factor",
    "dfactor": "min_factor",
    "min_step": "min_step",
    "max_step": "max_step",
}
UNLIMITED = 2**31 - 1
MAX_CACHED_STEPS = 1000
ADAMS_ORDER = 4  # of the fixed-step Adams methods here; the lowest order in torchdiffeq


def make_solver(
    method: str | FixedGridODESolver | None,
    options: dict[str, Any],
    rtol: float | Sequence[float],
    atol: float | Sequence[float],
    grid: Callable[[Callable[..., Tensor] | None], Tensor],
    open_end: bool = False,
) -> Solver:
    """The solver described by torchdiffeq's method name and options.

    Args:
        grid: Maps the option `grid_constructor`, or None, to the times of all fixed steps.
        open_end: Whether the solve ends at other times than `grid`, so that fixed steps need a
            size.

    Raises:
        ValueError: An invalid method, value of an option, or combination of options.
    """
    if isinstance(method, FixedGridODESolver):
        steps = _fixed_steps(options, grid, open_end)
        return Solver(method.as_method(), rtol=rtol, atol=atol, **steps)
    name, fixed = method_of(method)
    assert isinstance(name, str)  # classes come as objects
    known = options_of(name, fixed)
    unused = {key: value for key, value in options.items() if key not in known}
    if unused:
        warnings.warn(
            f"method {method or 'dopri5'!r} does not use the options "
            f"{', '.join(map(repr, unused))}; it uses {', '.join(sorted(known))}",
            stacklevel=4,
        )
    options = {key: value for key, value in options.items() if key in known and value is not None}
    chosen: dict[str, Any] = {
        NUMBERS[key]: float(value) for key, value in options.items() if key in NUMBERS
    }
    if METHODS[name].family == "scipy":
        if method == "scipy_solver":
            name = _scipy_method(options.get("solver", "LSODA"))
        if name != "scipy_lsoda" and chosen.pop("min_step", 0.0) > 0:
            kind = options.get("solver")
            warnings.warn(f"SciPy's {kind} has no min_step, which is left out", stacklevel=4)
        return solver_of(name, rtol=rtol, atol=atol, max_steps=UNLIMITED, **chosen)
    if options.get("compile"):
        chosen["compile"] = True
    if "max_order" in options:
        name, limit = _adams(name, int(options["max_order"]))
        chosen |= limit
    if fixed:
        chosen |= _fixed_steps(options, grid, open_end)
        if METHODS[name].adaptive:
            chosen["controller"] = "none"
    else:
        chosen["max_steps"] = UNLIMITED
        if "max_num_steps" in options:
            chosen["max_steps_between_outputs"] = int(options["max_num_steps"])
        chosen["accept_min_step"] = chosen.get("min_step", 0.0) > 0
        for key in ("step_t", "jump_t"):
            if key in options:
                chosen[key] = tuple(torch.as_tensor(options[key]).double().reshape(-1).tolist())
    return solver_of(name, rtol=rtol, atol=atol, **chosen)


def default_solver(method: str | None, rtol: float, atol: float, *times: float) -> Solver:
    """`make_solver` without options; fixed steps end at `times`."""
    if len(times) == 2:
        return single_step(method, rtol, atol)
    return solver_for_grid(method, rtol, atol, *times)


@lru_cache(maxsize=64)
def single_step(method: str | None, rtol: float, atol: float) -> Solver:
    """The same for all pairs of times: programs take one step at a time, each of another size."""
    found = solver_for_grid(method, rtol, atol, 0.0, 1.0)
    return replace(found, step_t=(), num_steps=1)


@lru_cache(maxsize=64)
def solver_for_grid(method: str | None, rtol: float, atol: float, *times: float) -> Solver:
    """Fixed steps between all of `times`, or adaptive ones without any."""
    grid = torch.tensor(times, dtype=torch.float64, device="cpu")
    return make_solver(method, {}, rtol, atol, lambda _: grid)


@lru_cache(maxsize=64)
def cached_solver(name: str, **chosen: Any) -> Solver:
    """The solver, cached: programs solve many times with the same one, and validation is slow."""
    return Solver(name, **chosen)


def solver_of(name: str, **chosen: Any) -> Solver:
    """The solver, cached unless its steps take much memory."""
    if len(chosen.get("step_t", ())) > MAX_CACHED_STEPS:
        return Solver(name, **chosen)
    return cached_solver(name, **chosen)


def _fixed_steps(
    options: dict[str, Any], grid: Callable[[Callable[..., Tensor] | None], Tensor], open_end: bool
) -> dict[str, Any]:
    """Settings of the steps and of the interpolation between them."""
    step_size, constructor = options.get("step_size"), options.get("grid_constructor")
    interp = options.get("interp", "linear")
    if interp not in ("linear", "cubic"):
        raise ValueError(f"options['interp']={interp!r} must be linear or cubic")
    chosen: dict[str, Any] = {"interpolation": "linear" if interp == "linear" else "dense"}
    if options.get("perturb", False):
        chosen["perturb"] = True
    if step_size is not None and constructor is not None:
        raise ValueError("options step_size and grid_constructor are both set; set one of them")
    if open_end:
        if step_size is None:
            raise ArgumentError(
                "an event with a fixed-step method needs options['step_size']=<step in units of t>"
            )
        return chosen | {"step_size": float(step_size)}
    if step_size is not None:
        if not 0 < float(step_size) < math.inf:
            raise ValueError(f"options['step_size']={step_size!r} must be a number > 0")
        constructor = partial(equal_steps, float(step_size))
    times = grid(constructor).tolist()
    return chosen | {"step_t": tuple(times)}


def _scipy_method(kind: str) -> str:
    if kind not in SCIPY_SOLVERS:
        raise ValueError(f"options['solver']={kind!r} must be one of {', '.join(SCIPY_SOLVERS)}")
    return SCIPY_SOLVERS[kind]


def _adams(name: str, max_order: int) -> tuple[str, dict[str, int]]:
    """The method and its highest order; below 4, torchdiffeq's Adams methods are its `rk4`."""
    if name == "adams":
        return name, {"max_order": min(max_order, METHODS[name].order)}
    if max_order < ADAMS_ORDER:
        warnings.warn(f"options['max_order']={max_order} is below 4: rk4 is taken", stacklevel=5)
        return "rk38", {}
    return name, {}


def tolerance(name: str, value: Any, parts: Sequence[torch.Size], copies: int) -> Any:
    """A tolerance as a number, or one number for each part or each component of the state.

    Args:
        value: A number; a tensor that broadcasts to a state of one part; or a sequence with a
            number or a tensor for each part.
        parts: Shapes of the parts.
        copies: Real numbers per component, 2 for complex states.

    Raises:
        ArgumentError: A sequence of a wrong length, or a tensor of a wrong shape.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, np.ndarray | np.generic):
        value = torch.as_tensor(value)
    if isinstance(value, list | tuple) and len(parts) == 1 and len(value) > 1:
        value = torch.as_tensor(value, dtype=torch.float64)  # one for each component
    if isinstance(value, Tensor) and value.requires_grad:
        raise ArgumentError(f"{name} cannot require a gradient; pass {name}.detach()")
    if not isinstance(value, Tensor | list | tuple):
        if not isinstance(value, numbers.Real):
            raise ArgumentError(f"{name} must be a number, or several; found {value!r}")
        return float(value)
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value)
    pieces = [value] if isinstance(value, Tensor) and len(parts) == 1 else list(value)
    if len(pieces) != len(parts):
        raise ArgumentError(
            f"{name} has {len(pieces)} numbers for a state of {len(parts)} tensors; give one for "
            "each, or a single number"
        )
    each = [torch.as_tensor(piece, dtype=torch.float64) for piece in pieces]
    if all(piece.numel() == 1 for piece in each):
        return tuple(float(piece) for piece in each)
    try:
        spread = [piece.expand(shape) for piece, shape in zip(each, parts, strict=True)]
    except RuntimeError as error:
        raise ArgumentError(
            f"{name} must broadcast to the state; found shapes "
            f"{[tuple(piece.shape) for piece in each]} for {[tuple(shape) for shape in parts]}"
        ) from error
    flat = torch.cat([piece.reshape(-1) for piece in spread]).repeat_interleave(copies)
    return tuple(flat.tolist())
