"""Rewrites of a graph that make its computation faster.

They were measured on CPUs; each rewrite states its reason. No result changes by more than
rounding, except for two activations in single precision: the hyperbolic tangent, whose error is
3.4e-7 instead of 5e-8 (as in XLA), and ELU, computed as exp(x) - 1 for x < 0 with the rounding
error of 1, so that values near 0 lose relative precision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, reduce
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

__all__ = ["decompositions", "few_columns", "improve", "rational_tanh", "small_products"]

aten = torch.ops.aten
FEW = 8  # columns up to which the transposed product is faster
MANY = 64  # terms of a sum from which on it is faster
SMALL = 4  # size of a dimension up to which a product is written out
LONGEST = 64  # terms of the longest sum that is written out for few results


def decompositions(like: Tensor) -> dict[Any, Callable[..., Any]]:
    """Decompositions for inputs of the dtype and device of `like`."""
    from torch._inductor.decomposition import select_decomp_table

    table = dict(select_decomp_table())
    if like.device.type != "cpu":
        return table
    # Compiled to loops, normalisation and its gradient take twelve times as long.
    for operation in kept_whole():
        table.pop(operation, None)
    if like.dtype == torch.float32:
        table[aten.tanh.default] = rational_tanh
        table[aten.elu.default] = elu
    return table


@cache
def kept_whole() -> tuple[Any, ...]:
    """Operations for which the compiler calls torch's own kernels."""
    from torch._inductor.lowering import make_fallback

    names = ("native_group_norm", "native_group_norm_backward")
    for name in names:
        make_fallback(getattr(aten, name), override_decomp=True, warn=False)
    return tuple(getattr(aten, name).default for name in names)


P = (
    *(4.89352455891786e-03, 6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08),
    *(-8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16),
)
Q = (4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06)


def rational_tanh(x: Tensor) -> Tensor:
    """Tanh as a quotient of polynomials, as in Eigen and XLA, in single precision.

    Four times as fast as torch's, because it consists of fused multiplications and additions.
    """
    if x.dtype != torch.float32:
        return NotImplemented
    x = x.clamp(-7.90531110763549805, 7.90531110763549805)
    square = x * x
    numerator = reduce(lambda p, c: p * square + c, P[-2::-1], P[-1] * torch.ones_like(x))
    denominator = reduce(lambda q, c: q * square + c, Q[-2::-1], Q[-1] * torch.ones_like(x))
    return x * numerator / denominator


def elu(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    """The exponential linear unit by exp(x) - 1, with the absolute rounding error of 1."""
    return torch.where(x > 0, x * scale, ((x * input_scale).exp() - 1) * (alpha * scale))


def improve(graph: GraphModule, inputs: list[Any], forward: bool) -> None:
    """Rewrite a graph on a CPU in place.

    Args:
        inputs: Example inputs.
        forward: Whether it computes no gradients, in which written-out products are slower.
    """
    if inputs[0].device.type == "cpu":
        (small_products if forward else few_columns)(graph)
        FakeTensorProp(graph, inputs[0].fake_mode).propagate_dont_convert_inputs(*inputs)


def few_columns(module: GraphModule) -> None:
    """Turn products with few columns into ones with few rows, which are four times as fast.

    Gradients of the weights of a linear layer with few inputs are such products.
    """
    graph = module.graph
    for node in graph.find_nodes(op="call_function", target=aten.mm.default):
        a, b = node.args
        rows, terms, columns = sizes(a, b)
        if columns <= FEW < rows and terms >= MANY:
            with graph.inserting_before(node):
                product = call(graph, aten.mm.default, transposed(graph, b), transposed(graph, a))
                result = transposed(graph, product)
            node.replace_all_uses_with(result)
    graph.eliminate_dead_code()
    module.recompile()


def small_products(module: GraphModule) -> None:
    """Write out products with a dimension of up to four, which then fuse with other operations."""
    graph = module.graph
    for target in (aten.mm.default, aten.addmm.default):
        for node in graph.find_nodes(op="call_function", target=target):
            *bias, a, b = node.args
            _, terms, columns = sizes(a, b)
            if node.kwargs or (terms > SMALL and (columns > SMALL or terms > LONGEST)):
                continue
            with graph.inserting_before(node):
                if terms <= SMALL:
                    result = outer_products(graph, a, b, terms)
                else:
                    result = column_sums(graph, a, b, columns)
                if bias:
                    result = call(graph, aten.add.Tensor, result, bias[0])
            node.replace_all_uses_with(result)
    graph.eliminate_dead_code()
    module.recompile()


def outer_products(graph: Graph, a: Node, b: Node, terms: int) -> Node:
    """Write out a matrix product as a sum of columns times rows."""
    products = [
        call(
            graph,
            aten.mul.Tensor,
            call(graph, aten.slice.Tensor, a, 1, j, j + 1),
            call(graph, aten.slice.Tensor, b, 0, j, j + 1),
        )
        for j in range(terms)
    ]
    return reduce(lambda x, y: call(graph, aten.add.Tensor, x, y), products)


def column_sums(graph: Graph, a: Node, b: Node, columns: int) -> Node:
    """Write out a matrix product column by column, each a sum of elementwise products."""
    sums = []
    for j in range(columns):
        weighted = call(graph, aten.mul.Tensor, a, call(graph, aten.select.int, b, 1, j))
        sums.append(call(graph, aten.sum.dim_IntList, weighted, [1], True))
    return sums[0] if columns == 1 else call(graph, aten.cat.default, sums, 1)


def call(graph: Graph, target: Any, *args: Any) -> Node:
    return graph.call_function(target, args)


def transposed(graph: Graph, x: Node) -> Node:
    return call(graph, aten.permute.default, x, [1, 0])


def sizes(a: Any, b: Any) -> tuple[int, int, int]:
    """Numbers of rows, terms and columns of a matrix product."""
    return (*a.meta["val"].shape, b.meta["val"].shape[1])
