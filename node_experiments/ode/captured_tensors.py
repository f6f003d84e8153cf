"""Discovery of the tensors that a vector field reads besides its arguments.

Gradient methods that do not record the solver must know every tensor that needs a gradient.
Modules are found by inspecting the function; the graph of one evaluation verifies once that
nothing was missed. Anything that cannot be given a gradient is rejected: a gradient that is
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
from typing import Any, NamedTuple
from weakref import ProxyTypes, WeakKeyDictionary, ref

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = [
    "OPAQUE",
    "Reachable",
    "UnobservedTensors",
    "Weight",
    "constants_in",
    "find_parameters",
    "leaves_of",
    "own_saved_tensors",
    "reachable_from",
    "reject_captured",
    "weights_in",
]


BACKPROP = "use gradient='backprop' (any solver.method but 'adams' and those of SciPy)"


CAPTURED = (
    "the vector field reads a tensor that needs a gradient and was computed outside of it "
    "(by {}); pass it through args=(...) and as an argument of the vector field, detach it, or "
    f"{BACKPROP}"
)


UNDISCOVERED = (
    "the vector field reads a tensor that needs a gradient, and that was neither held by it nor "
    "read when the field was first solved with, at the start and the end; its gradient would be "
    "lost: pass it in parameters=[...], or through args=(...) and as an argument of the vector "
    f"field, or {BACKPROP}"
)


REUSED = (
    "the vector field reuses a tensor that needs a gradient from an earlier evaluation (it was "
    "computed by {}), so that its gradient would be lost; compute it in every evaluation, or "
    f"outside and pass it through args=(...), or {BACKPROP}"
)


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


@dataclass(frozen=True, slots=True)
class UnobservedTensors:
    """Tensors reachable from a function that it was not observed to read.

    Attributes:
        parameters: Leaves that need a gradient and appeared in the graph of no evaluation. They
            may be read at times between those that were evaluated.
        constants: Tensors that need no gradient.
    """

    parameters: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)
    constants: WeakTensorKeyDictionary = field(default_factory=WeakTensorKeyDictionary)


def find_parameters(
    func: Callable[..., Any],
    reachable: Reachable,
    evaluate: Callable[[float], tuple[Tensor, Sequence[Tensor]]],
    times: Sequence[float],
    differentiated: bool,
) -> tuple[tuple[Tensor, ...], UnobservedTensors]:
    """Find the tensors that need a gradient and that `func` may read besides its arguments.

    Args:
        func: The vector field as the user gave it.
        reachable: The tensors and modules that it holds.
        evaluate: Evaluates it at a given time, with a graph; returns the derivative and the
            leaves created for its arguments, the state first. It is called on the first solve
            with a function, and on every solve if the function may read more than it visibly
            holds.
        times: Times of the evaluations: a function may read other tensors at other times.
        differentiated: Whether the state, the times or the arguments need a gradient.

    Returns:
        The tensors, and those among them that `func` was not observed to read.

    Raises:
        ValueError: `func` reads a tensor that needs a gradient and was computed outside of it, or
            in another evaluation.
    """
    modules, tensors = reachable.modules, reachable.tensors
    held = [*(p for module in modules for p in module.parameters()), *tensors]
    found = {id(p): p for p in held if p.requires_grad and p.is_leaf}
    if any(getattr(module, "_is_replica", False) for module in modules):
        raise ValueError(
            "the vector field is a replica that torch.nn.DataParallel made, whose parameters are "
            "copies; use DistributedDataParallel, or gradient='backprop'"
        )
    verified, mode = _verified(func, reachable)
    # A verified function may have been given another tensor since. A computed tensor must be
    # rejected if it is read; and if nothing needs a gradient, no backward pass would notice it.
    computed = [x for x in tensors if x.requires_grad and not x.is_leaf]
    if computed:
        recomputed = {id(weight) for weight in _recomputed(modules)}
        computed = [x for x in computed if id(x) not in recomputed]
        mode = (*mode, "computed")  # they may be read before they are computed again
    if mode in verified and (found or differentiated) and not computed:
        return tuple(found.values()), verified[mode]
    known = len(found)
    reached: set[int] = set()
    graphs: list[_Graph] = []
    # In anomaly mode, graph nodes record where they were created: nodes without that record are
    # older. (Sequence numbers would do, but they are counted per thread.)
    with _anomaly_mode(), own_saved_tensors():
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
    unobserved = UnobservedTensors()
    for key, leaf in found.items():
        if key not in reached:
            unobserved.parameters[leaf] = True
    if len(found) == known:
        verified[mode] = unobserved
    return tuple(found.values()), unobserved


ANOMALY_LOCK = threading.RLock()  # anomaly mode is global to the process


@contextmanager
def _anomaly_mode() -> Iterator[None]:
    with ANOMALY_LOCK, torch.autograd.set_detect_anomaly(True, check_nan=False):
        yield


def own_saved_tensors() -> AbstractContextManager[object]:
    """Context whose graphs keep their tensors, whatever hooks the caller has set.

    Hooks such as those of `torch.utils.checkpoint` compute everything again for each backward
    pass. That of an evaluation inside the solve follows at once, and may be one of many.
    """
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is None:
        return nullcontext()
    # An output that is saved as it is would keep its own graph alive forever.
    return torch.autograd.graph.saved_tensors_hooks(Tensor.detach, lambda x: x)


MAX_VERIFIED = 1000  # entries per function, each with other modules
_VERIFIED: WeakKeyDictionary[Any, dict[tuple, UnobservedTensors]] = WeakKeyDictionary()


def _verified(
    func: Callable[..., Any], reachable: Reachable
) -> tuple[dict[tuple, UnobservedTensors], tuple]:
    """What was found out about a function, by the objects that it holds, and its present key.

    A function that is recreated for every solve has the same code object; it counts as the same
    function if it also holds the same objects.
    """
    owner = func.__code__ if inspect.isfunction(func) else getattr(func, "__self__", func)
    of_modules = ((ref(module), module.training) for module in reachable.modules)
    key = (getattr(func, "__name__", ""), *map(id, reachable.codes), *of_modules)
    try:
        entries = _VERIFIED.setdefault(owner, {})
    except TypeError:  # it cannot be weakly referenced
        return {}, key
    if len(entries) == MAX_VERIFIED:
        entries.clear()
    return entries, key


def _recomputed(modules: Sequence[nn.Module]) -> list[Tensor]:
    """Weights that hooks of `weight_norm` and `spectral_norm` compute at every call."""
    return [
        getattr(part, hook.name)
        for module in modules
        for part in module.modules()
        for hook in part._forward_pre_hooks.values()
        if isinstance(hook, WeightNorm | SpectralNorm)
    ]


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


class Weight(NamedTuple):
    """A parameter of a module, and where the module holds it.

    Attributes:
        holder: The module's parameters by name.
        name: The name of this one.
        tensor: The parameter.
    """

    holder: dict[str, nn.Parameter | None]
    name: str
    tensor: Tensor


def weights_in(reachable: Reachable) -> list[Weight]:
    """The parameters of the modules that a function holds, where they are at present."""
    parts = {part for module in reachable.modules for part in module.modules()}
    return [
        Weight(part._parameters, name, tensor)
        for part in parts
        for name, tensor in part._parameters.items()
        if tensor is not None
    ]


def leaves_of(results: Sequence[Tensor]) -> list[Tensor]:
    """The leaves of the graph that several tensors have together."""
    leaves = [x for x in results if x.is_leaf and x.requires_grad]
    queue: list[Any] = [x.grad_fn for x in results if x.grad_fn is not None]
    seen = set(queue)
    while queue:
        for node, _ in queue.pop().next_functions:
            if node is None or node in seen:
                continue
            seen.add(node)
            if type(node) is AccumulateGrad:
                leaves.append(node.variable)
            else:
                queue.append(node)
    return leaves


AccumulateGrad = torch._C._functions.AccumulateGrad  # the node of a leaf


def reject_captured(leaves: Sequence[Tensor], again: Sequence[Tensor]) -> None:
    """Reject leaves of an evaluation that the function did not create itself.

    A function may have been verified before it was given a tensor that needs a gradient.

    Args:
        leaves: Leaves that are not known.
        again: The results of the same evaluation, computed once more.

    Raises:
        ValueError: The gradient of a leaf would be lost.
    """
    if _captured(leaves, *again):
        raise ValueError(UNDISCOVERED)


def _captured(leaves: Sequence[Tensor], *again: Tensor) -> list[Tensor]:
    """Return those of `leaves` that another evaluation reads as well.

    A leaf that the function creates itself, to differentiate internally, is new each time.
    """
    found = {id(leaf) for leaf in leaves_of(again)}
    return [leaf for leaf in leaves if id(leaf) in found]


class _Graph:
    """The autograd graph of one or more outputs.

    Attributes:
        leaves: Its leaf tensors.
        nodes: Its operations, the last one first.

    Args:
        reject_older: Whether to reject a graph that leads into an older one; the graph must have
            been built in anomaly mode.

    Raises:
        ValueError: The graph leads into an older one.
    """

    def __init__(self, *outputs: Tensor, reject_older: bool = False):
        self.leaves = [x for x in outputs if x.is_leaf and x.requires_grad]
        self.nodes: dict[Any, None] = {}
        queue: list[Any] = [x.grad_fn for x in outputs if x.grad_fn is not None]
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
        """Reject this graph if it shares an operation with the graph of another evaluation.

        Raises:
            ValueError: It does; the message names the operation.
        """
        made_before = {node for other in others for node in other.nodes}
        for node in self.nodes:
            if node in made_before:
                raise ValueError(REUSED.format(node.name()))
