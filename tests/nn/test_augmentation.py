"""Further dimensions of a state: flows that a plain ODE does not have; the option of models."""

import math

import pytest
import torch
from torch import nn

from node_experiments.chapters import models
from node_experiments.chapters.image_classification.ode_block import ODEBlock
from node_experiments.chapters.irregular_series.gap_dynamics import GapFlow
from node_experiments.chapters.irregular_series.latent_ode import PoissonDynamics
from node_experiments.chapters.latent_ode.chapter import PoissonConfig, PoissonLatentODEConfig
from node_experiments.chapters.latent_ode.poisson_events import poisson_data
from node_experiments.chapters.latent_ode.poisson_model import PoissonLatentODE
from node_experiments.chapters.toy.cubic_field import NeuralODE
from node_experiments.config import ConfigError
from node_experiments.nn.latent_trajectory import LatentTrajectory
from node_experiments.ode import Adjoint, Backprop, Discrete, Solver

TIGHT = Solver("dopri5", rtol=1e-9, atol=1e-11)


class HalfTurn(nn.Module):
    """(x, a) turns by pi per unit of time: x becomes -x, which no ODE on the line does."""

    def __init__(self, dim=-1):
        super().__init__()
        self.dim = dim
        self.speed = nn.Parameter(torch.tensor(math.pi, dtype=torch.float64))

    def forward(self, t, y):
        x, a = y.split(1, self.dim)
        return self.speed * torch.cat([-a, x], self.dim)


@pytest.mark.parametrize("gradient", [Backprop(), Discrete(), Adjoint()])
@pytest.mark.parametrize("knots", [0, 400])
def test_a_latent_trajectory_crosses_itself_with_one_more_dimension(gradient, knots):
    field = HalfTurn()
    trajectory = LatentTrajectory(field, TIGHT, gradient, knots, augment=1)
    z0 = torch.tensor([[2.0], [-1.0]], dtype=torch.float64, requires_grad=True)
    times = torch.tensor([[0.5, 1.0], [0.25, 1.0]], dtype=torch.float64)
    found = trajectory(z0, times)
    expected = z0.unsqueeze(1) * (math.pi * times).cos().unsqueeze(-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
    (slope,) = torch.autograd.grad(found[:, 0].sum(), field.speed)
    exact = -(z0[:, 0] * times[:, 0] * (math.pi * times[:, 0]).sin()).sum()
    torch.testing.assert_close(slope, exact.detach(), rtol=0, atol=1e-6)


def test_the_mean_of_an_ode_rnn_crosses_itself_too():
    class Turn(nn.Module):
        def forward(self, h):
            return math.pi * torch.stack([-h[:, 1], h[:, 0]], 1)

    flow = GapFlow(Turn(), TIGHT, Backprop(), span=1.0, augment=1)
    state = torch.tensor([[2.0, 0.3], [1.0, 0.7]], dtype=torch.float64)
    found = flow(state, torch.tensor([1.0, 0.5], dtype=torch.float64))
    expected = torch.tensor([[-2.0, 0.3], [0.0, 0.7]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)


def test_an_ode_block_gains_channels_of_zeros():
    block = ODEBlock(HalfTurn(dim=1), TIGHT, Backprop(), augment=1).double()
    images = torch.randn(3, 1, 4, 4, dtype=torch.float64)
    found = block(images)
    torch.testing.assert_close(found, torch.cat([-images, 0 * images], 1), rtol=0, atol=1e-8)


def test_a_neural_ode_shows_the_dimensions_of_its_data():
    model = NeuralODE(2, 5, Solver("rk4", num_steps=4), Backprop(), augment=3)
    y0, times = torch.randn(6, 2), torch.linspace(0, 1, 4)
    states = model(y0, times)
    assert states.shape == (4, 6, 2)
    torch.testing.assert_close(states[0], y0)
    torch.testing.assert_close(model.velocity(times[0], y0), model.vector_field(
        times[0], torch.cat([y0, torch.zeros(6, 3)], 1))[:, :2])  # fmt: skip


def test_the_events_of_an_augmented_latent_ode_are_the_integral_of_their_rate():
    data = poisson_data(
        PoissonConfig(train_size=30, validation_size=0, test_size=4, batch_size=10)
    )
    settings = PoissonLatentODEConfig(augment=3, knots=100)
    solver = Solver("dopri5", rtol=1e-7, atol=1e-8)
    model = PoissonLatentODE(settings, data.span, data.mean_count, solver, Backprop())
    batch, z0 = data.test.data, torch.randn(4, 4)
    with torch.no_grad():
        grid = torch.linspace(0, data.span, 1001)
        integral = torch.trapezoid(model.rate(z0, grid.unsqueeze(0)), grid, dim=1)
        at_events = model.rate(z0, batch.observed.times).log() * batch.observed.mask
        found = model.log_likelihood(z0, batch.observed)
    torch.testing.assert_close(found, at_events.sum(1) - integral, atol=2e-3, rtol=1e-4)


def test_augmented_poisson_dynamics_keep_their_parts_apart():
    field = PoissonDynamics(2, 3, 8, 1, augment=5)
    y = torch.randn(7, 4 + 3 + 5)
    moved = field.moving_part(y)
    torch.testing.assert_close(moved, torch.cat([y[:, :4], y[:, 7:]], 1))
    found = field(torch.tensor(0.0), y)
    torch.testing.assert_close(field.moving_part(found), field.dynamics(torch.tensor(0.0), moved))
    torch.testing.assert_close(found[:, 4:7], field.log_rate(y[:, 2:4]).exp() / 100)


AUGMENTED = sorted(
    name
    for name, model in models().items()
    if "augment" in (model.used_settings or model.settings.__dataclass_fields__)
)
FLOWS = {"ffjord", "flow_matching", "hamiltonian_cnf", "planar_cnf"}


def test_which_models_have_the_option():
    odes = {
        "image_ode", "irregular_latent_ode", "latent_ode", "latent_ode_poisson", "neural_ode",
        "ode_rnn", "odenet", "poisson_latent_ode", "sphere_ode",
    }  # fmt: skip
    assert set(AUGMENTED) == odes | FLOWS


@pytest.mark.parametrize("name", AUGMENTED)
def test_none_is_the_default_and_a_number_below_0_is_rejected(name):
    settings = models()[name].settings
    assert settings(name=name).augment == 0
    with pytest.raises(
        ConfigError, match=r"model.augment=-1 must be (from 0 to 1000|0: an augmented flow)"
    ):
        settings(name=name, augment=-1)


@pytest.mark.parametrize("name", sorted(FLOWS))
def test_a_density_cannot_be_augmented(name):
    with pytest.raises(ConfigError, match=r"model.augment=1 must be 0: an augmented flow"):
        models()[name].settings(name=name, augment=1)


def test_one_command_trains_an_augmented_model(node_run):
    result = node_run(
        "experiment=periodic_latent_ode", "model=latent_ode_poisson", "protocol=smoke",
        "trainer.threads=1", "trainer.epochs=1", "model.augment=2", "dataset.train_size=16",
        "dataset.batch_size=8", "dataset.validation_size=8", "dataset.test_size=8",
    )  # fmt: skip
    assert result.code == 0, result.err


def test_models_without_an_ode_have_no_such_setting(node_run):
    result = node_run("experiment=mnist_resnet", "model.augment=3")
    assert result.code == 2
    assert "augment" in result.err
    assert "Traceback" not in result.err
