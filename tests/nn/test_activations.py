"""Our tangent is torch's, in value and in every derivative."""

import pytest
import torch
from torch import nn

from node_experiments.nn.cpu import tanh as activations
from node_experiments.nn.cpu.tanh import Tanh

POINTS = [-torch.inf, -100.0, -3.0, -1.0, -1e-3, -1e-9, 0.0, 1e-9, 0.5, 30.0, torch.inf]
OURS, TORCHS = Tanh(), torch.tanh


@pytest.fixture(autouse=True)
def on_few_numbers_too(monkeypatch):
    monkeypatch.setattr(activations, "MIN_ELEMENTS", 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_are_those_of_torch(dtype):
    x = torch.tensor(POINTS, dtype=dtype)
    rounding = 2 * torch.finfo(dtype).eps
    assert torch.allclose(OURS(x), TORCHS(x), rtol=0, atol=rounding)


def test_what_is_no_number_stays_so():
    assert OURS(torch.tensor([torch.nan])).isnan().all()


def test_first_and_second_derivatives():
    x = torch.tensor([-2.0, -0.3, 0.4, 1.5], dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(OURS, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(OURS, x)
    (found,) = torch.autograd.grad(OURS(x).sum(), x)
    (expected,) = torch.autograd.grad(TORCHS(x).sum(), x)
    assert torch.allclose(found, expected, rtol=1e-14)


def test_transforms_of_functions_go_through():
    x = torch.tensor([[-2.0, -0.3], [0.4, 1.5]], dtype=torch.double)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        found = torch.func.vmap(transform(OURS))(x)
        assert torch.allclose(found, torch.func.vmap(transform(TORCHS))(x))


def test_a_compiled_graph_can_be_traced():
    traced = torch.compile(Tanh(), backend="aot_eager", fullgraph=True)
    x = torch.tensor([-2.0, 1.5], requires_grad=True)
    (found,) = torch.autograd.grad(traced(x).sum(), x)
    (expected,) = torch.autograd.grad(TORCHS(x).sum(), x)
    assert torch.allclose(found, expected)


def test_few_numbers_are_left_to_torch(monkeypatch):
    monkeypatch.setattr(activations, "MIN_ELEMENTS", 3)

    def node(numbers):
        return Tanh()(torch.zeros(numbers, requires_grad=True)).grad_fn.name()

    assert node(2) == nn.Tanh()(torch.zeros(2, requires_grad=True)).grad_fn.name() != node(3)
