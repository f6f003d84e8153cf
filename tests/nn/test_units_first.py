"""The same network the other way round: same values, gradients, and layout of memory."""

import pytest
import torch
from torch import nn

from node_experiments.chapters.latent_ode.model import LatentVectorField
from node_experiments.nn.cpu.feature_major import UnitsFirst, units_first
from node_experiments.nn.latent_trajectory import LatentTrajectory
from node_experiments.nn.mlp import mlp
from node_experiments.ode import Backprop, Discrete, Solver


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3), (2, 0, 3)])
@pytest.mark.parametrize("layout", [torch.clone, units_first])
def test_values_and_gradients_are_those_of_the_plain_network(shape, layout):
    net = mlp([3, 7, 2], "elu").double()
    x = layout(torch.randn(shape, dtype=torch.double)).requires_grad_()
    found, expected = UnitsFirst(*net)(x), net(x)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    inputs = (x, *net.parameters())
    for one, other in zip(
        torch.autograd.grad((found * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_weights_have_the_names_that_they_have_in_old_checkpoints():
    names = [name for name, _ in LatentVectorField(4, 5, 1, "tanh").named_parameters()]
    assert names == ["net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"]


@pytest.mark.parametrize("shape", [(6, 4), (2, 6, 4)])
@pytest.mark.parametrize("gradient", [Backprop(), Discrete()])
def test_nothing_is_transposed_between_the_start_of_a_solve_and_its_end(shape, gradient):
    rows = torch.Size(shape[:-1]).numel()
    seen = []

    class Watched(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = UnitsFirst(*mlp([4, 5, 4], "tanh"))

        def forward(self, t, z):
            derivative = self.net(z)
            seen.extend([z.movedim(-1, 0), derivative.movedim(-1, 0)])
            return derivative

    trajectory = LatentTrajectory(Watched(), Solver("rk4", num_steps=3), gradient)
    zs = trajectory(torch.randn(shape), torch.tensor([[0.5, 1.0]]))
    zs.sum().backward()
    assert len(seen) > 20
    # The units are the slowest axis of all states and derivatives.
    assert all(each.is_contiguous() and each[0].numel() == rows for each in seen)
