"""Energies and point sets: known values, normalisers, moments; what is rejected."""

import math

import pytest
import torch

from node_experiments.chapters.normalizing_flows.chapter import (
    POINT_SETS,
    EnergiesConfig,
    PointsConfig,
)
from node_experiments.chapters.normalizing_flows.energies import (
    ENERGIES,
    confine,
    energy_data,
    log_normalizer,
    matching_data,
)
from node_experiments.chapters.normalizing_flows.point_sets import point_data
from node_experiments.chapters.normalizing_flows.true_densities import true_log_density
from node_experiments.errors import DataError


def test_energies_have_their_published_values():
    def at(name, x, y):
        return float(ENERGIES[name](torch.tensor([x, y], dtype=torch.float64)))

    # On the ring at (2, 0) one well is at its bottom, and the other 4 / 0.6 widths away.
    assert at("u1", 2, 0) == pytest.approx(-math.log1p(math.exp(-0.5 * (4 / 0.6) ** 2)))
    assert at("u1", 0, 0) == pytest.approx(12.5 - math.log(2) + 0.5 * (2 / 0.6) ** 2)
    assert at("u2", 1, 1) == pytest.approx(0)
    assert at("u2", 1, 1.4) == pytest.approx(0.5)
    assert at("u3", 1, -2) == pytest.approx(-math.log1p(math.exp(-0.5 * (3 / 0.35) ** 2)))
    assert at("u4", 1, -0.5) == pytest.approx(
        -math.log1p(math.exp(-0.5 * (1.5 / 0.4) ** 2)), abs=1e-12
    )
    assert at("u4", -1, -1) == pytest.approx(-math.log(2), abs=2e-2)  # both waves are one there


def test_normalizers():
    """U2 is a Gaussian across a wave: its integral is known."""
    wall = 0.4 * math.sqrt(2 * math.pi)  # both half Gaussians beyond |z1| = 4
    expected = math.log(0.4 * math.sqrt(2 * math.pi) * (8 + wall))
    assert log_normalizer(confine(ENERGIES["u2"])) == pytest.approx(expected, abs=1e-5)
    # U3 is two such waves of width 0.35 for every z1.
    expected = math.log(2 * 0.35 * math.sqrt(2 * math.pi) * (8 + wall))
    assert log_normalizer(confine(ENERGIES["u3"])) == pytest.approx(expected, abs=1e-5)
    expected = math.log(0.75 * math.sqrt(2 * math.pi) * (8 + wall))
    assert log_normalizer(confine(ENERGIES["u4"])) == pytest.approx(expected, abs=1e-5)


def test_targets_are_normalized_and_confined_beyond_the_pictures_only():
    for name, energy in ENERGIES.items():
        inside = torch.rand(50, 2) * 8 - 4
        torch.testing.assert_close(confine(energy)(inside), energy(inside))
        axis = torch.linspace(-8, 8, 801)
        grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
        total = (
            float(energy_data(EnergiesConfig(energy=name)).log_density(grid).exp().sum()) * 0.02**2
        )
        assert total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        (lambda z: torch.full(z.shape[:-1], torch.inf), "nowhere finite"),
        (lambda z: torch.full(z.shape[:-1], torch.nan), "nowhere finite"),
    ],
)
def test_targets_that_cannot_be(energy, message):
    with pytest.raises(DataError, match=message) as raised:
        matching_data(energy, EnergiesConfig())
    assert "\n" not in str(raised.value)


def test_a_target_that_is_infinite_in_places_is_taken():
    disc = matching_data(
        lambda z: torch.where(z.norm(dim=-1) < 1, 0.0, torch.inf), EnergiesConfig()
    )
    assert float(disc.log_density(torch.zeros(1, 2))) == pytest.approx(
        -math.log(math.pi), abs=1e-2
    )


@pytest.mark.parametrize("name", POINT_SETS)
def test_batches_depend_on_the_seed_and_the_epoch_alone(name):
    def batches(seed, epoch):
        data = point_data(
            PointsConfig(name=name, batch_size=16, batches=2, test_size=20), seed=seed
        )
        data.train.epoch = epoch
        return torch.cat(list(data.train)), data.test[0]

    train, test = batches(0, 3)
    assert train.shape == (32, 2)
    torch.testing.assert_close(train, batches(0, 3)[0])
    assert not torch.equal(train, batches(0, 4)[0])
    assert not torch.equal(train, batches(1, 3)[0])
    torch.testing.assert_close(test, batches(0, 4)[1])
    assert torch.isfinite(train).all()
    assert float(train.abs().max()) < 6


def moments(name, **settings):
    data = point_data(
        PointsConfig(name=name, batch_size=100_000, batches=1, test_size=2, **settings)
    )
    x = next(iter(data.train)).double()
    return x, x.mean(0), x.T.cov()


def test_two_circles():
    """E r^2 = (R1^2 + R2^2) / 2 + 2 noise^2, in units of scale^2, and no direction is special."""
    _, mean, cov = moments("two_circles", noise=0.08, scale=3.0)
    expected = 9 * ((1 + 0.25) / 4 + 0.08**2)
    torch.testing.assert_close(cov, expected * torch.eye(2).double(), rtol=0, atol=0.03)
    assert float(mean.abs().max()) < 0.02


def test_two_moons():
    _, mean, _ = moments("two_moons", noise=0.1, scale=2.0)
    assert float((mean - torch.tensor([0.0, 0.3])).abs().max()) < 0.02
    clean = point_data(PointsConfig(name="two_moons", noise=0.0, scale=1.0, test_size=1000)).test[
        0
    ]
    upper = (clean + torch.tensor([0.5, 0.1])).norm(dim=1)
    lower = (clean - torch.tensor([0.5, 0.4])).norm(dim=1)
    assert float(torch.minimum((upper - 1).abs(), (lower - 1).abs()).max()) < 1e-5


def test_eight_gaussians_lie_at_radius_four_over_root_two():
    data = point_data(PointsConfig(name="8gaussians", noise=0.0, scale=8**0.5, test_size=800))
    torch.testing.assert_close(data.test[0].norm(dim=1), torch.full((800,), 8**0.5))
    assert len(data.test[0].round(decimals=3).unique(dim=0)) == 8


def test_checkerboard_fills_half_of_the_square_evenly():
    x, _, cov = moments("checkerboard", noise=0.0, scale=4.0)
    # Eight dark squares of side 2: uniform marginals on [-4, 4].
    assert float(x.abs().max()) <= 4
    torch.testing.assert_close(cov.diag(), torch.full((2,), 64 / 12).double(), rtol=0.02, atol=0)
    squares = (x / 2).floor()
    assert ((squares.sum(1) % 2) == 0).all()


def test_pinwheel_has_five_equal_arms():
    """Rotation by a fifth of a turn changes nothing: the fifth harmonic only is left."""
    x, mean, _ = moments("pinwheel", noise=0.1, scale=4.0)
    r = x.norm(dim=1)
    assert float(mean.abs().max()) < 0.03
    # radius 2 (1 + 0.3 n), and 2 * 0.1 across
    assert float(r.square().mean()) == pytest.approx(4 * (1 + 0.09 + 0.01), rel=0.02)


@pytest.mark.parametrize("name", POINT_SETS)
def test_true_density_integrates_to_one_and_is_that_of_the_points(name):
    axis = torch.linspace(-5, 5, 61)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
    density = true_log_density(name, grid, 0.15, 2.0, nodes=512).exp()
    cell = (10 / 60) ** 2
    assert float(density.sum()) * cell == pytest.approx(1, abs=1e-3)
    data = point_data(PointsConfig(name=name, noise=0.15, scale=2.0, test_size=4_000))
    x = data.test[0].double()
    # The mean log-density of the points is minus the entropy.
    entropy = float((density * density.clamp(min=1e-300).log()).sum()) * cell
    assert data.true_log_likelihood == pytest.approx(entropy, abs=0.03)
    second = (density.unsqueeze(1) * grid.square()).sum(0) * cell
    torch.testing.assert_close(x.square().mean(0), second, rtol=0.03, atol=0.03)


def test_true_density_of_squares_without_noise_is_uniform():
    x = torch.tensor([[0.5, 0.5], [0.5, -0.5], [5.0, 0.0]])
    found = true_log_density("checkerboard", x, 0, 4.0)
    assert found.tolist() == [pytest.approx(-math.log(32)), -math.inf, -math.inf]


def test_true_density_of_a_circle_is_the_bessel_function():
    from scipy.special import i0e

    x = torch.tensor([[0.9, 0.0], [0.0, 0.3], [1.2, 0.5]], dtype=torch.float64)
    r, s = x.norm(dim=1), 0.2
    expected = sum(
        torch.exp(-((r - radius) ** 2) / (2 * s**2))
        * torch.from_numpy(i0e((r * radius / s**2).numpy()))
        for radius in (1.0, 0.5)
    ) / (2 * 2 * math.pi * s**2)
    found = true_log_density("two_circles", x, s, 1.0).exp()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert true_log_density("pinwheel", x, 0, 1.0) is None
