"""Detection of random draws in a solve; torch's generator is shared by all threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["draws_numbers", "report_late_draws"]


class Draws(TorchDispatchMode):
    """Records whether an operation of this thread draws random numbers."""

    seen = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen = self.seen or torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


def draws_numbers(evaluate: Callable[[], Any]) -> bool:
    """Whether an extra evaluation draws random numbers in this thread."""
    with torch.no_grad(), Draws() as draws:
        evaluate()
    return draws.seen


def report_late_draws() -> None:
    """Report that later evaluations of a solve drew random numbers although the first drew none.

    Raises:
        ValueError: No other thread is running, so the vector field drew them.
    """
    if threading.active_count() == 1:
        raise ValueError(
            "the vector field drew random numbers at some evaluations and none at the first, so "
            "that evaluations cannot be repeated; draw them at every evaluation, or before the "
            "solve"
        )
    warnings.warn(
        "random numbers were drawn during the solve, by another thread or by the vector field at "
        "some evaluations and not at the first; if by the vector field, draw them at every "
        "evaluation or before the solve, or evaluations cannot be repeated; if by another thread, "
        "give it a torch.Generator",
        stacklevel=4,
    )
