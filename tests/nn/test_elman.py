"""The Elman network with its own backward pass, against torch's."""

import pytest
import torch

from node_experiments.nn.cpu import elman
from node_experiments.nn.cpu.elman import ElmanNetwork


def both(inputs, hidden):
    network = ElmanNetwork(inputs, hidden).double()
    reference = torch.nn.RNN(inputs, hidden, batch_first=True).double()
    reference.load_state_dict(network.state_dict())
    return network, reference


@pytest.mark.parametrize("read", ["states", "last", "both"])
@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize("rows", [1, 12, elman.CACHED_ROWS])
def test_values_and_gradients_are_those_of_torch(read, length, rows, monkeypatch):
    monkeypatch.setattr(elman, "CACHED_ROWS", rows)
    network, reference = both(3, 5)
    x = torch.randn(4, length, 3, dtype=torch.double)
    state = torch.randn(4, 5, dtype=torch.double)
    weights = torch.randn(4, length, 5, dtype=torch.double)
    results = []
    for module, first in ((network, state), (reference, state.unsqueeze(0))):
        inputs, first = x.clone().requires_grad_(), first.clone().requires_grad_()
        states, last = module(inputs, first)
        loss = 0.0
        loss = loss + (states * weights).sum() if read != "last" else loss
        loss = loss + last.square().sum() if read != "states" else loss
        loss.backward()
        gradients = [p.grad for p in module.parameters()]
        results.append([states, last.view(4, 5), inputs.grad, first.grad.view(4, 5), *gradients])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_starts_from_zero():
    network, reference = both(2, 3)
    x = torch.randn(4, 6, 2, dtype=torch.double)
    torch.testing.assert_close(network(x)[0], reference(x)[0])


def test_a_second_derivative_is_rejected_not_wrong():
    network, _ = both(1, 2)
    x = torch.randn(1, 2, 1, dtype=torch.double, requires_grad=True)
    with pytest.raises(RuntimeError, match="no second derivatives"):
        torch.autograd.grad(network(x)[1].sum(), x, create_graph=True)


def test_products_in_bf16_leave_the_states_in_float32():
    network = ElmanNetwork(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        states, last = network(torch.randn(4, 6, 2))
        last.sum().backward()
    assert states.dtype == last.dtype == torch.float32
    assert network.weight_hh_l0.grad.dtype == torch.float32
