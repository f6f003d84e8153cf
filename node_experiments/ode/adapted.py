"""A vector field behind another interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Adapted"]


@dataclass(frozen=True)
class Adapted:
    """What `call` reads is what `origin` reads, whose modules and tensors are looked for there.

    Attributes:
        call: A function of (t, y, *args) that calls `origin`.
        origin: The vector field as the user wrote it.
    """

    call: Callable[..., Any]
    origin: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        return self.call(*args)
