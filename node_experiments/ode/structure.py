"""Structure of nested states, and of values that must have the same one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Size, Tensor
from torch.utils import _pytree as pytree

__all__ = ["Reader", "reader_of"]

Reader = Callable[[Any, list[Tensor]], None]
"""Appends the tensors of a value, in the order of those of the template, to a list."""


def reader_of(template: Any, place: str = "", first_axis: int = 0) -> Reader:
    """Reads the tensors of values that are arranged like a nested state.

    Tuples and lists are read by position, dicts by key, named tuples by name, so that the order
    of keys does not matter. A reader is called at every evaluation of a vector field: what can be
    looked at once is looked at here.

    Args:
        template: A tensor, or a nested tuple, list or dict of tensors.
        place: How the user writes where the template is in the whole, such as `['x'][0]`.
        first_axis: Axes of tensors to leave out of the comparison of shapes, from the front.

    Returns:
        A function that raises `ValueError` for a value that is arranged otherwise.
    """
    if isinstance(template, Tensor):
        return tensor_reader(template.shape[first_axis:], template.dtype, place, first_axis)
    if isinstance(template, dict):
        by_key = {
            key: reader_of(part, f"{place}[{key!r}]", first_axis) for key, part in template.items()
        }
        return dict_reader(by_key, place)
    names = getattr(template, "_fields", None)
    if isinstance(template, tuple | list):
        readers = [
            reader_of(part, f"{place}.{names[i]}" if names else f"{place}[{i}]", first_axis)
            for i, part in enumerate(template)
        ]
        return sequence_reader(readers, names, place)
    return node_reader(template, place, first_axis)


def tensor_reader(shape: Size, dtype: torch.dtype, place: str, first_axis: int) -> Reader:
    """Reads one tensor, whose dtype may be that of the template or one of half precision."""
    is_complex = dtype.is_complex
    # A state in half precision is added up in single precision.
    allowed = {dtype, torch.float16, torch.bfloat16, torch.promote_types(dtype, torch.float32)}

    def wanted() -> str:
        kind = "complex tensor" if is_complex else "tensor"
        return f"a {kind} of shape {tuple(shape)}{' for each sample' if first_axis else ''}"

    def read(value: Any, leaves: list[Tensor]) -> None:
        if not isinstance(value, Tensor):
            raise mismatch(place, wanted(), type(value).__name__)
        found = value.shape[first_axis:] if first_axis else value.shape
        if found != shape or value.is_complex() != is_complex:
            raise mismatch(place, wanted(), f"shape {tuple(found)}, {value.dtype}")
        if value.dtype not in allowed:
            raise mismatch(place, f"{wanted()}, {dtype}", f"{value.dtype}")
        leaves.append(value)

    return read


def dict_reader(by_key: dict[Any, Reader], place: str) -> Reader:
    """Reads a dict, in the order of the keys of the template."""
    readers = list(by_key.items())

    def read(value: Any, leaves: list[Tensor]) -> None:
        if not isinstance(value, dict) or value.keys() != by_key.keys():
            found = f"keys {list(value)}" if isinstance(value, dict) else type(value).__name__
            raise mismatch(place, f"a dict with keys {list(by_key)}", found)
        for key, part in readers:
            part(value[key], leaves)

    return read


def sequence_reader(readers: list[Reader], names: tuple[str, ...] | None, place: str) -> Reader:
    """Reads a tuple or list by position, or a named tuple by the names of the template."""
    count = len(readers)
    wanted = f"a tuple or list of length {count}"

    def read(value: Any, leaves: list[Tensor]) -> None:
        if not isinstance(value, tuple | list) or len(value) != count:
            found = f"length {len(value)}" if isinstance(value, tuple | list) else ""
            raise mismatch(place, wanted, found or type(value).__name__)
        if names is not None and (fields := getattr(value, "_fields", names)) != names:
            if set(fields) != set(names):
                raise mismatch(place, f"fields {names}", f"fields {fields}")
            value = [getattr(value, name) for name in names]
        for reader, part in zip(readers, value, strict=True):
            reader(part, leaves)

    return read


def node_reader(template: Any, place: str, first_axis: int) -> Reader:
    """Reads another kind of container, one that is registered with torch's pytrees."""
    parts, spec = pytree.tree_flatten(template)
    if len(parts) == 1 and parts[0] is template:
        raise ValueError(f"y0{place} must be a tensor, or a tuple, list or dict of tensors")
    readers = [reader_of(part, f"{place}[leaf {i}]", first_axis) for i, part in enumerate(parts)]

    def read(value: Any, leaves: list[Tensor]) -> None:
        found, found_spec = pytree.tree_flatten(value)
        if found_spec != spec:
            raise mismatch(place, f"a {type(template).__name__}", type(value).__name__)
        for reader, part in zip(readers, found, strict=True):
            reader(part, leaves)

    return read


def mismatch(place: str, wanted: str, found: str) -> ValueError:
    """The error for a derivative that is not arranged like its state."""
    return ValueError(
        f"the vector field must return a derivative that is structured like y0: derivative{place} "
        f"must be {wanted}; found {found}"
    )
