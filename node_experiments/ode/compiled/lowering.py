"""Compilation of functions of tensors to code that is called without per-call overhead.

A function made by `torch.compile` checks its guards and goes through autograd's wrappers at every
call, which takes 15 to 70 microseconds. If the shapes of all inputs are known to be the same, the
code inside can be called directly, in one to two. That is a private interface of torch: if it is
missing, `torch.compile` is used instead, with one warning.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from .passes import decompositions, improve

__all__ = ["Compiled", "NoCompiler", "lowering"]

TensorFunction = Callable[..., Sequence[Tensor]]
Compiled = Callable[[list[Tensor]], Sequence[Tensor]]
"""Takes its inputs as a list, which it may empty."""
Lowering = Callable[[TensorFunction, Sequence[Tensor]], Compiled]
"""Compiles a function for inputs of these shapes, contiguous except for the last ones."""


class NoCompiler(Exception):
    """Nothing can be compiled for a device."""


@cache
def lowering(device: torch.device) -> Lowering:
    """Choose how functions are compiled for a device.

    Raises:
        NoCompiler: They cannot be compiled for it.
    """
    try:
        check_lowering(lower_to_inductor, device)
        return lower_to_inductor
    except Exception as private:  # of many types, depending on what is missing
        try:
            check_lowering(lower_by_torch_compile, device)
        except Exception as public:
            raise NoCompiler(
                f"torch.compile does not work on {device.type} here ({first_line(public)}); on a "
                "CPU it needs a C++ compiler such as g++"
            ) from public
        warnings.warn(
            f"compiled steps are called through torch.compile, which is slower, because torch "
            f"{torch.__version__} lacks the private interface ({first_line(private)})",
            RuntimeWarning,
            stacklevel=2,
        )
        return lower_by_torch_compile


def check_lowering(lower: Lowering, device: torch.device) -> None:
    """Compile a small function and check its result.

    Raises:
        RuntimeError: The result is wrong.
    """
    x = torch.linspace(0, 1, 8, device=device)
    found, _ = lower(lambda x: [x.sin() + 1, x * 2], [x])([x])
    if not torch.allclose(found, x.sin() + 1):
        raise RuntimeError("a compiled test function returned a wrong result")


def lower_by_torch_compile(function: TensorFunction, examples: Sequence[Tensor]) -> Compiled:
    """Compile through torch's public interface."""
    compiled = torch.compile(traced(function, examples), fullgraph=True, dynamic=False)

    def call(inputs: list[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            return compiled(*inputs)

    return call


def lower_to_inductor(function: TensorFunction, examples: Sequence[Tensor]) -> Compiled:
    """Compile to Inductor's bare code, without guards around it."""
    from torch._guards import TracingContext, tracing
    from torch._inductor.compile_fx import compile_fx_inner
    from torch._inductor.virtualized import V

    graph = traced(function, examples, decompositions(examples[0]))
    inputs = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    mode = inputs[0].fake_mode
    improve(graph, inputs, forward=not getattr(function, "is_gradient", False))
    output = graph.graph.output_node()
    # Outputs keep their strides, which are those of the next call's inputs.
    results: Any = output.args[0]
    strides = [node.meta["val"].stride() for node in results]
    output.meta["user_visible_output_idxs"] = list(range(len(strides)))
    output.meta["original_output_strides"] = strides
    with torch.no_grad(), V.set_fake_mode(mode), tracing(TracingContext(mode)):
        compiled: Any = compile_fx_inner(graph, inputs)
    return compiled.current_callable


def traced(
    function: TensorFunction,
    examples: Sequence[Tensor],
    table: Mapping[Any, Callable[..., Any]] | None = None,
) -> GraphModule:
    """Trace a function to a graph of operations that change no tensor in place.

    Args:
        table: Decompositions of operations.
    """
    with torch.no_grad():
        return make_fx(
            torch.func.functionalize(function), decomposition_table=table, tracing_mode="fake"
        )(*(x.detach() for x in examples))


def first_line(error: BaseException) -> str:
    """First line of an error's message, or its type."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
