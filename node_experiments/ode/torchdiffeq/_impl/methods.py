"""torchdiffeq's method names, and the options that each method takes."""

from __future__ import annotations

import difflib

from ...methods.registry import METHODS
from .fixed_grid import RK4, Euler, Heun2, Heun3, Midpoint, RungeKutta
from .solvers import FixedGridODESolver

__all__ = ["SCIPY_SOLVERS", "SOLVERS", "method_of", "options_of"]

# torchdiffeq's names -> this package's, whose other methods keep their names. Programs add
# classes.
SOLVERS: dict[str, str | type[FixedGridODESolver]] = {
    "dopri8": "dopri8",
    "dopri5": "dopri5",
    "tsit5": "tsit5",
    "bosh3": "bosh3",
    "fehlberg2": "fehlberg2",
    "adaptive_heun": "adaptive_heun",
    "euler": Euler,
    "midpoint": Midpoint,
    "heun2": Heun2,
    "heun3": Heun3,
    "rk4": RK4,
    "explicit_adams": "adams_bashforth",
    "implicit_adams": "adams_moulton",
    "implicit_euler": "implicit_euler",
    "implicit_midpoint": "implicit_midpoint",
    "trapezoid": "trapezoid",
    "radauIIA3": "radauIIA3",
    "gl4": "gl4",
    "radauIIA5": "radauIIA5",
    "gl6": "gl6",
    "sdirk2": "sdirk2",
    "trbdf2": "trbdf2",
    "fixed_adams": "adams_moulton",
    "scipy_solver": "scipy_lsoda",
}
ADAPTIVE = {"dopri8", "dopri5", "tsit5", "bosh3", "fehlberg2", "adaptive_heun"}
SCIPY_SOLVERS = {
    "LSODA": "scipy_lsoda",
    "BDF": "scipy_bdf",
    "Radau": "scipy_radau",
    "RK45": "scipy_rk45",
    "RK23": "scipy_rk23",
    "DOP853": "scipy_dop853",
}

_ADAPTIVE_OPTIONS = {
    "first_step", "safety", "ifactor", "dfactor", "max_num_steps", "min_step", "max_step",
    "step_t", "jump_t", "dtype", "norm",
}  # fmt: skip
_FIXED_OPTIONS = {"step_size", "grid_constructor", "interp", "perturb", "norm"}
_SCIPY_OPTIONS = {"solver", "min_step", "max_step", "norm", "grid_points", "eps"}


def method_of(name: str | None) -> tuple[str | type[FixedGridODESolver], bool]:
    """The method for a name of torchdiffeq, and whether it takes fixed steps there.

    Returns:
        The name of a method of this package, or the class that a program gave this name.

    Raises:
        ValueError: An unknown name.
    """
    name = "dopri5" if name is None else name
    if name not in SOLVERS and name not in METHODS:
        allowed = list(dict.fromkeys([*SOLVERS, *METHODS]))
        near = difflib.get_close_matches(str(name), allowed)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(f"method={name!r} is unknown{hint} (allowed: {', '.join(allowed)})")
    method = SOLVERS.get(name, name)
    if not isinstance(method, str):
        if issubclass(method, RungeKutta) and RungeKutta in method.__bases__:
            return method.tableau.name, True
        return method, True
    if name in SOLVERS:
        return method, name not in ADAPTIVE and name != "scipy_solver"
    return method, not METHODS[method].adaptive


def options_of(method: str, fixed: bool) -> set[str]:
    """The options that are used with a method of this package."""
    family = METHODS[method].family
    if family == "scipy":
        return _SCIPY_OPTIONS
    options = _FIXED_OPTIONS if fixed else _ADAPTIVE_OPTIONS
    if family == "explicit":
        return options | {"compile"}  # this package's own
    if family == "multistep":
        return options | {"max_order", "max_iters"}
    return options | {"max_iters"} if family == "implicit" else options
