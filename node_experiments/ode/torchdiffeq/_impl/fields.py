"""The user's vector field, callbacks and norms in the form that `solve` takes."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ...norms import rms_norm
from ...vector_field import AdaptedField

__all__ = ["adapt_field", "callbacks", "flat", "norm_of", "promote_dtypes", "unflattened"]

CALLBACKS = ("callback_step", "callback_accept_step", "callback_reject_step")
Callback = Callable[[float, float, Any, bool], None]


def promote_dtypes(y0: Any) -> Any:
    """The state with all tensors converted to their common (promoted) dtype."""
    if isinstance(y0, Tensor):
        return y0
    leaves = [leaf for leaf in pytree.tree_leaves(y0) if isinstance(leaf, Tensor)]
    if len({leaf.dtype for leaf in leaves}) <= 1:
        return y0
    dtype = leaves[0].dtype
    for leaf in leaves[1:]:
        dtype = torch.promote_types(dtype, leaf.dtype)
    return pytree.tree_map_only(Tensor, lambda leaf: leaf.to(dtype), y0)


def flat(state: Any) -> Tensor:
    """A state as one tensor: a tensor unchanged, other structures flattened and concatenated."""
    if isinstance(state, Tensor):
        return state
    return torch.cat([leaf.reshape(-1) for leaf in pytree.tree_leaves(state)])


def unflattened(y: Tensor, like: Any) -> Any:
    """Flat states `(..., n)` in the structure of `like`, with parts of shapes `(..., *part)`."""
    if isinstance(like, Tensor):
        return y
    leaves, structure = pytree.tree_flatten(like)
    pieces = y.split([leaf.numel() for leaf in leaves], -1)
    parts = [p.reshape((*y.shape[:-1], *x.shape)) for p, x in zip(pieces, leaves, strict=True)]
    return pytree.tree_unflatten(parts, structure)


def adapt_field(func: Callable[..., Any], y0: Any, broadcasts: bool) -> AdaptedField:
    """The vector field, with derivatives made to fit the state where that loses nothing.

    They are converted to the dtype of the state. Parts of a tuple are reshaped to those of the
    state if they have as many elements, and so is a single tensor whose shape differs only by
    axes of length 1; a single tensor or a number is broadcast to it if `broadcasts`.
    """
    if isinstance(y0, Tensor):
        fit = _broadcast_like if broadcasts else _like

        def call(t: Tensor, y: Any) -> Any:
            return fit(func(t, y), y)

        return AdaptedField(call, func, fit)
    if type(y0) is tuple:

        def call(t: Tensor, y: Any) -> Any:
            return _parts_like(func(t, y), y)

    else:

        def call(t: Tensor, y: Any) -> Any:
            derivative = func(t, y)
            dtype = pytree.tree_leaves(y)[0].dtype
            return pytree.tree_map(lambda part: _converted(part, dtype), derivative)

    return AdaptedField(call, func)


def _like(derivative: Any, y: Tensor) -> Any:
    if not isinstance(derivative, Tensor):
        return derivative
    if derivative.dtype != y.dtype:
        derivative = _converted(derivative, y.dtype)
    if derivative.shape != y.shape and derivative.squeeze().shape == y.squeeze().shape:
        return derivative.reshape(y.shape)
    return derivative


def _broadcast_like(derivative: Any, y: Tensor) -> Any:
    if isinstance(derivative, numbers.Real):
        return torch.full_like(y, float(derivative))
    derivative = _like(derivative, y)
    if isinstance(derivative, Tensor) and derivative.shape != y.shape:
        try:
            return derivative.expand(y.shape)
        except RuntimeError:  # the solver reports the wrong shape
            return derivative
    return derivative


def _parts_like(derivative: Any, y: tuple[Tensor, ...]) -> Any:
    if not isinstance(derivative, Iterable):
        return derivative  # the solver reports what is wrong
    parts = tuple(derivative)
    if len(parts) != len(y):
        if not all(isinstance(part, Tensor) for part in parts):
            return parts
        joined = flat(parts)
        if joined.numel() != sum(leaf.numel() for leaf in y):
            return parts
        parts = unflattened(joined, y)
    return tuple(map(_part_like, parts, y))


def _part_like(part: Any, y: Tensor) -> Any:
    if not isinstance(part, Tensor) or part.numel() != y.numel():
        return part
    if part.dtype != y.dtype:
        part = _converted(part, y.dtype)
    return part if part.shape == y.shape else part.reshape(y.shape)


def _converted(x: Any, dtype: torch.dtype) -> Any:
    if not isinstance(x, Tensor) or (x.is_complex() and not dtype.is_complex):
        return x
    return x.to(dtype)


def norm_of(norm: Callable[[Any], Any] | None, y0: Any) -> Callable[[Any], Tensor] | None:
    """The error norm of a state; by default the largest of the norms of its tensors."""
    if norm is not None:
        return lambda state: torch.as_tensor(norm(state)).abs()
    return None if isinstance(y0, Tensor) else largest_rms


def largest_rms(state: Any) -> Tensor:
    """The largest root mean square of the tensors of a state, shape `()`."""
    leaves = [leaf for leaf in pytree.tree_leaves(state) if leaf.numel()]
    return torch.stack([rms_norm(leaf.reshape(-1)) for leaf in leaves]).max()


def callbacks(
    func: Callable[..., Any], method: str, supported: Sequence[str], dtype: torch.dtype
) -> Callback | None:
    """The callbacks of the vector field as one function of (t, h, state, accepted).

    Args:
        supported: Names of those that the method calls; there is a warning for others.
        dtype: Dtype of the times that they are called with.
    """
    functions = [getattr(func, name, None) for name in CALLBACKS]
    if not any(functions):
        return None
    found = dict(zip(CALLBACKS, functions, strict=True))
    unsupported = [name for name in CALLBACKS if found[name] and name not in supported]
    if unsupported:
        warnings.warn(f"method {method!r} does not call {', '.join(unsupported)}", stacklevel=4)
    return combine_callbacks(
        [found[name] if name in supported else None for name in CALLBACKS], dtype
    )


def combine_callbacks(
    functions: Sequence[Callable[..., Any] | None], dtype: torch.dtype
) -> Callback | None:
    """Functions in the order of `CALLBACKS` as one; None when there are none."""
    on_step, on_accept, on_reject = functions
    if on_step is None and on_accept is None and on_reject is None:
        return None

    def watch(t: float, h: float, y: Any, accepted: bool) -> None:
        device = pytree.tree_leaves(y)[0].device
        time, step = (torch.tensor(x, dtype=dtype, device=device) for x in (t, abs(h)))
        for callback in (on_step, on_accept if accepted else on_reject):
            if callback is not None:
                callback(time, y, step)

    return watch
