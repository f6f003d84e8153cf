"""States of several tensors as one flat vector, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["FlatState"]


class FlatState:
    """Packs a nested state (tuple, list or dict of tensors) into one contiguous vector.

    A state that is a single tensor needs no packing and is passed through.

    Args:
        y0: The initial state.

    Raises:
        ValueError: A state without tensors, or of mixed dtypes or devices.
    """

    def __init__(self, y0: Any):
        leaves, self._spec = pytree.tree_flatten(y0)
        if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
            raise ValueError("y0 must be a tensor, or a tuple, list or dict of tensors")
        if any(
            leaf.dtype != leaves[0].dtype or leaf.device != leaves[0].device for leaf in leaves
        ):
            found = ", ".join(f"{leaf.dtype} on {leaf.device}" for leaf in leaves)
            raise ValueError(f"all tensors of y0 must have one dtype and device; found {found}")
        self._shapes = [leaf.shape for leaf in leaves]
        self._sizes = [leaf.numel() for leaf in leaves]
        self.is_single = isinstance(y0, Tensor)

    def pack(self, state: Any) -> Tensor:
        """A nested state as a vector of shape `(n,)`; a single tensor as it is."""
        if self.is_single:
            return state
        return torch.cat([leaf.reshape(-1) for leaf in pytree.tree_leaves(state)])

    def unpack(self, vector: Tensor) -> Any:
        """The inverse of `pack`; leading axes of `vector` are kept in front of each tensor."""
        if self.is_single:
            return vector
        lead = vector.shape[:-1]
        pieces = vector.split(self._sizes, dim=-1)
        leaves = [
            piece.reshape(*lead, *shape) for piece, shape in zip(pieces, self._shapes, strict=True)
        ]
        return pytree.tree_unflatten(leaves, self._spec)

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Tensor]:
        """`func` on nested states as a function on packed ones."""
        if self.is_single:
            return func
        return lambda t, y, *args: self.pack(func(t, self.unpack(y), *args))
