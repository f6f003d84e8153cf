"""Gradient methods, one per file; each file is imported when its method is first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import GRADIENTS, Gradient, gradient_class, make_gradient

if TYPE_CHECKING:
    from .adjoint import Adjoint
    from .backprop import Backprop
    from .checkpoint import Checkpoint
    from .discrete import Discrete
    from .interpolated import Interpolated
    from .reversible import Reversible

__all__ = [
    "GRADIENTS",
    "Adjoint",
    "Backprop",
    "Checkpoint",
    "Discrete",
    "Gradient",
    "Interpolated",
    "Reversible",
    "gradient_class",
    "make_gradient",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return gradient_class(name.lower())
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
