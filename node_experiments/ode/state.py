"""States of several tensors as one flat vector, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["FlatArguments", "FlatState"]


class FlatState:
    """Packs a nested state (tuple, list or dict of tensors) into one contiguous vector.

    A state that is a single real tensor needs no packing and is passed through. Complex numbers
    become pairs of real ones.

    Attributes:
        sizes: Number of real components of each tensor.

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
        self._is_complex = leaves[0].is_complex()
        self.sizes = tuple(leaf.numel() * (1 + self._is_complex) for leaf in leaves)
        self.is_single = isinstance(y0, Tensor) and not self._is_complex

    def pack(self, state: Any) -> Tensor:
        """A nested state as a vector of shape `(n,)`; a single tensor as it is."""
        if self.is_single:
            return state
        leaves = pytree.tree_leaves(state)
        if self._is_complex:
            leaves = [torch.view_as_real(leaf.resolve_conj()) for leaf in leaves]
        return torch.cat([leaf.reshape(-1) for leaf in leaves])

    def unpack(self, vector: Tensor) -> Any:
        """The inverse of `pack`; leading axes of `vector` are kept in front of each tensor."""
        if self.is_single:
            return vector
        lead = vector.shape[:-1]
        leaves = []
        for piece, shape in zip(vector.split(self.sizes, dim=-1), self._shapes, strict=True):
            if self._is_complex:
                pairs = piece.reshape((*lead, *shape, 2)).contiguous()
                leaves.append(torch.view_as_complex(pairs))
            else:
                leaves.append(piece.reshape((*lead, *shape)))
        return pytree.tree_unflatten(leaves, self._spec)

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Tensor]:
        """`func` on nested states as a function on packed ones."""
        if self.is_single:
            return func
        return lambda t, y, *args: self.pack(func(t, self.unpack(y), *args))


class FlatArguments:
    """Nested arguments as a flat tuple, so that gradients flow into every tensor among them.

    Attributes:
        leaves: What is in the tuples, lists and dicts of `args`.
    """

    def __init__(self, args: tuple):
        leaves, self._spec = pytree.tree_flatten(args)
        self.leaves = tuple(leaves)
        self._is_flat = not any(isinstance(arg, tuple | list | dict) for arg in args)

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """A function of (t, y, *args) as one of (t, y, *leaves)."""
        if self._is_flat:
            return func
        return lambda t, y, *leaves: func(t, y, *pytree.tree_unflatten(leaves, self._spec))
