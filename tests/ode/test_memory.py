"""Nothing of a solve outlives it, not in memory that Python's garbage collector cannot see."""

import gc
import weakref

import pytest
import torch
from torch import nn

from node_experiments.ode import Solver, solve

T = torch.tensor([0.0, 1.0])
WAYS = ["adjoint", "backprop", "discrete", "checkpoint", "interpolated"]


def kept(run):
    """How many tensors that a vector field made are there after a solve."""
    made = []

    def field(y):
        out = torch.tanh(y)  # its derivative needs its own value
        made.append(weakref.ref(out))
        return out

    run(field)
    gc.collect()
    return sum(each() is not None for each in made)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("hooked", [False, True])
def test_a_field_that_is_new_leaves_nothing_behind(way, hooked):
    net = nn.Linear(3, 3)

    def run(field):
        y0 = torch.ones(3, requires_grad=True)
        solver = Solver("rk4", num_steps=2)
        with (
            torch.autograd.graph.saved_tensors_hooks(torch.clone, lambda x: x)
            if hooked
            else (torch.enable_grad())
        ):
            ys = solve(lambda t, y: field(net(y)), y0, T, solver, way).ys
            ys.sum().backward()

    assert kept(run) == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_field_without_parameters_leaves_nothing_behind(way):
    solver = Solver("rk4", num_steps=2)
    assert kept(lambda field: solve(lambda t, y: field(y), torch.ones(3), T, solver, way)) == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_field_may_differentiate_by_torch_func(way):
    """An energy's gradient; torch.func takes no hooks on what is saved, and none is there."""
    torch.manual_seed(0)
    energy = nn.Linear(2, 1)
    y0 = torch.randn(4, 2)

    def field(t, y):
        return -torch.func.vmap(torch.func.grad(lambda z: torch.tanh(energy(z)).squeeze()))(y)

    solver = Solver("rk4", num_steps=20)
    found = [
        torch.autograd.grad(solve(field, y0, T, solver, each).ys[-1].sum(), energy.weight)[0]
        for each in (way, "backprop")
    ]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
