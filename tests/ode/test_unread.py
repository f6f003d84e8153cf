"""What is within reach of a vector field and that it does not read is none of its business."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from node_experiments.ode import Adjoint, Solver, solve

WAYS = ["backprop", "adjoint", "discrete", "checkpoint", "interpolated", "reversible"]
BY_HAND = WAYS[1:]
T = torch.tensor([0.0, 1.0])

norm = nn.BatchNorm1d(2)  # of the name of an attribute below
scale = nn.Parameter(torch.ones(2))


class Model(nn.Module):
    """The vector field is a part of it, and a function of it reaches all."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.field = nn.Linear(3, 2), nn.Linear(2, 2)
        self.decoder = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))
        self.norm, self.critic = nn.LayerNorm(2), nn.Linear(2, 1)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("rate", torch.ones(()))

    def vector_field(self, t, y):
        return torch.tanh(self.field(y)) * self.rate

    def solved(self, x, way, bound):
        field = self.vector_field if bound else lambda t, y: self.vector_field(t, y)
        return solve(field, self.encoder(x), T, "dopri5", way).ys[-1]


def inputs():
    return torch.randn(8, 3, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_the_rest_of_a_model_may_change_before_the_backward_pass(way, bound):
    model = Model()
    for _ in range(2):  # the second time the field is known
        model.zero_grad()
        z = model.solved(inputs(), way, bound)
        loss = model.decoder(z).square().sum()  # counts in its buffers
        model.seen += len(z)
        with torch.no_grad():
            model.critic.weight.mul_(2)
        loss.backward()
        assert model.critic.weight.grad is None
        assert model.norm.weight.grad is None
        assert bool(model.field.weight.grad.abs().sum() > 0)
        assert bool(model.encoder.weight.grad.abs().sum() > 0)
    expected = [p.grad for p in model.field.parameters()]
    again = Model()
    again.decoder(again.solved(inputs(), "backprop", bound)).square().sum().backward()
    for p, grad in zip(again.field.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("way", BY_HAND)
def test_what_it_reads_may_not(way):
    model = Model()
    z = model.solved(inputs(), way, True)
    model.rate += 1
    with pytest.raises(RuntimeError, match="changed in place between the solve and its backward"):
        z.sum().backward()
    z = model.solved(inputs(), way, False)
    with torch.no_grad():
        model.field.weight += 1
    with pytest.raises(RuntimeError, match=r"modified by an inplace|differs between the solve"):
        z.sum().backward()


@pytest.mark.parametrize("way", BY_HAND)
def test_what_it_reads_at_one_time_alone_may_not(way):
    table = torch.ones(2)

    def field(t, y):
        return -y * table if 0.45 < float(t) < 0.55 else -y

    y0 = torch.ones(2, requires_grad=True)
    solution = solve(field, y0, torch.tensor([0.0, 0.5, 1.0]), Solver("rk4", num_steps=8), way)
    table += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        solution.ys[-1].sum().backward()


@pytest.mark.parametrize("way", WAYS)
def test_a_global_of_the_name_of_an_attribute_is_not_held(way):
    model = Model()
    z = solve(lambda t, y: model.norm(model.field(y)), torch.ones(4, 2), T, "dopri5", way).ys[-1]
    norm(z + torch.arange(4.0).unsqueeze(1)).sum().backward()  # counts
    assert model.norm.weight.grad is not None


@pytest.mark.parametrize("way", WAYS)
def test_a_global_that_a_function_inside_reads_is_held(way):
    y0, scale.grad = torch.ones(2), None
    solve(lambda t, y: sum(-y * s for s in (lambda: [scale])()), y0, T, "dopri5", way).ys[
        -1
    ].sum().backward()
    torch.testing.assert_close(scale.grad, -torch.ones(2).exp().reciprocal(), rtol=1e-2, atol=0)


@pytest.mark.parametrize("way", WAYS)
def test_a_network_that_is_read_between_the_ends_alone_gets_its_gradient(way):
    """The ends are where a new vector field is looked at."""

    class Switched(nn.Module):
        def __init__(self):
            super().__init__()
            self.rest, self.middle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

        def forward(self, t, y):
            return -y * (self.middle if 0.3 <= float(t) < 0.7 else self.rest)

    times = torch.linspace(0, 1, 11)
    found = {}
    for each in ("backprop", way):
        net = Switched()
        for _ in range(2):
            net.zero_grad()
            solver = Solver("rk4", step_size=0.1)
            solve(net, torch.ones(2), times, solver, each).ys[-1].sum().backward()
        found[each] = [p.grad for p in net.parameters()]
    for a, b in zip(found["backprop"], found[way], strict=True):
        torch.testing.assert_close(a, b, rtol=0.1, atol=0)


def test_unread_parameters_dilute_no_error():
    """Parameter gradients are measured by their root mean square over what the field reads."""

    class Holder:
        def __init__(self, others):
            self.others = nn.Linear(others, others)
            self.rate = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

        def field(self, t, y):
            return self.rate * torch.cos(40 * t) + 0 * y

    steps = []
    for others in (1, 300):
        holder = Holder(others)
        solution = solve(holder.field, torch.zeros(1).double(), T.double(), "dopri5", Adjoint())
        solution.ys[-1].sum().backward()
        assert holder.others.weight.grad is None
        steps.append(solution.stats.backward.accepted)
    assert steps[0] == steps[1]


@pytest.mark.parametrize("way", WAYS)
def test_weights_that_are_computed_are_not_kept_across_evaluations(way):
    torch.manual_seed(0)
    net = weight_norm(nn.Linear(2, 2))
    y0, grads = torch.randn(3, 2), []
    for cached in (False, True, True):
        net.zero_grad()
        with parametrize.cached() if cached else torch.enable_grad():
            solve(lambda t, y: torch.tanh(net(y)), y0, T, "dopri5", way).ys[-1].sum().backward()
        grads.append(net.parametrizations.weight.original1.grad.clone())
    for grad in grads[1:]:
        torch.testing.assert_close(grad, grads[0])


@pytest.mark.parametrize("way", BY_HAND)
def test_a_field_that_keeps_what_it_computed_is_rejected(way):
    class Hyper(nn.Module):
        def __init__(self):
            super().__init__()
            self.code, self.kept = nn.Parameter(torch.ones(2)), None

        def forward(self, t, y):
            if self.kept is None:
                self.kept = torch.tanh(self.code)
            return self.kept * y

    net = Hyper()
    for _ in range(2):
        net.kept = None
        with pytest.raises(ValueError, match=r"reuses a tensor.*TanhBackward0.*args="):
            solve(net, torch.ones(2), T, "dopri5", way)
    net.kept = None
    solve(net, torch.ones(2), T, "dopri5", "backprop").ys[-1].sum().backward()
    assert bool(net.code.grad.abs().min() > 0)


@pytest.mark.parametrize("way", BY_HAND)
def test_a_parameter_of_the_module_may_be_an_argument(way):
    """As an argument it is read, though the vector field does not read it from its module."""

    class Decay(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(2.0))

        def field(self, t, y, rate):
            return -rate * y

    model = Decay()
    solver = Solver("rk4", num_steps=20)
    solve(model.field, torch.ones(1), T, solver, way, args=(model.rate,)).ys.sum().backward()
    assert float(model.rate.grad) == pytest.approx(-math.exp(-2), rel=1e-3)


@pytest.mark.filterwarnings("ignore:the vector field holds tensors that need a gradient")
def test_weights_that_are_read_in_the_middle_of_the_solve_alone():
    class Pulse(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(1, 1)

        def forward(self, t, y):
            return self.net(y) if 0.4 < float(t) < 0.6 else -y

    net = Pulse()
    y0, solver = torch.ones(1), Solver("rk4", num_steps=100)
    found, expected = (
        torch.autograd.grad(solve(net, y0, T, solver, way).ys[-1].sum(), net.parameters())
        for way in ("adjoint", "backprop")
    )
    assert float(expected[0].abs()) > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("way", ["adjoint", "discrete", "checkpoint", "interpolated"])
def test_parameters_that_are_detached_in_the_field_are_warned_of(way):
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.rate = nn.Parameter(torch.tensor(1.0))

        def forward(self, t, y):
            return -self.rate.item() * y

    detached, y0 = Detached(), torch.ones(1)
    with pytest.warns(UserWarning, match=r"depend on none of them.*look for \.item\(\)"):
        solve(detached, y0, T, "dopri5", way)
    y0.requires_grad_()  # then a gradient is computed, that of y0
    solve(detached, y0, T, "dopri5", way).ys[-1].sum().backward()
    assert float(y0.grad) == pytest.approx(math.exp(-float(T[-1] - T[0])), rel=1e-3)
