"""The vector field as a graph, and the tensors that it reads.

Once per solve, `torch.compile` is called with a backend that executes nothing. Its guards check
whether the vector field still is what was captured (attributes, closures, globals, layers, hooks,
modes, dtypes, devices, shapes, autocast, whether gradients are recorded), and capture it again if
it is not; the backend passes on the graph with the tensors that it reads *now*: weights, buffers,
variables of closures. All steps of the solve use that graph.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import FunctionType
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from ..vector_field import like_state
from .lowering import first_line, traced

__all__ = ["CapturedField", "FieldGraph", "NotCaptured", "TooManyShapes", "capture"]


class NotCaptured(Exception):
    """The vector field cannot be captured as one graph of tensor operations."""


class TooManyShapes(NotCaptured):
    """The vector field was captured for as many shapes of states as there may be."""


@dataclass(frozen=True, eq=False)
class FieldGraph:
    """The vector field as a function of tensors alone.

    Attributes:
        graph: Maps its inputs to the derivative.
        t_position, y_position: Positions of the time and the state among the inputs; None for one
            that it does not read.
        positions: Positions of the other inputs.
        compiled: Functions that were compiled from it, by function and shapes of their inputs.
    """

    graph: Callable[..., Any]
    t_position: int | None
    y_position: int | None
    positions: tuple[int, ...]
    compiled: dict[Hashable, Any] = field(default_factory=dict)

    def __call__(self, t: Tensor, y: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """The derivative at a 0-d time and a state, of the dtype of the state."""
        inputs = dict(zip(self.positions, tensors, strict=True))
        if self.t_position is not None:
            inputs[self.t_position] = t
        if self.y_position is not None:
            inputs[self.y_position] = y
        (derivative,) = self.graph(*(inputs[position] for position in range(len(inputs))))
        return derivative.to(y.dtype)


class CapturedField(NamedTuple):
    """A captured vector field with the tensors that it reads in one solve.

    Attributes:
        tensors: Those besides time and state: weights, arguments, variables of closures.
    """

    graph: FieldGraph
    tensors: tuple[Tensor, ...]


def evaluate(function: Callable[..., Any], t: Tensor, y: Tensor, args: tuple[Any, ...]) -> Tensor:
    """Evaluate the vector field once; this is the function that is captured."""
    return like_state(function(t, y, *args), y)


class Capture:
    """The captures of one vector field for one shape of states."""

    _numbers = count()

    def __init__(self) -> None:
        # The compiler stores its results with the code object of a function.
        name = f"{evaluate.__name__}_{next(self._numbers)}"
        own = FunctionType(evaluate.__code__.replace(co_name=name), globals())
        self._call = torch.compile(own, backend=self._backend, fullgraph=True, dynamic=False)
        self._now = threading.local()
        self._by_code: dict[Hashable, list[FieldGraph]] = {}
        self.fault: str | None = None

    def __call__(
        self, function: Callable[..., Any], y: Tensor, args: tuple[Any, ...]
    ) -> CapturedField:
        """Return the vector field as it is now.

        Raises:
            NotCaptured: It cannot be captured, for a permanent reason.
            ValueError: It draws random numbers.
        """
        if self.fault is not None:
            raise NotCaptured(self.fault)
        now = self._now
        # New tensors, which can be distinguished from other inputs of the graph.
        now.y = y.detach().requires_grad_(torch.is_grad_enabled())
        now.t = y.new_zeros(())
        now.found, now.watches_hooks = None, None
        try:
            self._call(function, now.t, now.y, args)
        except ValueError:
            raise
        except Exception as error:  # of many types: whatever prevents one graph
            cause = getattr(error, "inner_exception", error)  # raised in the backend
            if isinstance(cause, DrawsRandomNumbers):
                raise ValueError(str(cause)) from None
            self.fault = first_line(cause)
            raise NotCaptured(self.fault) from error
        finally:
            if now.watches_hooks is not None:
                torch._dynamo.config.skip_nnmodule_hook_guards = now.watches_hooks
            found, now.found, now.y, now.t = now.found, None, None, None
        if found is None:
            self.fault = "it computes nothing from its time, its state or a tensor"
            raise NotCaptured(self.fault)
        return found

    def _backend(self, graph: GraphModule, examples: Sequence[Any]) -> Callable[..., Any]:
        """Receive the captured graph; the function that is returned is called in each solve."""
        outputs = graph.graph.output_node().args[0]
        assert isinstance(outputs, tuple)
        if len(outputs) != 1:
            raise NotCaptured("it stores tensors that it computed where other code can read them")
        check_side_effects(graph, examples)
        config = torch._dynamo.config
        if self._now.watches_hooks is None:
            # By default the guards assume that hooks of modules do not change.
            self._now.watches_hooks = config.skip_nnmodule_hook_guards
            config.skip_nnmodule_hook_guards = False
        known = self._known(graph, examples)

        def hand_over(*inputs: Any) -> tuple[Tensor]:
            now = self._now
            if not known:
                t = next((i for i, x in enumerate(inputs) if x is now.t), None)
                y = next((i for i, x in enumerate(inputs) if x is now.y), None)
                positions = tuple(i for i in range(len(inputs)) if i not in (t, y))
                known.append(FieldGraph(graph, t, y, positions))
            (function,) = known
            now.found = CapturedField(function, tuple(map(inputs.__getitem__, function.positions)))
            return (now.y,)

        return hand_over

    def _known(self, graph: GraphModule, examples: Sequence[Any]) -> list[FieldGraph]:
        """Cache entry of a graph, which equal graphs share: a list of at most one function."""
        if any(node.op in ("get_attr", "call_module") for node in graph.graph.nodes):
            return []
        shapes = tuple((x.shape, x.stride(), x.dtype, x.device) for x in examples)
        return self._by_code.setdefault((graph.code, shapes), [])


class DrawsRandomNumbers(ValueError):
    """An evaluation draws random numbers."""


def check_side_effects(graph: GraphModule, examples: Sequence[Any]) -> None:
    """Check that one evaluation has no side effects.

    Raises:
        DrawsRandomNumbers: It draws random numbers.
        NotCaptured: It changes a tensor in place, or takes symbolic sizes.
    """
    if not all(isinstance(x, Tensor) for x in examples):
        raise NotCaptured("the sizes of its tensors are symbolic")
    like = [x.meta["example_value"] for x in graph.graph.nodes if x.op == "placeholder"]
    for node in traced(lambda *inputs: graph(*inputs), like).graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            raise DrawsRandomNumbers(
                f"the vector field draws random numbers ({node.target}), which would differ "
                "between stages of a compiled step; use compile=False, or draw them before the "
                "solve"
            )
        if node.target is torch.ops.aten.copy_.default:
            raise NotCaptured("it changes in place a tensor that outlives an evaluation")


_CAPTURES: WeakKeyDictionary[Any, dict[Hashable, Capture]] = WeakKeyDictionary()
MAX_SHAPES = 8


def capture(
    func: Any, function: Callable[..., Any], y: Tensor, args: tuple[Any, ...]
) -> CapturedField:
    """Capture the vector field as a graph for states like `y`.

    Args:
        func: The vector field as the user gave it, by which captures are cached.
        function: The same on packed states and flat arguments.

    Raises:
        NotCaptured: It is not one graph.
        TooManyShapes: It was captured for other shapes of states already.
        ValueError: It draws random numbers.
    """
    while isinstance(func, partial):
        func = func.func
    # Functions that are recreated for every solve share their code; unhashable objects share
    # their class.
    owner = getattr(func, "__code__", func if isinstance(func, Hashable) else type(func))
    shapes = _CAPTURES.setdefault(owner, {})
    key = (y.shape, y.dtype, y.device, func.training if isinstance(func, nn.Module) else None)
    if key not in shapes:
        if len(shapes) >= MAX_SHAPES:
            raise TooManyShapes(
                f"the vector field was compiled for {MAX_SHAPES} shapes of states before, which "
                f"are the most, and not for {tuple(y.shape)}; let batches have one size (for "
                "example by drop_last=True)"
            )
        shapes[key] = Capture()
    return shapes[key](function, y, args)
