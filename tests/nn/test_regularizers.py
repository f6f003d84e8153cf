import copy
import itertools
import math
import pickle
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from node_experiments.chapters.image_classification.networks import ConvVectorField
from node_experiments.chapters.image_classification.ode_block import ODEBlock
from node_experiments.chapters.irregular_series import gap_dynamics
from node_experiments.chapters.irregular_series.gap_dynamics import GapFlow
from node_experiments.chapters.latent_ode.model import LatentVectorField
from node_experiments.chapters.latent_ode.poisson_model import PoissonField
from node_experiments.chapters.normalizing_flows.chapter import FFJORDConfig
from node_experiments.chapters.normalizing_flows.flows import ffjord
from node_experiments.chapters.toy.cubic_field import NeuralODE
from node_experiments.nn import ode_module
from node_experiments.nn.latent_trajectory import LatentTrajectory
from node_experiments.nn.ode_module import ODEModule
from node_experiments.nn.regularizers import RegularizedField, Regularizer, trajectory_derivatives
from node_experiments.ode import (
    Adjoint,
    Backprop,
    Checkpoint,
    Discrete,
    Interpolated,
    Reversible,
    Solver,
    solve,
)
from node_experiments.training.losses import take_penalties
from tests.grids import always
from tests.ode.gradients.helpers import largest_relative_difference

ALL = Regularizer(kinetic=0.5, jacobian=0.3, taylor=0.2, order=2)
TIGHT = Solver("dopri8", rtol=1e-10, atol=1e-12)
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
    found = trajectory_derivatives(Linear(matrix), t, z, 4)
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


RK4 = Solver("rk4", num_steps=3)
ACCURATE = Solver("dopri5", rtol=1e-6, atol=1e-8)
# The way, its solver, that of the backpropagation it is compared with, the tolerance.
WAYS = {
    "adjoint": (Adjoint(), ACCURATE, ACCURATE, 1e-4),
    "interpolated": (Interpolated(), ACCURATE, ACCURATE, 1e-4),
    "discrete": (Discrete(), RK4, RK4, 1e-10),
    "retained": (Discrete(retain_graphs=True), RK4, RK4, 1e-10),
    "checkpoint": (Checkpoint(checkpoints=2), RK4, RK4, 1e-10),
    "reversible": (Reversible(), *[Solver("reversible_rk4", num_steps=3)] * 2, 1e-10),
    "implicit": (Discrete(), Solver("kvaerno3", rtol=1e-4, atol=1e-6), ACCURATE, 1e-2),
}
FIELDS = {
    "swirl": (Swirl, (2, 3)),
    "conv": (lambda: ConvVectorField(4), (2, 4, 3, 3)),
    "poisson": (lambda: PoissonField(3, 4, 1, "softplus", 2.0, 5.0), (2, 4)),
}


def gradients(field, z0, solver, gradient):
    module = regularized(field, ALL, solver, gradient)
    torch.manual_seed(3)  # of the noise
    ys = module.solve(z0, torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64))
    loss = ys.square().mean() + penalty(module)
    return torch.autograd.grad(loss, [z0, *field.parameters()])


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_gradients_differentiates_the_penalties(way):
    gradient, solver, of_reference, tolerance = WAYS[way]
    field, z0 = Swirl().double(), torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    expected = gradients(field, z0, of_reference, Backprop())
    found = gradients(field, z0, solver, gradient)
    assert largest_relative_difference(found, expected) < tolerance


@pytest.mark.parametrize("field", ["conv", "poisson"])
def test_penalties_of_the_fields_of_the_models(field):
    """Convolutions with group normalisation, and a state that carries more than what moves."""
    make, shape = FIELDS[field]
    model, z0 = make().double(), torch.randn(shape, dtype=torch.float64, requires_grad=True)
    expected = gradients(model, z0, RK4, Backprop())
    found = gradients(model, z0, RK4, Discrete())
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-10)


def test_gradients_of_the_penalties_by_finite_differences():
    field = Swirl(2, 2).double()
    module = regularized(field, ALL, Solver("rk4", num_steps=2))

    def penalties(z0, *parameters):
        torch.manual_seed(3)
        module.penalties = {}
        module.solve(z0, UNIT)
        return penalty(module)

    z0 = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(penalties, (z0, *field.parameters()), fast_mode=True)


def test_a_model_can_be_copied_and_kept_after_a_pass():
    """As averages of weights over training are, with the graph of the penalties still there."""
    model, y0 = (
        regularized(Linear(torch.eye(2)), Regularizer(kinetic=1)),
        torch.ones(3, 2).double(),
    )
    model.solve(y0, UNIT)
    assert model.penalties["kinetic"].integral.requires_grad
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert copied.penalties == {}
        copied.solve(y0, UNIT)
        assert copied.penalties["kinetic"].integral > 0
    assert model.penalties["kinetic"].integral.requires_grad


def flow(trace="exact"):
    return ffjord(
        FFJORDConfig(hidden=8, layers=2, trace=trace), SimpleNamespace(dim=2), RK4, Discrete()
    ).double()


def test_a_flow_is_regularised_without_its_log_density():
    model, x = flow(), torch.randn(6, 2, dtype=torch.float64)
    without = model.log_prob(x)
    model.regularize(Regularizer(kinetic=1, taylor=1, order=2))
    torch.testing.assert_close(model.log_prob(x), without, rtol=1e-12, atol=1e-12)
    alone = regularized(
        model.vector_field.dynamics, Regularizer(kinetic=1, taylor=1, order=2), RK4
    )
    alone.solve(x, UNIT.flip(0))
    for name, expected in alone.penalties.items():
        torch.testing.assert_close(model.penalties[name].integral, expected.integral)


@pytest.mark.parametrize(
    ("way", "trace"),
    always(
        ["adjoint", "checkpoint"],
        [("adjoint", "hutchinson"), ("discrete", "exact"), ("discrete", "hutchinson"),
         ("retained", "hutchinson"), ("checkpoint", "exact")],
    ),
)  # fmt: skip
def test_gradients_of_a_regularised_flow(way, trace):
    """The function itself differentiates twice over: for its trace, and for its Jacobian."""
    gradient, solver, of_reference, tolerance = WAYS[way]
    model, x = flow(trace), torch.randn(6, 2, dtype=torch.float64)
    found = []
    for model.gradient, model.solver in ((gradient, solver), (Backprop(), of_reference)):
        model.regularize(ALL)
        torch.manual_seed(3)
        loss = -model.log_prob(x).mean() + penalty(model)
        model.penalties = {}
        found.append(torch.autograd.grad(loss, list(model.parameters())))
    assert largest_relative_difference(*found) < tolerance


def test_expected_events_are_not_regularised():
    field = PoissonField(3, 4, 1, "tanh", 2.0, 5.0)
    module = LatentTrajectory(field, RK4, Backprop())
    module.regularize(Regularizer(kinetic=1, jacobian=1))
    module(torch.randn(2, 4), torch.tensor([[0.5, 1.0]]))
    penalty(module).backward()
    assert not any(p.grad is not None and p.grad.any() for p in field.log_rate_net.parameters())
    assert any(p.grad.any() for p in field.dynamics.parameters())


@pytest.mark.parametrize("method", ["dopri5", "adaptive_heun"])
def test_the_steps_are_those_of_the_state_alone(method):
    field, z0 = Swirl().double(), torch.randn(2, 3, dtype=torch.float64)
    found = []
    for regularizer in (Regularizer(), Regularizer(kinetic=100, taylor=100, order=2)):
        module = regularized(field, regularizer, Solver(method, rtol=1e-5, atol=1e-7), Adjoint())
        ys = module.solve(z0, UNIT)
        ys.sum().backward()
        found.append((ys.detach(), module.stats.forward, module.stats.backward))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-12, atol=1e-12)
    assert found[0][1].evaluations == found[1][1].evaluations
    assert found[0][2].evaluations == found[1][2].evaluations


@pytest.mark.parametrize("method", ["adams", "scipy_vode_adams", "reversible_heun", "trbdf2"])
def test_every_family_of_methods_carries_penalties(method):
    module = regularized(Linear([[-0.5]]), Regularizer(kinetic=1), gradient=Adjoint())
    module.solver = Solver(method, rtol=1e-5, atol=1e-7)
    module.solve(torch.ones(1, 1, dtype=torch.float64), UNIT)
    expected = 0.25 * (1 - math.exp(-1))
    assert module.penalties["kinetic"].integral.item() == pytest.approx(expected, rel=1e-3)


def test_penalties_of_several_solves_add_up_until_they_are_taken():
    module = regularized(Linear([[-0.5]]), Regularizer(kinetic=2), RK4)
    z0 = torch.ones(1, 1, dtype=torch.float64)
    module.solve(z0, UNIT)
    once = module.penalties["kinetic"].integral
    module.solve(z0, UNIT)
    ((name, found),) = take_penalties(nn.Sequential(module))
    assert (name, found.weight) == ("kinetic", 2)
    torch.testing.assert_close(found.integral, 2 * once)
    assert list(take_penalties(module)) == []


class Growth(nn.Module):
    """f(h) = a h."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def forward(self, h):
        return self.a * h


def gap_flow(net, regularizer, gradient=None, solver=TIGHT):
    flow = GapFlow(net, solver, gradient or Backprop(), span=1.0)
    flow.regularize(regularizer)
    return flow


def test_integrals_over_gaps_are_those_over_real_time():
    """h' = a h over gaps of each row's own: backwards ones count as forward, none as nothing."""
    a, gaps = -0.8, torch.tensor([0.5, 0.0, -0.3, 2.0], dtype=torch.float64)
    regularizer = Regularizer(kinetic=1, jacobian=1, taylor=1, order=2)
    flow, state = gap_flow(Growth(a), regularizer), torch.randn(4, 6, dtype=torch.float64)
    flow.start_pass(5)  # a fifth series has ended
    flow(state, gaps)
    squares = state[:, :3].square().mean(1) * ((2 * a * gaps).exp() - 1) / (2 * a)
    total = squares.abs().sum() / 5
    expected = {
        "kinetic": a**2 * total,
        "jacobian": a**2 * gaps.abs().sum() / 5,
        "taylor": a**4 * total,
    }
    for name, value in expected.items():
        torch.testing.assert_close(flow.penalties[name].integral, value, rtol=1e-8, atol=0)
    flow(state, gaps)  # and so over all solves of a pass
    torch.testing.assert_close(flow.penalties["kinetic"].integral, 2 * expected["kinetic"])


@pytest.mark.parametrize("few", [256, 1])
def test_integrals_of_fixed_steps_end_where_each_gap_does(few, monkeypatch):
    """h' = a h by Euler's method: sum of a^2 h^2 over the steps of each row."""
    monkeypatch.setattr(gap_dynamics, "FEW_ROWS", few)
    a, gaps = -0.8, torch.tensor([0.5, 0.1, -0.33, 2.0], dtype=torch.float64)
    flow = gap_flow(Growth(a), Regularizer(kinetic=1), solver=Solver("euler", step_size=0.1))
    state = torch.randn(4, 6, dtype=torch.float64)
    flow.start_pass(4)
    flow(state, gaps)
    expected = 0.0
    for row, gap, steps in zip(state[:, :3], gaps, (5, 1, 4, 20), strict=True):
        each = gap / steps
        growth = (1 + a * each) ** (2 * torch.arange(steps))
        expected += a**2 * row.square().mean() * growth.sum() * abs(each) / 4
    torch.testing.assert_close(flow.penalties["kinetic"].integral, expected)


def test_a_gap_costs_what_its_parts_do():
    flow, state = gap_flow(nn.Linear(3, 3).double(), ALL), torch.randn(4, 6, dtype=torch.float64)
    gaps = torch.tensor([0.5, 0.1, 0.3, 2.0], dtype=torch.float64)
    torch.manual_seed(1)
    flow(state, gaps)
    once, flow.penalties = flow.penalties, {}
    for part in (0.25, 0.0, 0.75):
        torch.manual_seed(1)  # the same noise
        state = flow(state, part * gaps)
    for name in ("kinetic", "jacobian", "taylor"):
        torch.testing.assert_close(
            flow.penalties[name].integral, once[name].integral, rtol=1e-7, atol=0
        )


@pytest.mark.parametrize("way", always([*WAYS][::2], WAYS))
def test_every_way_to_gradients_differentiates_the_penalties_of_gaps(way):
    gradient, solver, of_reference, tolerance = WAYS[way]
    gaps = torch.tensor([0.5, 0.0, 0.7], dtype=torch.float64)
    state = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    found = []
    for of_way, by in ((gradient, solver), (Backprop(), of_reference)):
        flow = gap_flow(net, ALL, of_way, by)
        torch.manual_seed(3)  # of the noise
        flow(state, gaps)
        found.append(torch.autograd.grad(penalty(flow), [state, *net.parameters()]))
    assert largest_relative_difference(*found) < tolerance


@pytest.mark.parametrize("way", ["no regulariser", "weights of 0", "evaluation", "no gradients"])
def test_nothing_is_integrated_when_nothing_is_asked_for(way, monkeypatch):
    """The vector field itself is what is solved, with no wrapper around it."""
    block = ODEBlock(ConvVectorField(4), RK4, Discrete())
    if way != "no regulariser":
        block.regularize(Regularizer() if way == "weights of 0" else ALL)
    block.train(way != "evaluation")
    solved = []

    def spied(func, y0, *arguments, **options):
        solved.append((func, y0, options))
        return solve(func, y0, *arguments, **options)

    monkeypatch.setattr(ode_module, "solve", spied)
    y0 = torch.randn(2, 4, 3, 3)
    with torch.set_grad_enabled(way != "no gradients"):
        block(y0)
    assert solved == [(block.vector_field, y0, {"args": ()})]
    assert block.penalties == {}


@pytest.mark.parametrize(
    "model",
    [
        lambda: ODEBlock(ConvVectorField(4), RK4, Discrete()),
        lambda: NeuralODE(3, 50, RK4, Discrete()),
        lambda: LatentTrajectory(LatentVectorField(4, 5, 1, "tanh"), RK4, Discrete()),
        flow,
    ],
)
def test_weights_keep_their_names(model):
    module = model()
    names = list(module.state_dict())
    module.regularize(ALL)
    assert list(module.state_dict()) == names


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (Solver("dopri5", batching="independent"), "batching='independent'"),
        (Solver("leapfrog", num_steps=4), "two equal halves"),
    ],
)
def test_solvers_that_cannot_carry_penalties_are_rejected(solver, message):
    with pytest.raises(ValueError, match=message):
        regularized(Swirl(), ALL, solver)
    regularized(Swirl(), Regularizer(), solver)
