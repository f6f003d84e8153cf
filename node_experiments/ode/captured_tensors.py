"""Discovery of the tensors that a vector field reads besides its arguments.

Gradient methods that do not record the solver must know every tensor that needs a gradient.
Modules are found by looking at the function; that nothing was missed is verified once, on the
graph of one evaluation. Whatever cannot be given a gradient is rejected: a gradient that is
silently zero is the costliest of errors.
"""

from __future__ import annotations

import dis
import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = [
    "OPAQUE",
    "Holdings",
    "Unread",
    "constants_in",
    "find_parameters",
    "holdings_of",
    "reject_unknown",
]


CAPTURED = (
    "the vector field reads a tensor that needs a gradient and was computed outside of it "
    "(by {}); pass it through args=(...) and as an argument of the vector field, detach it, or "
    "take gradient='backprop'"
)


OUT_OF_SIGHT = (
    "the vector field reads a tensor that needs a gradient, and that was neither held by it nor "
    "read at the start and the end; its gradient would be lost: pass it in parameters=[...], or "
    "through args=(...) and as an argument of the vector field, or take gradient='backprop'"
)


KEPT = (
    "the vector field keeps a tensor that needs a gradient from one evaluation for others (it was "
    "computed by {}), so that its gradient would be lost; compute it in every evaluation, or "
    "outside and pass it through args=(...), or take gradient='backprop'"
)


@dataclass(frozen=True, slots=True)
class Holdings:
    """The modules and tensors within reach of a function, each once; see `holdings_of`.

    It may read a few of them only: a method reaches whatever its object holds.

    Attributes:
        modules: What it is, belongs to or holds, in containers, attributes and other functions.
        tensors: Likewise, of those that belong to no module.
        codes: The code of it, and of the functions that it holds.
    """

    modules: list[nn.Module] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    codes: list[CodeType] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unread:
    """Tensors within reach of a function that it was not seen to read.

    Attributes:
        parameters: Leaves that need a gradient and were in the graph of no evaluation. They may
            be read between the times that were looked at.
        constants: Tensors that need no gradient.
    """

    parameters: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)
    constants: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)


def constants_in(holdings: Holdings) -> list[Tensor]:
    """Tensors that a function holds, directly or in its modules, and that need no gradient."""
    tensors = list(holdings.tensors)
    for module in holdings.modules:
        tensors += [*module.parameters(), *module.buffers()]
    return list({id(x): x for x in tensors if not x.requires_grad}.values())


def find_parameters(
    func: Callable[..., Any],
    holdings: Holdings,
    evaluate: Callable[[float], tuple[Tensor, Sequence[Tensor]]],
    times: Sequence[float],
) -> tuple[tuple[Tensor, ...], Unread]:
    """Tensors that need a gradient and that `func` may read beside its arguments.

    Args:
        func: The vector field as the user gave it.
        holdings: What it holds.
        evaluate: Evaluates it once at a time, with a graph; returns the derivative and the leaves
            that were made for its arguments, of which the first is the state. It is called on the
            first solve with a function, and always when what the function is seen to hold may
            not be all that it reads.
        times: Where to evaluate: a function may read other tensors at other times.

    Returns:
        The tensors, and which of them it was not seen to read.

    Raises:
        ValueError: `func` reads a tensor that needs a gradient and was computed outside of it, or
            in another evaluation.
    """
    modules, tensors = holdings.modules, holdings.tensors
    held = [*(p for module in modules for p in module.parameters()), *tensors]
    found = {id(p): p for p in held if p.requires_grad and p.is_leaf}
    if any(getattr(module, "_is_replica", False) for module in modules):
        raise ValueError(
            "the vector field is a replica that torch.nn.DataParallel made, whose parameters are "
            "copies; take DistributedDataParallel, or gradient='backprop'"
        )
    # A function that is made again for every solve has the same code, and is the same one where
    # what it holds is the same.
    owner = func.__code__ if inspect.isfunction(func) else getattr(func, "__self__", func)
    of_modules = ((ref(module), module.training) for module in modules)
    mode = (getattr(func, "__name__", ""), *map(id, holdings.codes), *of_modules)
    verified = _verified(owner)
    # A function that was verified may have been given a tensor since. One that was computed is
    # rejected if it is read; and where nothing needs a gradient no backward pass notices others.
    computed = any(x.requires_grad and not x.is_leaf for x in tensors)
    if mode in verified and found and not computed:
        return tuple(found.values()), verified[mode]
    known = len(found)
    reached: set[int] = set()
    graphs: list[_Graph] = []
    # In this mode, nodes of a graph remember where they were made: those without a memory were
    # made before. (Their sequence numbers would do, were they not counted by thread.)
    # The caller's saved-tensor hooks must not see this evaluation: its tensors are freed at once.
    with _anomaly_mode(), _own_saved_tensors():
        for t in times:
            derivative, arguments = evaluate(t)
            graph = _Graph(derivative, reject_older=True)
            graph.reject_shared(graphs)
            graphs.append(graph)
            own = {id(leaf) for leaf in arguments} | found.keys()
            read = [leaf for leaf in graph.leaves if id(leaf) not in own]
            if read:
                read = _captured(read, evaluate(t)[0])
            found |= {id(leaf): leaf for leaf in read}
            reached |= {id(leaf) for leaf in graph.leaves}
    unread = Unread()
    for key, leaf in found.items():
        if key not in reached:
            unread.parameters[leaf] = True
    if len(found) == known:
        if len(verified) == MOST_VERIFIED:
            verified.clear()
        verified[mode] = unread
    return tuple(found.values()), unread


ONE_THREAD = threading.RLock()  # anomaly mode is that of the process


@contextmanager
def _anomaly_mode() -> Iterator[None]:
    with ONE_THREAD, torch.autograd.set_detect_anomaly(True, check_nan=False):
        yield


def _own_saved_tensors() -> AbstractContextManager[object]:
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is None:
        return nullcontext()
    # An output that is kept as it is would hold its own graph for ever.
    return torch.autograd.graph.saved_tensors_hooks(Tensor.detach, lambda x: x)


MOST_VERIFIED = 1000  # of one function, with different modules
_VERIFIED: WeakKeyDictionary[Any, dict[tuple, Unread]] = WeakKeyDictionary()


def _verified(owner: Any) -> dict[tuple, Unread]:
    try:
        return _VERIFIED.setdefault(owner, {})
    except TypeError:  # no weak references to it
        return {}


def holdings_of(func: Any) -> Holdings:
    """The modules, tensors and code within reach of a function."""
    found = Holdings()
    _reach(func, DEEPEST, set(), found)
    return found


def _reach(value: Any, depth: int, seen: set[int], found: Holdings) -> None:
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
    for held in _held_by(value):
        inside = isinstance(held, HOLDERS) or inspect.isroutine(held)
        if inside or (not isinstance(held, OPAQUE) and _attributes(held)):
            _reach(held, depth - 1, seen, found)


HOLDERS = (Tensor, nn.Module, functools.partial, list, tuple, dict, set, frozenset)
OPAQUE = (str, bytes, int, float, complex, type(None), type, ModuleType)
MODULE_FIELDS = frozenset(vars(nn.Module()))
LONGEST_CONTAINER = 1000  # a longer one holds data
DEEPEST = 5  # from the function to a tensor: an object in a list, a list in that, say


def _attributes(value: Any) -> list[Any]:
    """The attributes of an object; of one of torch's, such as an optimiser, none."""
    if type(value).__module__.partition(".")[0] == "torch":
        return []
    own = list(getattr(value, "__dict__", {}).values())
    slots = (getattr(kind, "__slots__", ()) for kind in type(value).__mro__)
    names = [name for each in slots for name in ([each] if isinstance(each, str) else each)]
    return [*own, *(getattr(value, name) for name in names if hasattr(value, name))]


def _held_by(value: Any) -> Sequence[Any]:
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
        return list(value.values()) if len(value) <= LONGEST_CONTAINER else ()
    if isinstance(value, list | tuple | set | frozenset):
        return list(value) if len(value) <= LONGEST_CONTAINER else ()
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if inspect.ismethod(value):
        function = value.__func__
        held = _held_by_function(function) if inspect.isfunction(function) else [function]
        return [value.__self__, *held]
    if inspect.isfunction(value):
        return _held_by_function(value)
    if inspect.isroutine(value):
        return [getattr(value, "__self__", None)]
    return _attributes(value)


def _held_by_function(function: FunctionType) -> list[Any]:
    """The values of a function's free and global variables, and its defaults."""
    held: list[Any] = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a variable without a value
            held.append(cell.cell_contents)
    variables = function.__globals__
    held += [variables[name] for name in _globals_of(function.__code__) if name in variables]
    return [*held, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]


@functools.lru_cache(maxsize=10_000)
def _globals_of(code: CodeType) -> tuple[str, ...]:
    """The names of global variables that a code reads, also in functions inside of it.

    Not those of attributes, as `inspect.getclosurevars` has them.
    """
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    inner = (_globals_of(part) for part in code.co_consts if isinstance(part, CodeType))
    return tuple(sorted(names.union(*inner)))


def reject_unknown(
    derivative: Tensor, known: Sequence[Tensor], evaluate: Callable[[], Tensor]
) -> None:
    """Reject a graph that ends in other leaves than the known ones.

    A function may have been verified before it was given a tensor that needs a gradient.

    Args:
        evaluate: Evaluates the function once more, with a graph.

    Raises:
        ValueError: The gradient of a leaf would be lost.
    """
    ids = {id(leaf) for leaf in known}
    unknown = [leaf for leaf in _Graph(derivative).leaves if id(leaf) not in ids]
    if unknown and _captured(unknown, evaluate()):
        raise ValueError(OUT_OF_SIGHT)


def _captured(leaves: Sequence[Tensor], derivative: Tensor) -> list[Tensor]:
    """Those of `leaves` that another evaluation reads as well.

    A leaf that the function makes for itself, to differentiate inside, is another one each time.
    """
    again = {id(leaf) for leaf in _Graph(derivative).leaves}
    return [leaf for leaf in leaves if id(leaf) in again]


class _Graph:
    """The graph of an output.

    Attributes:
        leaves: The tensors that it starts from.
        nodes: Its operations, the last one first.

    Args:
        reject_older: It was made in anomaly mode and may not lead into an older one.

    Raises:
        ValueError: It does.
    """

    def __init__(self, output: Tensor, reject_older: bool = False):
        self.leaves: list[Tensor] = []
        self.nodes: dict[Any, None] = {}
        queue: list[Any] = [] if output.grad_fn is None else [output.grad_fn]
        seen = set(queue)
        while queue:
            node = queue.pop()
            leaf = getattr(node, "variable", None)
            if leaf is not None:
                self.leaves.append(leaf)
                continue
            if reject_older and "traceback_" not in node.metadata:
                raise ValueError(CAPTURED.format(node.name()))
            self.nodes[node] = None
            for following, _ in node.next_functions:
                if following is not None and following not in seen:
                    seen.add(following)
                    queue.append(following)

    def reject_shared(self, others: Sequence[_Graph]) -> None:
        """Reject a part that another evaluation made.

        Raises:
            ValueError: With its operation.
        """
        made_before = {node for other in others for node in other.nodes}
        for node in self.nodes:
            if node in made_before:
                raise ValueError(KEPT.format(node.name()))
