"""Density matching and maximum likelihood on flows whose answers are known."""

import math
from types import SimpleNamespace

import pytest
import torch

from node_experiments.chapters.normalizing_flows.chapter import (
    EnergiesConfig,
    FFJORDConfig,
    PlanarCNFConfig,
    PointsConfig,
)
from node_experiments.chapters.normalizing_flows.density_matching import DensityMatching
from node_experiments.chapters.normalizing_flows.energies import ENERGIES, energy_data
from node_experiments.chapters.normalizing_flows.flow import normal_log_density
from node_experiments.chapters.normalizing_flows.flows import ffjord, planar_cnf
from node_experiments.chapters.normalizing_flows.grid import integral
from node_experiments.chapters.normalizing_flows.maximum_likelihood import MaximumLikelihood
from node_experiments.chapters.normalizing_flows.planar_nf import PlanarNF
from node_experiments.chapters.normalizing_flows.point_sets import point_data
from node_experiments.ode import Backprop, Solver
from tests.grids import by_turns

SOLVER = Solver("dopri5", rtol=1e-5, atol=1e-5)


class Gaussian(torch.nn.Module):
    """A flow that is a Gaussian."""

    dim = 2

    def __init__(self, std):
        super().__init__()
        self.std = std

    def sample(self, noise):
        return self.std * noise, self.log_prob(self.std * noise)

    def log_prob(self, x, fraction=1.0):
        return normal_log_density(x, self.std)

    def path(self, noise, fractions):
        return torch.stack([self.std * noise for _ in fractions])


def test_divergence_of_two_gaussians_is_known():
    std = 1.5
    task = DensityMatching(lambda z: normal_log_density(z, 1.0))
    noise = energy_data(EnergiesConfig(batch_size=20_000, batches=1)).train
    found = task.evaluate(Gaussian(std), noise)
    expected = 2 * (0.5 * (std**2 - 1) - math.log(std))
    assert found["kl"] == pytest.approx(expected, abs=4 * found["kl_se"])
    assert 0 < found["kl_se"] < 0.02
    assert found["normalization"] == pytest.approx(1, abs=1e-3)
    same = DensityMatching(lambda z: normal_log_density(z, std)).evaluate(Gaussian(std), noise)
    assert same["kl"] == pytest.approx(0, abs=1e-6)
    assert same["effective_samples"] == pytest.approx(1)


def test_likelihood_of_a_gaussian_is_minus_its_entropy():
    x = 1.5 * torch.randn(20_000, 2)
    found = MaximumLikelihood().evaluate(Gaussian(1.5), [x[:10_000], x[10_000:]])
    expected = -(1 + math.log(2 * math.pi * 1.5**2))
    assert found["log_likelihood"] == pytest.approx(expected, abs=4 * found["log_likelihood_se"])
    assert found["log_likelihood_se"] == pytest.approx(1 / 20_000**0.5, rel=0.05)
    assert "log_likelihood_true" not in found


@pytest.mark.parametrize(
    "flow",
    [
        lambda: planar_cnf(PlanarCNFConfig(units=8), SimpleNamespace(dim=2), SOLVER, Backprop()),
        lambda: ffjord(
            FFJORDConfig(hidden=8, trace="hutchinson"), SimpleNamespace(dim=2), SOLVER, Backprop()
        ),
        lambda: PlanarNF(2, 8, "sample"),
        lambda: PlanarNF(2, 8, "density"),
    ],
    ids=["planar_cnf", "ffjord", "planar_nf sample", "planar_nf density"],
)
def test_densities_integrate_to_one(flow):
    model = flow().eval()
    with torch.no_grad():
        samples = model.path(torch.randn(5000, 2), [1.0])[0]
        assert integral(model, samples) == pytest.approx(1, abs=0.01)


def test_a_density_that_does_not_integrate_to_one_is_seen():
    model = Gaussian(1.0)
    model.log_prob = lambda x, fraction=1.0: normal_log_density(x, 1.0) + 0.1
    assert integral(model, torch.randn(5000, 2)) == pytest.approx(math.exp(0.1), rel=0.01)


@pytest.mark.parametrize(("energy", "kind"), by_turns(ENERGIES, ["cnf", "nf"]))
def test_training_comes_closer_to_every_energy(kind, energy):
    data = energy_data(EnergiesConfig(energy=energy, batch_size=128, batches=20, test_size=1000))
    model = (
        planar_cnf(PlanarCNFConfig(units=8), SimpleNamespace(dim=2), SOLVER, Backprop())
        if kind == "cnf"
        else PlanarNF(2, 8, "sample")
    )
    task = DensityMatching(data.log_density)
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    with torch.no_grad():
        before = task.evaluate(model, data.test)["kl"]
    for step, batch in enumerate(data.train):
        loss, _ = task.loss(model, batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        after = task.evaluate(model, data.test)
    assert after["kl_se"] < after["kl"] < 0.7 * before
    assert after["normalization"] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", ["cnf", "nf"])
def test_training_comes_closer_to_the_points(kind):
    data = point_data(
        PointsConfig(
            name="two_moons", noise=0.1, scale=2.0, batch_size=256, batches=60, test_size=1000
        )
    )
    steps = {"cnf": 60, "nf": 60}[kind]
    model = (
        planar_cnf(PlanarCNFConfig(units=16), SimpleNamespace(dim=2), SOLVER, Backprop())
        if kind == "cnf"
        else PlanarNF(2, 16)
    )
    task = MaximumLikelihood(data.true_log_likelihood)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    with torch.no_grad():
        before = -task.loss(model, data.test[0], 0)[0]
    for step, batch in zip(range(steps), data.train, strict=False):
        loss, _ = task.loss(model, batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        after = -task.loss(model, data.test[0], 0)[0]
    assert before + 0.3 < after < data.true_log_likelihood
