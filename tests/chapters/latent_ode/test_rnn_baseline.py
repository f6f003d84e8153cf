"""The recurrent baselines: what they read, and how they go beyond the observations."""

import pytest
import torch

from node_experiments.chapters.latent_ode.chapter import RecurrentConfig, SpiralsConfig
from node_experiments.chapters.latent_ode.rnn_baseline import (
    RecurrentForecaster,
    between,
    recurrent_forecaster,
)
from node_experiments.chapters.latent_ode.spirals import spiral_data
from node_experiments.data.time_series import TimeSeries
from node_experiments.ode import Backprop, Solver


def series_of(times, values, mask=None):
    return TimeSeries.validated(torch.tensor(times), values, mask)


def by_hand(model, values, gaps, steps):
    """Feed observations one by one, then each prediction."""
    state, outputs = None, []
    for k in range(steps):
        x = values[k] if k < len(values) else outputs[-1]
        x = torch.cat([x, gaps[k : k + 1] / model.mean_gap]) if model.reads_gaps else x
        hidden, state = model.rnn(x.view(1, 1, -1), state)
        outputs.append(model.head(hidden[0, 0]))
    return torch.stack(outputs)


@pytest.mark.parametrize("reads_gaps", [False, True])
def test_one_step_predictions_and_both_rollouts(reads_gaps):
    model = RecurrentForecaster(RecurrentConfig("rnn_dt" if reads_gaps else "rnn"), 2, 0.5)
    values = torch.randn(1, 4, 2)
    series = series_of([[0.0, 0.3, 1.0, 1.5]], values)
    gaps = torch.tensor([0.3, 0.7, 0.5])
    torch.testing.assert_close(model.one_step(series)[0], by_hand(model, values[0], gaps, 3))

    targets = torch.tensor([[1.6, 1.9, 2.0]])
    all_gaps = torch.cat([gaps, torch.tensor([0.1, 0.3, 0.1])])
    expected = by_hand(model, values[0], all_gaps, 6)[3:]
    torch.testing.assert_close(model.forecast(series, targets, rollout="target")[0], expected)

    all_gaps = torch.cat([gaps, torch.tensor([0.5, 0.5, 0.5])])
    expected = by_hand(model, values[0], all_gaps, 6)[3:]
    found = model.forecast(series, torch.tensor([[1.75, 2.0, 2.5, 2.75, 3.0]]))[0]
    torch.testing.assert_close(found[[1, 2, 4]], expected)
    torch.testing.assert_close(found[0], (values[0, 3] + expected[0]) / 2)
    torch.testing.assert_close(found[3], (expected[1] + expected[2]) / 2)


def test_only_rnn_dt_sees_times():
    values = torch.randn(1, 4, 2)
    slow, fast = (series_of([[0.0, a, 2.0, 3.0]], values) for a in (0.1, 1.9))
    for reads_gaps in (False, True):
        model = RecurrentForecaster(RecurrentConfig("rnn_dt" if reads_gaps else "rnn"), 2, 1.0)
        same = torch.equal(model.one_step(slow), model.one_step(fast))
        assert same is not reads_gaps


@pytest.mark.parametrize("rollout", RecurrentForecaster.ROLLOUTS)
def test_forecasts_skip_what_the_mask_hides(rollout):
    model = RecurrentForecaster(RecurrentConfig("rnn_dt", rollout=rollout), 3, 0.4)
    times = torch.rand(4, 6).sort(1).values
    mask = torch.rand(4, 6) < 0.5
    mask[:, 1] = True
    series = TimeSeries.validated(times, torch.randn(4, 6, 3), mask)
    targets = torch.linspace(1.1, 2.5, 7).unsqueeze(0)
    together = model.forecast(series, targets)
    for i in range(4):
        seen = mask[i]
        alone = TimeSeries.validated(times[i : i + 1, seen], series.values[i : i + 1, seen])
        torch.testing.assert_close(model.forecast(alone, targets)[0], together[i])


def test_draws_spread_with_the_noise():
    model = RecurrentForecaster(RecurrentConfig("rnn", noise_std=1e-6), 2, 1.0)
    series = series_of([[0.0, 1.0]], torch.randn(1, 2, 2))
    targets = torch.tensor([[2.0, 3.0, 4.0]])
    draws = model.forecast(series, targets, 8, torch.Generator().manual_seed(0))
    assert draws.shape == (8, 1, 3, 2)
    torch.testing.assert_close(draws[3], model.forecast(series, targets), atol=1e-4, rtol=0)
    loud = RecurrentForecaster(RecurrentConfig("rnn", noise_std=0.5), 2, 1.0)
    draws = loud.forecast(series, targets, 64, torch.Generator().manual_seed(0))
    assert float(draws[:, 0, 0].detach().std(0).max()) < 1e-5  # the first mean needs no draw
    assert float(draws[:, 0, 2].detach().std(0).min()) > 0.01


def test_between_is_linear():
    path = torch.arange(4.0).square().view(1, 4, 1)
    found = between(path, torch.tensor([[0.0, 0.5, 2.25, 3.0]]))
    assert found.flatten().tolist() == [0.0, 0.5, 5.25, 9.0]


@pytest.mark.parametrize("observations", [10, 30, 50, 100])
def test_the_step_of_a_forecast_is_the_mean_gap(observations):
    """Of a random part of the points it is shorter than the span between them would say."""
    data = spiral_data(SpiralsConfig(observations=observations))
    gaps = data.train.data.observed.times.diff().mean()
    assert data.mean_gap == pytest.approx(float(gaps), rel=1e-5)
    # n of 100 points leave as much out at each end as between two of them.
    expected = data.span / 99 * 101 / (observations + 1)
    assert data.mean_gap == pytest.approx(expected, rel=0.01)
    model = recurrent_forecaster(RecurrentConfig("rnn_dt"), data, Solver("dopri5"), Backprop())
    assert model.mean_gap == data.mean_gap
