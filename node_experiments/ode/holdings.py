"""What a function holds: the modules and tensors that it can read besides its arguments."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import CodeType, ModuleType
from typing import Any

from torch import Tensor, nn

__all__ = ["OPAQUE", "Holdings", "constants_in", "holdings_of"]

HOLDERS = (Tensor, nn.Module, functools.partial, list, tuple, dict, set, frozenset)
OPAQUE = (str, bytes, int, float, complex, type(None), type, ModuleType)
MODULE_FIELDS = frozenset(vars(nn.Module()))
LONGEST_CONTAINER = 1000  # a longer one holds data
DEEPEST = 5  # from the function to a tensor: an object in a list, a list in that, say


@dataclass(frozen=True, slots=True)
class Holdings:
    """The modules and tensors within reach of a function, each once; see `holdings_of`.

    Attributes:
        near: What it is, belongs to or holds, directly or in containers and modules.
        far: What the attributes of other objects are, of which it may read a few.
        codes: The code of it, and of the functions that it holds.
    """

    near: list[nn.Module | Tensor] = field(default_factory=list)
    far: list[nn.Module | Tensor] = field(default_factory=list)
    codes: list[CodeType] = field(default_factory=list)

    @property
    def modules(self) -> list[nn.Module]:
        """The modules among them."""
        return [value for value in (*self.near, *self.far) if isinstance(value, nn.Module)]

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors among them that belong to no module."""
        return [value for value in (*self.near, *self.far) if isinstance(value, Tensor)]


def constants_in(holdings: Holdings) -> list[Tensor]:
    """Tensors that a function holds, directly or in its modules, and that need no gradient.

    Those of other objects may be changed for reasons that are none of the function's.
    """
    tensors: list[Tensor] = []
    for value in holdings.near:
        if isinstance(value, nn.Module):
            tensors += [*value.parameters(), *value.buffers()]
        else:
            tensors.append(value)
    return [x for x in {id(x): x for x in tensors}.values() if not x.requires_grad]


def holdings_of(func: Any) -> Holdings:
    """What a function holds: itself, its owner, and what its closure and globals lead to."""
    found = Holdings()
    _reach(func, DEEPEST, set(), found, found.near)
    return found


def _reach(
    value: Any, depth: int, seen: set[int], found: Holdings, into: list[nn.Module | Tensor]
) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor | nn.Module):
        into.append(value)
    elif inspect.isfunction(value) or inspect.ismethod(value):
        found.codes.append(value.__code__)
    if depth == 0:
        return
    for held in _held_by(value):
        if isinstance(held, HOLDERS) or inspect.isroutine(held):
            _reach(held, depth - 1, seen, found, into)
        elif not isinstance(held, OPAQUE) and _attributes(held):
            _reach(held, depth - 1, seen, found, found.far)


def _attributes(value: Any) -> list[Any]:
    """The attributes of an object; of one of torch's, such as an optimiser, none."""
    if type(value).__module__.partition(".")[0] == "torch":
        return []
    own = list(getattr(value, "__dict__", {}).values())
    slots = (getattr(kind, "__slots__", ()) for kind in type(value).__mro__)
    names = [name for each in slots for name in ([each] if isinstance(each, str) else each)]
    return [*own, *(getattr(value, name) for name in names if hasattr(value, name))]


def _held_by(value: Any) -> Sequence[Any]:
    """What a function, a module's plain attributes, a container or an object holds."""
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
        return list(value.values()) if len(value) <= LONGEST_CONTAINER else ()
    if isinstance(value, list | tuple | set | frozenset):
        return list(value) if len(value) <= LONGEST_CONTAINER else ()
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if inspect.isfunction(value) or inspect.ismethod(value):
        found = inspect.getclosurevars(value)
        function = value.__func__ if inspect.ismethod(value) else value
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        owner = [value.__self__] if inspect.ismethod(value) else []
        return [*owner, *found.nonlocals.values(), *found.globals.values(), *defaults]
    if inspect.isroutine(value):
        return [getattr(value, "__self__", None)]
    return _attributes(value)
