"""Packing of nested states into one flat tensor, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from .structure import Reader, reader_of
from .vector_field import graph_position, without_old_graph

__all__ = ["FlatArguments", "FlatState", "SampleState"]

HALVES = {
    torch.float16: torch.float16,
    torch.bfloat16: torch.bfloat16,
    torch.complex32: torch.float16,
}


class FlatState:
    """Packs a nested state (tuple, list or dict of tensors) into one contiguous vector.

    A state that is a single real tensor needs no packing. One that is stored in another order
    than that of its axes (transposed, or with channels last) is solved in its memory order, and
    the vector field receives states with the memory layout of y0. Complex numbers become pairs of
    real ones, and half precision is solved in single precision, because rounding would lose the
    increments of steps; the vector field receives states in the dtype of y0.

    Attributes:
        sizes: Number of real components of each tensor.
        is_single: Whether the state is one real tensor.
        is_complex: Whether it has complex numbers, which are packed as pairs of real ones.
        is_packed: Whether the state is solved as it is, without conversion.
        resolution: Relative precision of the states that the vector field receives, if that is
            coarser than the precision of the solve; else 0.

    Args:
        y0: The initial state.
        keeps_layout: Whether a single tensor is solved in its memory order, and not in the order
            of its axes.

    Raises:
        ValueError: The state has no tensors, mixed dtypes or devices, or sparse or nested tensors.
    """

    def __init__(self, y0: Any, keeps_layout: bool = True):
        self._is_complex, self._order = False, None
        self.is_single = isinstance(y0, Tensor) and not y0.is_complex()
        if self.is_single:
            if y0.layout is not torch.strided or y0.is_nested:
                raise not_dense(y0)
            self._order = order_in_memory(y0) if keeps_layout else None
            self.sizes: tuple[int, ...] = (y0.numel(),)
        else:
            self._flatten(y0)
        dtype = y0.dtype if self.is_single else self._dtype
        # The dtype of its real numbers if that is of half precision, else None.
        self._half = HALVES.get(dtype)
        self.resolution = 0.0 if self._half is None else torch.finfo(self._half).eps
        self.is_complex = self._is_complex
        self.is_packed = self.is_single and self._order is None and self._half is None

    def _flatten(self, y0: Any) -> None:
        leaves, spec = pytree.tree_flatten(y0)
        if not leaves or not all(isinstance(leaf, Tensor) for leaf in leaves):
            raise ValueError("y0 must be a tensor, or a tuple, list or dict of tensors")
        for leaf in leaves:
            if leaf.layout is not torch.strided or leaf.is_nested:
                raise not_dense(leaf)
        if any(
            leaf.dtype != leaves[0].dtype or leaf.device != leaves[0].device for leaf in leaves
        ):
            found = ", ".join(f"{leaf.dtype} on {leaf.device}" for leaf in leaves)
            raise ValueError(f"all tensors of y0 must have one dtype and device; found {found}")
        # The usual tuple of tensors is rebuilt without traversing its structure.
        plain = type(y0) is tuple and all(isinstance(part, Tensor) for part in y0)
        self._arrange = tuple if plain else partial(pytree.tree_unflatten, treespec=spec)
        self._read = self._reader(y0, leaves)
        self._shapes = [leaf.shape for leaf in leaves]
        self._dtype, self._is_complex = leaves[0].dtype, leaves[0].is_complex()
        self.sizes = tuple(leaf.numel() * (1 + self._is_complex) for leaf in leaves)

    def _reader(self, y0: Any, leaves: list[Tensor]) -> Reader:
        return reader_of(y0)

    def __getstate__(self) -> dict[str, Any]:
        """State for pickling, without the reader: `unpack` does not need it."""
        return {name: value for name, value in vars(self).items() if name != "_read"}

    def _real_leaves(self, state: Any) -> list[Tensor]:
        leaves: list[Tensor] = []
        self._read(state, leaves)
        if self._is_complex:
            return [torch.view_as_real(leaf.resolve_conj()) for leaf in leaves]
        return leaves

    def pack(self, state: Any) -> Tensor:
        """Pack a nested state into a vector of shape `(n,)`, or a single tensor in memory order.

        The result has at least single precision.

        Raises:
            ValueError: The state is not structured like y0.
        """
        if self.is_single:
            packed = state if self._order is None else state.permute(self._order)
        else:
            packed = torch.cat([leaf.reshape(-1) for leaf in self._real_leaves(state)])
        return packed if self._half is None else packed.float()

    def unpack(self, vector: Tensor, separately: bool = False) -> Any:
        """The inverse of `pack`; leading axes of `vector` are kept in front of each tensor.

        Args:
            separately: Whether each tensor is a view for itself, which autograd then lets a user
                change in place.
        """
        if self.is_packed:
            return vector
        if self._half is not None:
            vector = vector.to(self._half)
        if self.is_single and self._order is None:
            return vector
        if self._order is not None:
            first = vector.dim() - len(self._order)
            axes = [first + self._order.index(axis) for axis in range(len(self._order))]
            return vector.permute(*range(first), *axes)
        lead = vector.shape[:-1]
        leaves = []
        # `split` would cost another Python call.
        pieces: Sequence[Tensor] = vector.split_with_sizes(self.sizes, -1)
        if separately:
            ends = accumulate(self.sizes)
            pieces = [
                vector.narrow(-1, end - n, n) for end, n in zip(ends, self.sizes, strict=True)
            ]
        for piece, shape in zip(pieces, self._shapes, strict=True):
            if self._is_complex:
                pairs = piece.reshape((*lead, *shape, 2)).contiguous()
                leaves.append(torch.view_as_complex(pairs))
            else:
                leaves.append(piece.reshape(lead + shape))
        return self._arrange(leaves)

    def unpack_outputs(self, ys: Tensor) -> Any:
        """Unpack outputs, `(time, *packed)`, to tensors that can be changed in place.

        A single tensor is contiguous.
        """
        if ys._is_view() and ys.requires_grad:
            ys = ys.clone()  # a view that a custom function returns cannot be changed in place
        if self.is_packed:
            return ys
        if self.is_single:
            return self.unpack(ys).contiguous()
        return self.unpack(ys, separately=True)

    def time(self, t: Tensor) -> Tensor:
        """Convert a time to the dtype in which the vector field receives the state."""
        return t if self._half is None else t.to(self._half)

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Tensor]:
        """Convert a function of nested states to one of packed states."""
        if self.is_packed:
            return func

        def packed(t: Tensor, y: Tensor, *args: Any) -> Tensor:
            position = graph_position()
            derivative = func(self.time(t), self.unpack(y), *args)
            if self.is_single:
                return self.pack(derivative)
            leaves = self._real_leaves(derivative)
            if y.is_leaf and y.requires_grad:
                leaves = [without_old_graph(leaf, position) for leaf in leaves]
            return torch.cat([leaf.reshape(-1) for leaf in leaves])

        return packed


class SampleState(FlatState):
    """Packs a nested state into one tensor `(batch, n)`, the samples along its first axis.

    An evaluation may contain only some of the samples of y0. A single real tensor needs no packing
    and keeps its shape.

    Attributes:
        sizes: Number of real components of one sample in each tensor.

    Raises:
        ValueError: Also if the tensors do not have a common first axis of samples.
    """

    def __init__(self, y0: Any):
        super().__init__(y0, keeps_layout=False)
        if self.is_single:
            self._look_at_batch([y0])
        else:
            self._shapes = [shape[1:] for shape in self._shapes]
        self.sizes = tuple(size // max(self._batch, 1) for size in self.sizes)

    def _reader(self, y0: Any, leaves: list[Tensor]) -> Reader:
        self._look_at_batch(leaves)
        return reader_of(y0, skip_axes=1)

    def _look_at_batch(self, leaves: list[Tensor]) -> None:
        if len({leaf.shape[:1] for leaf in leaves}) > 1 or leaves[0].dim() == 0:
            found = ", ".join(str(tuple(leaf.shape)) for leaf in leaves)
            raise ValueError(
                "solver.batching='independent' needs the samples along the first axis of every "
                f"tensor of y0, of one size; found shapes {found}; use batching='joint'"
            )
        self._batch = len(leaves[0])
        self._axes = max(leaf.dim() for leaf in leaves)

    def pack(self, state: Any) -> Tensor:
        """Pack a nested state into a tensor `(batch, n)`; a single real one keeps its shape."""
        if self.is_single:
            return super().pack(state)
        leaves = self._real_leaves(state)
        if any(len(leaf) != len(leaves[0]) for leaf in leaves):
            found = ", ".join(str(len(leaf)) for leaf in leaves)
            raise ValueError(
                f"the vector field must return as many samples in every tensor; found {found}"
            )
        packed = torch.cat([leaf.reshape(len(leaf), -1) for leaf in leaves], dim=1)
        return packed if self._half is None else packed.float()

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Tensor]:
        """Convert a function of nested states to one of packed states.

        Its times get as many axes as the tensor of y0 with the most, so that they broadcast.
        """
        if self.is_packed:
            return func
        axes = 1 if self.is_single else self._axes

        def packed(t: Tensor, y: Tensor, *args: Any) -> Tensor:
            times = self.time(t) if self.is_single else self.time(t).view(-1, *[1] * (axes - 1))
            return self.pack(func(times, self.unpack(y), *args))

        return packed


def not_dense(leaf: Tensor) -> ValueError:
    """The error about a state that is sparse or nested."""
    found = "a nested tensor" if leaf.is_nested else f"the layout {leaf.layout}"
    return ValueError(
        f"y0 must consist of dense tensors; found {found}; use y0.to_dense() and keep sparse "
        "matrices in the vector field, or pad samples of different sizes"
    )


def order_in_memory(x: Tensor) -> list[int] | None:
    """The order of a tensor's axes in which it is contiguous; None if it already is.

    None also for a tensor with gaps or repetitions in memory, which has no such order.
    """
    if x.is_contiguous():
        return None
    order = sorted(range(x.dim()), key=lambda axis: (x.stride(axis), x.shape[axis]), reverse=True)
    return order if x.permute(order).is_contiguous() else None


class FlatArguments:
    """Nested arguments as a flat tuple, so that gradients flow into every tensor among them.

    Attributes:
        leaves: The entries of the tuples, lists and dicts in `args`.
    """

    def __init__(self, args: tuple):
        self.leaves = args
        self._is_flat = len(args) == 0
        if len(args) > 0:
            leaves, self._spec = pytree.tree_flatten(args)
            self.leaves = tuple(leaves)
            # Compare each leaf: an argument may also be a container that is registered as a tree.
            self._is_flat = len(leaves) == len(args) and all(
                leaf is arg for leaf, arg in zip(leaves, args, strict=True)
            )

    def wrap(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Convert a function of (t, y, *args) to one of (t, y, *leaves)."""
        if self._is_flat:
            return func
        return lambda t, y, *leaves: func(t, y, *pytree.tree_unflatten(leaves, self._spec))
