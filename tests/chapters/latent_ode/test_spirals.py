"""The curves, how they are cut and observed."""

import math

import torch
from matplotlib.figure import Figure

from node_experiments.chapters.latent_ode.chapter import SpiralsConfig
from node_experiments.chapters.latent_ode.figures import limit_to_curve
from node_experiments.chapters.latent_ode.spirals import spiral_curves, spiral_data

SMALL = {"train_size": 40, "validation_size": 10, "test_size": 20, "batch_size": 16, "passes": 2}


def test_curves_are_those_of_the_official_example():
    out, back = spiral_curves(500)
    centre = torch.tensor([5.0, 0.0], dtype=torch.float64)
    radius = (out - centre).norm(dim=1)
    t = torch.linspace(0, 6 * math.pi, 500, dtype=torch.float64)
    torch.testing.assert_close(radius, 0.3 * t)
    torch.testing.assert_close((back + centre).norm(dim=1), 15 / (6 * math.pi + 1 - t))

    def turning(curve, centre):
        a, b = curve[250] - centre, curve[251] - centre
        return float(a[0] * b[1] - a[1] * b[0])

    assert turning(out, centre) > 0  # counter-clockwise
    assert turning(back, -centre) < 0


def test_half_run_clockwise_and_starts_differ():
    data = spiral_data(SpiralsConfig(**SMALL))
    for batches in (data.train, data.validation, data.test):
        label = batches.data.label
        assert int(label.sum()) * 2 == len(label)
        starts = batches.data.window.clean[label == 0, 0]
        assert len(torch.unique(starts, dim=0)) > len(starts) / 2


def test_observations_are_drawn_without_replacement_from_the_noisy_window():
    data = spiral_data(SpiralsConfig(observations=30, **SMALL))
    sample = data.test.data
    assert sample.observed.values.shape == (20, 30, 2)
    chosen = (sample.observed.times / sample.window.times[0, 1]).round().long()
    assert bool((torch.diff(chosen, dim=1) > 0).all())
    assert not torch.equal(chosen[0], chosen[1])
    expected = sample.window.noisy.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 2))
    assert torch.equal(sample.observed.values, expected)


def test_the_future_follows_the_window_on_the_same_curve():
    data = spiral_data(SpiralsConfig(time_span=1.0, noise=0.0, normalize=False, **SMALL))
    sample = data.test.data
    assert sample.window.times[0, -1] == 1.0
    torch.testing.assert_close(sample.future.times[0, 0], torch.tensor(1 + 1 / 99))
    assert torch.equal(sample.future.clean, sample.future.noisy)
    joined = torch.cat([sample.window.clean, sample.future.clean], 1)[sample.label == 0].double()
    centre = torch.tensor([5.0, 0.0])
    radius = (joined - centre).norm(dim=2)
    angle = 6 * math.pi / 999
    torch.testing.assert_close(
        torch.diff(radius, dim=1), torch.full((10, 199), 0.3 * angle).double(), atol=2e-6, rtol=0
    )


def test_noise_is_in_normalised_units():
    data = spiral_data(SpiralsConfig(noise=0.25, train_size=2000, validation_size=0))
    window = data.train.data.window
    noise = window.noisy - window.clean
    assert abs(float(noise.std()) - 0.25) < 0.002
    assert data.validation is None


def test_all_points_share_their_axis():
    data = spiral_data(SpiralsConfig(observations=100, **SMALL))
    observed = data.train.data.observed
    assert observed.times.shape == (1, 100)
    assert observed.select(torch.tensor([3, 1])).values.shape == (2, 100, 2)


def test_the_official_windows_may_start_where_no_future_fits():
    data = spiral_data(
        SpiralsConfig(
            variant="official_code",
            grid_points=500,
            last_start=400,
            normalize=False,
            noise=0.3,
            observations=100,
            train_size=2000,
        )
    )
    radius = (data.train.data.window.clean[:, 0] - torch.tensor([5.0, 0.0])).norm(dim=1)
    at_label = radius[data.train.data.label == 0]
    assert float(at_label.max()) > 0.3 * 350 / 499 * 6 * math.pi
    assert data.train.data.future is None
    assert data.test.data.future.clean.shape == (400, 100, 2)


def test_order_depends_on_seed_and_epoch_and_every_pass_sees_all():
    data = spiral_data(SpiralsConfig(**SMALL), seed=3)

    def labels(epoch):
        data.train.epoch = epoch
        return [batch.window.clean[:, 0, 0].tolist() for batch in data.train]

    first, again, other = labels(0), labels(0), labels(1)
    assert first == again != other
    assert len(first) == len(data.train) == 6
    everything = sorted(data.train.data.window.clean[:, 0, 0].tolist())
    assert sorted(x for batch in first[:3] for x in batch) == everything


def test_splits_and_seeds_are_different_draws():
    one, two = spiral_data(SpiralsConfig(**SMALL)), spiral_data(SpiralsConfig(**SMALL), seed=1)
    again = spiral_data(SpiralsConfig(**SMALL))
    assert torch.equal(one.test.data.future.noisy, again.test.data.future.noisy)
    assert not torch.equal(one.test.data.future.noisy, two.test.data.future.noisy)


def test_panels_show_the_whole_curve_and_every_observation_in_proportion():
    data = spiral_data(SpiralsConfig(**SMALL))
    batch = data.test.data
    figure = Figure(figsize=(6, 3))
    for i, shape in ((0, 1.2), (1, 1.0)):
        axis = figure.add_subplot(1, 2, i + 1)
        limit_to_curve(axis, batch, i, shape)
        truth = torch.cat([batch.window.clean[i], batch.future.clean[i]])
        points = torch.cat([truth, batch.observed.values[i][batch.observed.mask[i]]])
        for k, (low, high) in enumerate((axis.get_xlim(), axis.get_ylim())):
            assert low < float(points[:, k].min())
            assert float(points[:, k].max()) < high
        assert axis.get_aspect() == 1
