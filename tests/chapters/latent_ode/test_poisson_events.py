"""Poisson processes by thinning."""

import math

import pytest
import torch
from scipy import integrate, stats

from node_experiments.chapters.latent_ode.chapter import PoissonConfig
from node_experiments.chapters.latent_ode.poisson_events import poisson_data, thinning
from node_experiments.errors import DataError

SMALL = {"train_size": 30, "validation_size": 6, "test_size": 8, "batch_size": 10, "passes": 1}


def test_counts_and_times_follow_the_rate():
    def rate(t):
        return 6 * (1 + 0.8 * torch.sin(2 * math.pi * t / 3))

    events = thinning(rate, 11.0, 3.0, 4000, torch.Generator().manual_seed(0))
    counts = events.mask.sum(1).double()
    assert abs(float(counts.mean()) - 18) < 0.25  # standard error 0.07
    assert abs(float(counts.var()) - 18) < 1.6  # a Poisson count has its mean as variance

    def cumulative(t):
        return (t + 0.8 * 3 / (2 * math.pi) * (1 - torch.cos(2 * math.pi * t / 3))) / 3

    uniform = cumulative(events.times[events.mask].double()).numpy()
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3


def test_events_rise_within_the_span_and_are_packed():
    events = poisson_data(PoissonConfig(**SMALL)).train.data.observed
    times = events.times.masked_fill(~events.mask, torch.inf)
    assert bool((torch.diff(times, dim=1)[events.mask[:, 1:]] > 0).all())
    assert float(events.times.min()) >= 0
    assert float(events.times.max()) <= 5
    counts = events.mask.sum(1)
    assert torch.equal(events.mask, torch.arange(events.mask.shape[1]) < counts.unsqueeze(1))


def test_likelihood_of_held_out_events_is_that_of_the_true_rate():
    batch = poisson_data(
        PoissonConfig(span=3.0, period=2.0, base_rate=7.0, depth=0.5, **SMALL)
    ).test.data
    for i in range(3):

        def rate(t, phase=float(batch.label[i])):
            return 7 * (1 + 0.5 * math.sin(math.pi * t + phase))

        times = batch.held_out.times[i][batch.held_out.mask[i]].tolist()
        total, _ = integrate.quad(rate, 0, 3)
        expected = sum(math.log(rate(t)) for t in times) - total
        assert math.isclose(
            float(batch.held_out_log_likelihood["true"][i]), expected, abs_tol=1e-3
        )
        first = float(batch.window.clean[i, 0, 0])
        assert math.isclose(first, rate(0.0), rel_tol=1e-5)


def test_held_out_events_are_other_draws():
    batch = poisson_data(PoissonConfig(**SMALL)).test.data.select(torch.tensor([2, 0]))
    assert len(batch) == 2
    assert batch.held_out.times.shape[0] == 2
    assert not torch.equal(batch.held_out.times[0, :5], batch.observed.times[0, :5])


def test_a_rate_so_low_that_nothing_happens_is_rejected():
    with pytest.raises(DataError, match=r"raise dataset\.base_rate"):
        poisson_data(PoissonConfig(base_rate=0.1, **SMALL))


def test_events_that_rounding_put_on_one_time_are_joined():
    """Nearly every long enough draw in single precision has a pair of equal times."""
    events = thinning(lambda t: 400 + 0 * t, 400.0, 5.0, 200, torch.Generator().manual_seed(0))
    counts = events.mask.sum(1).double()
    assert abs(float(counts.mean()) - 2000) < 15
