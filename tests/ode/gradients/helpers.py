"""What the tests of several gradient methods measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def largest_relative_difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest difference, relative to the largest entry of each tensor."""
    return max(
        ((a - b).abs().max() / b.abs().max()).item() for a, b in zip(found, expected, strict=True)
    )


def saved_bytes(make: Callable[[], Any]) -> int:
    """Bytes that autograd keeps for the backward pass, each storage counted once."""
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        # Alive until the bytes are counted, so that no address is given out twice.
        result = make()
    total = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del result
    return total
