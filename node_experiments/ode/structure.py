"""Structure of nested states, and readers of values that must have the same structure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Size, Tensor
from torch.utils import _pytree as pytree

__all__ = ["Reader", "reader_of"]

Reader = Callable[[Any, list[Tensor]], None]
"""Appends the tensors of a value, in the order of those of the template, to a list."""


def reader_of(template: Any, path: str = "", skip_axes: int = 0) -> Reader:
    """Create a reader of values that are structured like a nested state.

    Tuples and lists are read by position, dicts by key, named tuples by name, so that the order
    of keys does not matter. A reader is called at every evaluation of a vector field: whatever
    can be determined once is determined here.

    Args:
        template: A tensor, or a nested tuple, list or dict of tensors.
        path: Path of the template in the whole state as the user writes it, such as `['x'][0]`.
        skip_axes: Number of leading axes of tensors to leave out of the comparison of shapes.

    Returns:
        A function that raises `ValueError` for a value that is structured otherwise.
    """
    if isinstance(template, Tensor):
        return tensor_reader(template.shape[skip_axes:], template.dtype, path, skip_axes)
    if isinstance(template, dict):
        by_key = {
            key: reader_of(part, f"{path}[{key!r}]", skip_axes) for key, part in template.items()
        }
        return dict_reader(by_key, path)
    names = getattr(template, "_fields", None)
    if isinstance(template, tuple | list):
        readers = [
            reader_of(part, f"{path}.{names[i]}" if names else f"{path}[{i}]", skip_axes)
            for i, part in enumerate(template)
        ]
        return sequence_reader(readers, names, path)
    return node_reader(template, path, skip_axes)


def tensor_reader(shape: Size, dtype: torch.dtype, path: str, skip_axes: int) -> Reader:
    """Create a reader of one tensor, of the dtype of the template or of half precision."""
    is_complex = dtype.is_complex
    # A state in half precision is added up in single precision.
    allowed = {dtype, torch.float16, torch.bfloat16, torch.promote_types(dtype, torch.float32)}

    def wanted() -> str:
        kind = "complex tensor" if is_complex else "tensor"
        return f"a {kind} of shape {tuple(shape)}{' for each sample' if skip_axes else ''}"

    def read(value: Any, leaves: list[Tensor]) -> None:
        if not isinstance(value, Tensor):
            raise mismatch(path, wanted(), type(value).__name__)
        found = value.shape[skip_axes:] if skip_axes else value.shape
        if found != shape or value.is_complex() != is_complex:
            raise mismatch(path, wanted(), f"shape {tuple(found)}, {value.dtype}")
        if value.dtype not in allowed:
            raise mismatch(path, f"{wanted()}, {dtype}", f"{value.dtype}")
        leaves.append(value)

    return read


def dict_reader(by_key: dict[Any, Reader], path: str) -> Reader:
    """Create a reader of a dict, in the order of the keys of the template."""
    readers = list(by_key.items())

    def read(value: Any, leaves: list[Tensor]) -> None:
        if not isinstance(value, dict) or value.keys() != by_key.keys():
            found = f"keys {list(value)}" if isinstance(value, dict) else type(value).__name__
            raise mismatch(path, f"a dict with keys {list(by_key)}", found)
        for key, part in readers:
            part(value[key], leaves)

    return read


def sequence_reader(readers: list[Reader], names: tuple[str, ...] | None, path: str) -> Reader:
    """Create a reader of a tuple or list by position, or of a named tuple by field names."""
    count = len(readers)
    wanted = f"a tuple or list of length {count}"

    def read(value: Any, leaves: list[Tensor]) -> None:
        if not isinstance(value, tuple | list) or len(value) != count:
            found = f"length {len(value)}" if isinstance(value, tuple | list) else ""
            raise mismatch(path, wanted, found or type(value).__name__)
        if names is not None and (fields := getattr(value, "_fields", names)) != names:
            if set(fields) != set(names):
                raise mismatch(path, f"fields {names}", f"fields {fields}")
            value = [getattr(value, name) for name in names]
        for reader, part in zip(readers, value, strict=True):
            reader(part, leaves)

    return read


def node_reader(template: Any, path: str, skip_axes: int) -> Reader:
    """Create a reader of another kind of container, registered with torch's pytrees."""
    parts, spec = pytree.tree_flatten(template)
    if len(parts) == 1 and parts[0] is template:
        raise ValueError(f"y0{path} must be a tensor, or a tuple, list or dict of tensors")
    readers = [reader_of(part, f"{path}[leaf {i}]", skip_axes) for i, part in enumerate(parts)]

    def read(value: Any, leaves: list[Tensor]) -> None:
        found, found_spec = pytree.tree_flatten(value)
        if found_spec != spec:
            raise mismatch(path, f"a {type(template).__name__}", type(value).__name__)
        for reader, part in zip(readers, found, strict=True):
            reader(part, leaves)

    return read


def mismatch(path: str, wanted: str, found: str) -> ValueError:
    """The error for a derivative that is not structured like its state."""
    return ValueError(
        f"the vector field must return a derivative that is structured like y0: derivative{path} "
        f"must be {wanted}; found {found}"
    )
