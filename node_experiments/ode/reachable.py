"""Modules, tensors and code that a Python function holds: directly, in closures or in objects."""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import ProxyTypes

from torch import Tensor, nn

__all__ = ["OPAQUE", "Reachable", "constants_in", "reachable_from"]


@dataclass(frozen=True, slots=True)
class Reachable:
    """Modules, tensors and code reachable from a function, each listed once; see `reachable_from`.

    The function may read only a few of them: a method reaches everything that its object holds.

    Attributes:
        modules: Modules that the function is, belongs to, or holds in containers, attributes and
            other functions.
        tensors: Tensors that it holds likewise and that belong to no module.
        codes: Code objects of the function and of the functions that it holds.
    """

    modules: list[nn.Module] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    codes: list[CodeType] = field(default_factory=list)


def reachable_from(func: Any) -> Reachable:
    """Collect the modules, tensors and code reachable from a function."""
    found = Reachable()
    _collect(func, MAX_DEPTH, set(), found)
    return found


def _collect(value: Any, depth: int, seen: set[int], found: Reachable) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        found.tensors.append(value)
    elif isinstance(value, nn.Module):
        found.modules.append(value)
    elif inspect.isfunction(value) or inspect.ismethod(value):
        found.codes.append(value.__code__)
    if depth == 0:
        return
    for held in _children(value):
        if type(held) in ProxyTypes:  # the object may no longer exist
            continue
        inside = isinstance(held, HOLDERS) or inspect.isroutine(held)
        if inside or (not isinstance(held, OPAQUE) and _attributes(held)):
            _collect(held, depth - 1, seen, found)


HOLDERS = (Tensor, nn.Module, functools.partial, list, tuple, dict, set, frozenset)
OPAQUE = (str, bytes, int, float, complex, type(None), type, ModuleType)
MODULE_FIELDS = frozenset(vars(nn.Module()))
MAX_CONTAINER_LENGTH = 1000  # longer ones are assumed to hold data
MAX_DEPTH = 5  # levels from the function to a tensor, such as a list in an object in a list


def _attributes(value: Any) -> list[Any]:
    """Attribute values of an object; none for torch's own objects, such as optimisers."""
    if type(value).__module__.partition(".")[0] == "torch":
        return []
    own = list(getattr(value, "__dict__", {}).values())
    slots = (getattr(kind, "__slots__", ()) for kind in type(value).__mro__)
    names = [name for each in slots for name in ([each] if isinstance(each, str) else each)]
    return [*own, *(getattr(value, name) for name in names if hasattr(value, name))]


def _children(value: Any) -> Sequence[Any]:
    """The values held by a function, a module's plain attributes, a container or an object."""
    if isinstance(value, Tensor):
        return ()
    if isinstance(value, nn.Module):
        return [
            held
            for part in value.modules()
            for name, held in vars(part).items()
            if name not in MODULE_FIELDS
        ]
    if isinstance(value, dict):
        return list(value.values()) if len(value) <= MAX_CONTAINER_LENGTH else ()
    if isinstance(value, list | tuple | set | frozenset):
        return list(value) if len(value) <= MAX_CONTAINER_LENGTH else ()
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if inspect.ismethod(value):
        function = value.__func__
        held = _children_of_function(function) if inspect.isfunction(function) else [function]
        return [value.__self__, *held]
    if inspect.isfunction(value):
        return _children_of_function(value)
    if inspect.isroutine(value):
        return [getattr(value, "__self__", None)]
    return _attributes(value)


def _children_of_function(function: FunctionType) -> list[Any]:
    """The values of a function's free and global variables, and its defaults."""
    held: list[Any] = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # an unassigned variable
            held.append(cell.cell_contents)
    variables = function.__globals__
    held += [variables[name] for name in _globals_of(function.__code__) if name in variables]
    return [*held, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


@functools.lru_cache(maxsize=10_000)
def _globals_of(code: CodeType) -> tuple[str, ...]:
    """Names of the global variables that a code object and its nested functions read.

    Unlike `inspect.getclosurevars`, this excludes the names of attributes.
    """
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = (_globals_of(part) for part in code.co_consts if isinstance(part, CodeType))
    return tuple(sorted(names.union(*inner)))


def constants_in(reachable: Reachable) -> list[Tensor]:
    """Return the tensors without gradient that a function holds, directly or in its modules."""
    tensors = list(reachable.tensors)
    for module in reachable.modules:
        tensors += [*module.parameters(), *module.buffers()]
    return list({id(x): x for x in tensors if not x.requires_grad}.values())
