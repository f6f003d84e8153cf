import itertools
import math
from itertools import product

import pytest
import torch
from torch import nn

from node_experiments.models.image_classifiers import ConvVectorField
from node_experiments.models.ode_module import ODEModule
from node_experiments.models.poisson import PoissonField
from node_experiments.models.regularizers import (
    RegularizedField,
    Regularizer,
    trajectory_derivatives,
)
from node_experiments.ode import Adjoint, Backprop, Checkpoint, Discrete, Solver, solve
from node_experiments.ode.gradients import Interpolated, Reversible

from ..ode.gradients.helpers import largest_relative_difference

ALL = Regularizer(kinetic=0.5, jacobian=0.3, taylor=0.2, order=3)
TIGHT = Solver("dopri5", rtol=1e-10, atol=1e-12)
UNIT = torch.tensor([0.0, 1.0], dtype=torch.float64)


class Linear(nn.Module):
    """dz/dt = A z + t b, which has closed forms."""

    def __init__(self, matrix, slope=0.0):
        super().__init__()
        self.matrix = nn.Parameter(torch.as_tensor(matrix, dtype=torch.float64))
        self.slope = slope

    def forward(self, t, z):
        return z @ self.matrix.t() + t * self.slope


class Swirl(nn.Module):
    """A nonlinear field of state and time."""

    def __init__(self, dim=3, hidden=5):
        super().__init__()
        self.inner, self.outer = nn.Linear(dim + 1, hidden), nn.Linear(hidden, dim)

    def forward(self, t, z):
        with_time = torch.cat([z, t.expand_as(z[..., :1])], -1)
        return self.outer(torch.tanh(self.inner(with_time)))


def regularized(field, regularizer, solver=TIGHT, gradient=None):
    module = ODEModule(field, solver, gradient or Backprop())
    module.regularize(regularizer)
    return module


def penalty(module):
    return sum(p.weight * p.integral for p in module.penalties.values())


def test_derivatives_of_a_linear_trajectory():
    matrix = torch.randn(3, 3, dtype=torch.float64)
    z, t = torch.randn(4, 3, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    found = trajectory_derivatives(Linear(matrix), t, z, 5)
    for k, derivative in enumerate(found, 1):
        expected = z @ torch.linalg.matrix_power(matrix, k).t()
        torch.testing.assert_close(derivative, expected, rtol=1e-12, atol=1e-12)


def test_derivatives_of_a_trajectory_in_a_field_that_changes_with_time():
    z, t = torch.randn(4, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    found = trajectory_derivatives(lambda t, z: t * z, t, z, 4)
    factors = (t, 1 + t**2, 3 * t + t**3, 3 + 6 * t**2 + t**4)  # z = z0 exp(t^2 / 2)
    for factor, derivative in zip(factors, found, strict=True):
        torch.testing.assert_close(derivative, factor * z, rtol=1e-12, atol=1e-12)


def test_derivatives_agree_with_finite_differences_along_a_solution():
    field, h = Swirl().double(), 1e-2
    z = torch.randn(2, 3, dtype=torch.float64)
    with torch.no_grad():
        t0 = torch.tensor(0.4, dtype=torch.float64)
        found = trajectory_derivatives(field, t0, z, 3)
        solver = Solver("dopri8", rtol=1e-13, atol=1e-14)
        ahead, behind = (
            solve(field, z, t0 + sign * h * torch.arange(3.0).double(), solver).ys
            for sign in (1, -1)
        )
        points = [behind[2], behind[1], z, ahead[1], ahead[2]]
        second = (-points[0] + 16 * points[1] - 30 * z + 16 * points[3] - points[4]) / (12 * h**2)
        third = (-points[0] + 2 * points[1] - 2 * points[3] + points[4]) / (2 * h**3)
    torch.testing.assert_close(found[1], second, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found[2], third, rtol=1e-3, atol=1e-4)


def test_integrals_have_their_closed_forms():
    """dz/dt = a z: each integrand is a multiple of exp(2 a t), the Jacobian is a."""
    a = -0.8
    module = regularized(Linear([[a]]), Regularizer(kinetic=1, jacobian=1, taylor=1, order=3))
    z0 = torch.randn(5, 1, dtype=torch.float64)
    module.solve(z0, 2 * UNIT)
    growth = z0.square().mean() * (math.exp(4 * a) - 1) / (2 * a)
    expected = {"kinetic": a**2 * growth, "jacobian": 2 * a**2, "taylor": a**6 * growth}
    assert list(module.penalties) == ["kinetic", "jacobian", "taylor"]
    for name, value in expected.items():
        assert module.penalties[name].integral.item() == pytest.approx(float(value), rel=1e-8)


def test_integrals_of_a_solve_backwards_in_time_are_positive():
    module = regularized(Swirl().double(), ALL)
    z0 = torch.randn(2, 3, dtype=torch.float64)
    z1 = module.solve(z0, UNIT)[-1]
    there, module.penalties = module.penalties, {}
    torch.manual_seed(1)
    module.solve(z1, UNIT.flip(0))
    for name in ("kinetic", "taylor"):
        back = module.penalties[name].integral
        torch.testing.assert_close(back, there[name].integral, rtol=1e-6, atol=1e-9)
    assert module.penalties["jacobian"].integral > 0


def test_the_mean_over_all_noise_is_the_norm_of_the_jacobian():
    field = Linear(torch.randn(3, 3))
    wrapped = RegularizedField(field, Regularizer(jacobian=1))
    state = wrapped.start(torch.randn(1, 3, dtype=torch.float64))
    signs = list(itertools.product((-1.0, 1.0), repeat=3))
    found = [wrapped(UNIT[0], state, torch.tensor([s]).double())[1].item() for s in signs]
    expected = field.matrix.square().sum().item() / 3
    assert sum(found) / len(signs) == pytest.approx(expected, rel=1e-12)


def test_noise_is_one_or_minus_one_and_drawn_once_a_solve():
    seen = []

    class Watched(RegularizedField):
        def __call__(self, t, state, noise, *args):
            seen.append(noise)
            return super().__call__(t, state, noise, *args)

    module = regularized(Swirl(), Regularizer(jacobian=1), Solver("rk4", num_steps=2))
    module._regularized = Watched(module.vector_field, Regularizer(jacobian=1))
    z0 = torch.randn(50, 3)
    module.solve(z0, UNIT.float())
    assert set(seen[0].unique().tolist()) == {-1.0, 1.0}
    assert all(torch.equal(noise, seen[0]) for noise in seen)
    before = seen[0]
    seen.clear()
    module.solve(z0, UNIT.float())
    assert not torch.equal(before, seen[0])


WAYS = {
    "adjoint": (Adjoint(), TIGHT, 1e-7),
    "interpolated": (Interpolated(), TIGHT, 1e-7),
    "discrete": (Discrete(), TIGHT, 1e-10),
    "retained": (Discrete(retain_graphs=True), TIGHT, 1e-10),
    "checkpoint": (Checkpoint(checkpoints=3), TIGHT, 1e-10),
    "reversible": (Reversible(), Solver("reversible_dopri5", rtol=1e-8, atol=1e-10), 1e-8),
    "implicit": (Discrete(), Solver("kvaerno3", rtol=1e-7, atol=1e-9), 1e-4),
}
FIELDS = {
    "swirl": (lambda: Swirl(), (2, 3)),
    "conv": (lambda: ConvVectorField(4), (2, 4, 3, 3)),
    "poisson": (lambda: PoissonField(3, 4, 1, "softplus", 2.0, 5.0), (2, 4)),
}


def gradients(field, shape, solver, gradient):
    module = regularized(field, ALL, solver, gradient)
    torch.manual_seed(3)
    z0 = torch.randn(shape, dtype=torch.float64).requires_grad_()
    ys = module.solve(z0, torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64))
    loss = ys.square().mean() + penalty(module)
    return torch.autograd.grad(loss, [z0, *field.parameters()])


@pytest.mark.parametrize(("way", "field"), [*product(WAYS, ["swirl"]), ("poisson", "x")][:-1])
def test_every_way_to_gradients_differentiates_the_penalties(way, field):
    make, shape = FIELDS[field]
    gradient, solver, tolerance = WAYS[way]
    model = make().double()
    expected = gradients(model, shape, TIGHT, Backprop())
    found = gradients(model, shape, solver, gradient)
    assert largest_relative_difference(found, expected) < tolerance
