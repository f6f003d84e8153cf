"""Bytes alive at once over a whole solve and its backward pass, counted tensor by tensor."""

import pytest
import torch
from torch import nn

from node_experiments.ode import Adjoint, Backprop, Checkpoint, Discrete, Reversible, Solver, solve
from node_experiments.training.live_bytes import LiveBytes

Y0 = torch.ones(64, 8)


def peak(method, way, num_steps):
    net = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
    with LiveBytes() as counter:
        solution = solve(
            lambda t, y: net(y), Y0, torch.tensor([0.0, 1.0]),
            Solver(method, num_steps=num_steps), way, parameters=net.parameters(),
        )  # fmt: skip
        solution.ys[-1].sum().backward()
    return counter.peak


@pytest.mark.parametrize(("method", "way"), [("rk4", Adjoint()), ("reversible_rk4", Reversible())])
def test_does_not_grow_with_the_steps(method, way):
    assert peak(method, way, 64) <= 1.05 * peak(method, way, 4)


def test_grows_with_every_step_of_backpropagation():
    assert peak("rk4", Backprop(), 64) > 8 * peak("rk4", Backprop(), 4)


def test_of_the_discrete_adjoint_grows_by_a_state_a_step():
    grown = peak("rk4", Discrete(), 64) - peak("rk4", Discrete(), 4)
    assert grown <= 60 * (Y0.nbytes + 64)


def test_follows_the_bound_of_the_checkpoints():
    way = Checkpoint(checkpoints=4)
    assert peak("rk4", way, 96) <= 1.05 * peak("rk4", way, 24)


def test_is_that_of_the_tensors_that_are_alive():
    with LiveBytes() as counter:
        x = torch.zeros(1000)
        y = x.view(10, 100) + 1
        del x
        z = y.square_()
        del y, z
        torch.zeros(1500)
    assert counter.peak == 8000
    assert counter.live == 0
