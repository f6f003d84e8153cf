"""A vector field that is another one in the backward pass is noticed."""

import math

import pytest
import torch
from torch import nn

from node_experiments.ode import Solver, solve

T = torch.tensor([0.0, 1.0])
EXACT = ["discrete", "checkpoint", "interpolated"]
WAYS = [(way, solver) for way in EXACT for solver in ("dopri5", Solver("rk4", num_steps=5))]
WAYS.append(("adjoint", "dopri5"))
each_way = pytest.mark.parametrize(("way", "solver"), WAYS, ids=str)


def summed(field, way, solver, y0=None):
    y0 = torch.ones(2) if y0 is None else y0
    return solve(field, y0, T, solver, way).ys[-1].sum()


@each_way
@pytest.mark.parametrize("rates", [(1.0, 2.0), (1.0, 1.05)])
def test_the_variable_of_a_loop(way, solver, rates):
    w = torch.ones(2, requires_grad=True)
    losses = []
    for rate in rates:
        losses.append(summed(lambda t, y: -w * rate * y, way, solver))  # noqa: B023
    with pytest.raises(RuntimeError, match=r"differs between the solve and its backward.* a loop"):
        sum(losses).backward()


@each_way
def test_an_attribute_and_the_mode(way, solver):
    net = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    y0 = torch.ones(4, 2)
    loss = summed(lambda t, y: net(y) + 1, way, solver, y0)
    net.eval()
    with pytest.raises(RuntimeError, match="differs between the solve and its backward pass"):
        loss.backward()

    class Conditioned(nn.Linear):
        context = 1.0

        def forward(self, t, y):
            return self.context * super().forward(y)

    field = Conditioned(2, 2)
    loss = summed(field, way, solver)
    field.context = 2.0
    with pytest.raises(RuntimeError, match="differs between the solve and its backward pass"):
        loss.backward()


@each_way
def test_weights_that_were_replaced(way, solver):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(1, 1, bias=False)

        def forward(self, x):
            return solve(lambda t, y: self.linear(y), x, T, solver, way).ys[-1]

    net = Net().requires_grad_(False)
    net.linear.weight.fill_(-1.0)
    x = torch.ones(1, requires_grad=True)
    y = torch.func.functional_call(net, {"linear.weight": torch.ones(1, 1)}, (x,))
    y.sum().backward()
    assert float(net.linear.weight) == -1
    assert float(x.grad) == pytest.approx(math.e, rel=1e-2)


@each_way
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_same_field_is_the_same(way, solver, dtype):
    """Also with random numbers, in half precision, and where a derivative is zero."""
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 2)).to(dtype)
    y0 = torch.randn(4, 2, dtype=dtype)
    summed(lambda t, y: net(y), way, solver, y0).backward()
    assert net[0].weight.grad.isfinite().all()
    rate = torch.zeros(2, dtype=dtype, requires_grad=True)
    summed(lambda t, y: rate * y, way, solver, y0).backward()
    assert rate.grad.abs().sum() > 0


@each_way
def test_autocast_is_the_same_field(way, solver):
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    with torch.autocast("cpu", torch.bfloat16):
        loss = summed(lambda t, y: net(y), way, solver, torch.randn(4, 2))
    loss.backward()
    assert net[0].weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("way", "solver"),
    [
        ("discrete", "kvaerno3"),
        ("discrete", Solver("implicit_euler", num_steps=5)),
        ("checkpoint", "trbdf2"),
        ("discrete", Solver(batching="independent")),
        ("checkpoint", Solver(batching="independent")),
    ],
    ids=str,
)
def test_of_implicit_methods_and_of_steps_of_each_sample(way, solver):
    w = torch.ones(2, requires_grad=True)
    losses = []
    for rate in (1.0, 2.0):
        field = lambda t, y: -w * rate * y  # noqa: B023, E731
        losses.append(summed(field, way, solver, torch.ones(3, 2)))
    with pytest.raises(RuntimeError, match="differs between the solve and its backward pass"):
        sum(losses).backward()


def test_a_field_that_jumps_at_the_start_is_the_same_on_both_sides():
    class Jump(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1))

        def forward(self, t, y):
            return self.w * y * torch.where(t > 0, 1.0, 2.0)

    net = Jump()
    for _ in range(2):  # only the second solve knows the field
        net.w.grad = None
        summed(net, "interpolated", Solver("rk4", num_steps=8, perturb=True)).backward()
    assert float(net.w.grad) == pytest.approx(2 * 2.71828, rel=1e-3)
