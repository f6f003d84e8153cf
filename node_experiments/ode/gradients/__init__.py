"""Gradient methods, one file each."""

from __future__ import annotations

import difflib

from .adjoint import Adjoint
from .backprop import Backprop
from .base import Gradient
from .checkpoint import Checkpoint
from .compiled import compiled_gradient
from .discrete import Discrete
from .interpolated import Interpolated
from .reversible import Reversible

__all__ = [
    "DEFAULTS",
    "GRADIENTS",
    "Adjoint",
    "Backprop",
    "Checkpoint",
    "Discrete",
    "Gradient",
    "Interpolated",
    "Reversible",
    "compiled_gradient",
    "make_gradient",
]

GRADIENTS: dict[str, type[Gradient]] = {
    "adjoint": Adjoint,
    "backprop": Backprop,
    "checkpoint": Checkpoint,
    "discrete": Discrete,
    "interpolated": Interpolated,
    "reversible": Reversible,
}


DEFAULTS: dict[str, Gradient] = {name: kind() for name, kind in GRADIENTS.items()}


def make_gradient(gradient: Gradient | str) -> Gradient:
    """The gradient method of that name with its defaults, or the one that was given.

    Raises:
        ValueError: An unknown name.
    """
    if not isinstance(gradient, str):
        return gradient
    if gradient not in DEFAULTS:
        near = difflib.get_close_matches(gradient, DEFAULTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"gradient={gradient!r} is unknown; allowed: {', '.join(DEFAULTS)}{hint}")
    return DEFAULTS[gradient]
