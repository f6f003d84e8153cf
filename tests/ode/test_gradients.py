"""Backpropagation and the adjoint method against finite differences and analytic gradients."""

import pytest
import torch
from torch import nn

from node_experiments.ode import Adjoint, Backprop, Solver, solve
from node_experiments.training.memory import SavedBytes

DOUBLE = torch.float64


class Field(nn.Module):
    def __init__(self, size=3):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size, 8), nn.Tanh(), nn.Linear(8, size)).to(DOUBLE)

    def forward(self, t, y, *args):
        scale = args[0] if args else 1.0
        return scale * self.net(y) * torch.sin(t + 1)


def gradients(gradient, solver, seminorm=True):
    torch.manual_seed(1)
    field = Field()
    y0 = torch.randn(4, 3, dtype=DOUBLE, requires_grad=True)
    scale = torch.tensor(1.3, dtype=DOUBLE, requires_grad=True)
    weights = torch.randn(4, 4, 3, dtype=DOUBLE)
    t = torch.tensor([0.0, 0.4, 0.9, 1.3], dtype=DOUBLE)
    ys = solve(field, y0, t, solver, gradient, args=(scale,)).ys
    (ys * weights).sum().backward()
    return [y0.grad, scale.grad, *(p.grad for p in field.parameters())]


@pytest.mark.parametrize("gradient", ["adjoint", "discrete", "backprop"])
def test_parameters_may_come_from_a_generator(gradient):
    field, t = Field(), torch.tensor([0.0, 1.0], dtype=DOUBLE)
    y0, solver = torch.ones(2, 3, dtype=DOUBLE), Solver("rk4", num_steps=20)

    def found(parameters):
        ys = solve(lambda t, y: field(t, y), y0, t, solver, gradient, parameters=parameters).ys
        return torch.autograd.grad(ys.sum(), list(field.parameters()))

    torch.testing.assert_close(found(field.parameters()), found(list(field.parameters())))


@pytest.mark.parametrize("seminorm", [True, False])
@pytest.mark.parametrize(
    "solver", [Solver("dopri5", 1e-9, 1e-9), Solver("rk4", num_steps=200)], ids=lambda s: s.method
)
def test_adjoint_equals_backprop_at_tight_tolerance(solver, seminorm):
    found, expected = gradients(Adjoint(seminorm=seminorm), solver), gradients(Backprop(), solver)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-8)


def test_adjoint_converges_with_the_tolerance():
    expected = gradients(Backprop(), Solver("dopri5", 1e-11, 1e-11))
    errors = []
    for tol in (1e-3, 1e-5, 1e-7):
        found = gradients(Adjoint(), Solver("dopri5", tol, tol))
        errors.append(
            max(float((a - b).norm() / b.norm()) for a, b in zip(found, expected, strict=True))
        )
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 1e-6


def test_backprop_passes_gradcheck():
    field = Field()

    def final(y0, scale):
        times = torch.tensor([0.0, 1.0], dtype=DOUBLE)
        return solve(field, y0, times, Solver("rk4", num_steps=3), Backprop(), args=(scale,)).ys

    y0 = torch.randn(2, 3, dtype=DOUBLE, requires_grad=True)
    scale = torch.tensor(0.7, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(final, (y0, scale))
    assert torch.autograd.gradgradcheck(final, (y0, scale))


def test_gradients_of_times():
    """dL/dt1 = a(t1) f(t1) and dL/dt0 = -a(t0) f(t0), against the closed form."""
    t = torch.tensor([0.3, 0.8, 1.5], dtype=DOUBLE, requires_grad=True)
    y0 = torch.tensor([1.0, -2.0], dtype=DOUBLE)
    weights = torch.tensor([[0.5, 0.1], [1.0, 3.0], [-2.0, 0.7]], dtype=DOUBLE)

    def analytic(t):
        return y0 * torch.exp(torch.sin(t[0]) - torch.sin(t))[:, None]

    (expected,) = torch.autograd.grad((analytic(t) * weights).sum(), t)
    solver = Solver("dopri5", 1e-10, 1e-10)
    ys = solve(lambda t, y: -y * torch.cos(t), y0, t, solver, Adjoint()).ys
    (found,) = torch.autograd.grad((ys * weights).sum(), t)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)


def test_memory_of_the_adjoint_does_not_grow_with_steps():
    field = Field()

    def saved(gradient, steps):
        y0 = torch.randn(16, 3, dtype=DOUBLE, requires_grad=True)
        with SavedBytes(field) as counter:
            solve(field, y0, torch.tensor([0.0, 1.0]), Solver("rk4", num_steps=steps), gradient)
        return counter.total

    assert saved(Adjoint(), 64) <= 1.05 * saved(Adjoint(), 4)
    assert saved(Backprop(), 64) > 10 * saved(Backprop(), 4)


def test_adjoint_counts_its_evaluations():
    field = Field()
    y0 = torch.randn(2, 3, dtype=DOUBLE, requires_grad=True)
    times = torch.tensor([0.0, 1.0], dtype=DOUBLE)
    solution = solve(field, y0, times, Solver("rk4", num_steps=5), Adjoint())
    assert (solution.stats.forward.evaluations, solution.stats.backward.evaluations) == (20, 0)
    solution.ys[-1].sum().backward()
    assert (solution.stats.forward.evaluations, solution.stats.backward.evaluations) == (20, 20)
