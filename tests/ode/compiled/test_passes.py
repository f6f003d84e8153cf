"""Rewritten graphs compute the same, by other operations."""

import pytest
import torch
from torch import nn
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from node_experiments.ode.compiled.lowering import traced
from node_experiments.ode.compiled.passes import (
    decompositions,
    elu,
    few_columns,
    rational_tanh,
    small_products,
)

aten = torch.ops.aten


def products(graph, target=aten.mm.default):
    """Shapes of the results of products."""
    found = graph.graph.find_nodes(op="call_function", target=target)
    return [tuple(node.meta["val"].shape) for node in found]


def rewritten(function, inputs, rewrite):
    graph = traced(function, inputs)
    before = products(graph)
    rewrite(graph)
    fake = [node.meta["val"] for node in graph.graph.nodes if node.op == "placeholder"]
    FakeTensorProp(graph, fake[0].fake_mode).propagate_dont_convert_inputs(*fake)
    return graph, before, products(graph)


def test_a_product_with_few_columns_becomes_one_with_few_rows():
    gradient, x = torch.randn(512, 64), torch.randn(512, 3)
    graph, before, after = rewritten(lambda g, x: [g.t() @ x], [gradient, x], few_columns)
    assert (before, after) == ([(64, 3)], [(3, 64)])
    torch.testing.assert_close(graph(gradient, x)[0], gradient.t() @ x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("sizes", [(512, 3, 64), (512, 64, 2), (512, 64, 1), (5, 1, 1), (7, 4, 4)])
def test_small_products_are_written_out(sizes):
    rows, terms, columns = sizes
    x, weight, bias = torch.randn(rows, terms), torch.randn(terms, columns), torch.randn(columns)

    def function(x, weight, bias):
        return [x @ weight, torch.addmm(bias, x, weight)]

    graph, before, after = rewritten(function, [x, weight, bias], small_products)
    assert before
    assert not after
    assert not products(graph, aten.addmm.default)
    torch.testing.assert_close(graph(x, weight, bias), function(x, weight, bias))


@pytest.mark.parametrize("rewrite", [small_products, few_columns])
def test_large_products_stay(rewrite):
    x, weight = torch.randn(512, 64), torch.randn(64, 64)
    _, before, after = rewritten(lambda x, w: [x @ w, w.t() @ x.t()], [x, weight], rewrite)
    assert before == after


def test_the_rational_tanh_is_exact_to_three_roundings():
    x = torch.cat([torch.linspace(-12, 12, 200_001), torch.tensor([0.0, -0.0, 1e-30, 3e38])])
    error = (rational_tanh(x).double() - x.double().tanh()).abs()
    assert error.max() <= 4e-7
    assert rational_tanh(torch.tensor([torch.nan])).isnan()
    small = torch.logspace(-20, -2, 1000)
    torch.testing.assert_close(rational_tanh(small), small.tanh(), rtol=4e-7, atol=0)


def test_the_exponential_linear_unit():
    x = torch.linspace(-10, 10, 1001)
    assert (elu(x, 1.5) - nn.functional.elu(x, 1.5)).abs().max() <= 2e-7


def test_only_single_precision_is_made_of_rational_functions():
    for dtype, operations in ((torch.float32, False), (torch.float64, True)):
        x = torch.randn(3, dtype=dtype)
        graph = traced(lambda x: [x.tanh()], [x], decompositions(x))
        assert bool(products(graph, aten.tanh.default)) == operations


def test_normalisation_is_torchs_own():
    x, weight = torch.randn(3, 4, 5), torch.ones(4)

    def both(x, weight):
        result, pull = torch.func.vjp(lambda x: nn.functional.group_norm(x, 2, weight), x)
        return [result, *pull(result)]

    graph = traced(both, [x, weight], decompositions(x))
    names = {str(node.target) for node in graph.graph.nodes}
    assert {"aten.native_group_norm.default", "aten.native_group_norm_backward.default"} <= names
