"""Decision whether the steps of a solve can be compiled."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .capture import NotCaptured, TooManyShapes, capture
from .lowering import NoCompiler, lowering
from .stepper import Compilation

__all__ = ["compilation_of", "compiler_fault"]


def compilation_of(
    func: Any, function: Callable[..., Any], y: Tensor, args: tuple[Any, ...]
) -> Compilation | None:
    """Capture the vector field and choose its compiler; None, with a warning, if that fails.

    Args:
        func: The vector field as the user gave it.
        function: The same on packed states and flat arguments.

    Raises:
        ValueError: The vector field draws random numbers.
    """
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return None  # the solve itself is traced, or its operations transformed
    try:
        lower = lowering(y.device)
        return Compilation(capture(func, function, y, args), lower)
    except TooManyShapes as fault:
        warnings.warn(f"a solve is not compiled: {fault}", RuntimeWarning, stacklevel=2)
        return None
    except (NotCaptured, NoCompiler) as fault:
        what = "the vector field is not one graph: " if isinstance(fault, NotCaptured) else ""
        warnings.warn(f"nothing is compiled: {what}{fault}", RuntimeWarning, stacklevel=2)
        return None


def compiler_fault(device: torch.device) -> str | None:
    """Reason why nothing can be compiled for a device, or None."""
    try:
        lowering(device)
    except NoCompiler as fault:
        return str(fault)
    return None
