"""Tensors of constants, made once and kept between solves."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["Kept"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(dict[K, V]):
    """What a function makes of a key, kept for the next time.

    While a program is exported, new tensors have no values, and those of inference mode may not
    enter a graph: what is made then is not kept for other solves.

        >>> ones = Kept(torch.ones)
        >>> with torch.inference_mode():
        ...     ones[2].is_inference(), len(ones)
        (True, 0)
        >>> ones[2] is ones[2]
        True
    """

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        made = self._make(key)
        new = torch.empty(0, device="cpu")
        if type(new) is Tensor and not new.is_inference():
            self[key] = made
        return made
