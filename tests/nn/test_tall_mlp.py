"""A network computed for some rows at a time is the same network."""

import pytest
import torch
from torch import nn

from node_experiments.nn.cpu import tall_mlp
from node_experiments.nn.cpu.tall_mlp import TallMLP


@pytest.fixture(params=[4, 2**14])
def network(request, monkeypatch):
    monkeypatch.setattr(tall_mlp, "CACHED_ROWS", request.param)
    return TallMLP(3, 7, 2).double()


@pytest.mark.parametrize("shape", [(5, 2), (2, 3, 3), (1,), ()])
def test_values_and_gradients_are_those_of_the_layers(network, shape):
    x = torch.randn(*shape, 3, dtype=torch.double).requires_grad_()
    weights = torch.randn(*shape, 2, dtype=torch.double)
    found, expected = network(x), nn.Sequential.forward(network, x)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    inputs = (x, *network.parameters())
    pairs = (torch.autograd.grad((y * weights).sum(), inputs) for y in (found, expected))
    for one, other in zip(*pairs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_rows_that_do_not_lie_one_after_the_other(network):
    x = torch.randn(4, 5, 3, dtype=torch.double).transpose(0, 1)
    torch.testing.assert_close(network(x), nn.Sequential.forward(network, x))


def test_no_hidden_units_are_kept(network):
    x = torch.randn(50, 3, dtype=torch.double, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda saved: saved):
        network(x)
    assert max(tensor.numel() for tensor in kept) == x.numel()


def test_a_second_derivative_is_rejected_not_wrong(network):
    x = torch.randn(2, 3, dtype=torch.double, requires_grad=True)
    for loss in (network(x).square().sum(), network(x).sum()):
        with pytest.raises(RuntimeError, match="no second derivatives"):
            torch.autograd.grad(loss, x, create_graph=True)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_no_rows(network, shape):
    assert network(torch.zeros(shape, dtype=torch.double)).shape == (*shape[:-1], 2)


def test_other_ways_go_through_the_layers(network):
    x = torch.randn(4, 3, dtype=torch.double)
    mapped = torch.func.vmap(network)(x)
    torch.testing.assert_close(mapped, network(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert network.float()(x.float()).dtype == torch.bfloat16
