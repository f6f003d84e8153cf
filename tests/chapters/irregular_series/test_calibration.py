"""Bands that hold as much of new series as they say: closed forms, and fits to held-out values."""

import math
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import norm

from node_experiments.chapters.irregular_series.band_scores import band_scores, held_out_forecasts
from node_experiments.chapters.irregular_series.bands import (
    PredictionContext,
    PredictiveNoise,
    bands,
    mixture_cdf,
    mixture_quantile,
)
from node_experiments.chapters.irregular_series.batches import ForecastBatch
from node_experiments.chapters.irregular_series.calibration import (
    HeldOut,
    band_factor,
    calibrate,
    fitted_noise,
    held_out,
)
from node_experiments.chapters.irregular_series.predict import warn_of_bands
from node_experiments.chapters.irregular_series.tasks import SeriesTask
from node_experiments.data.time_series import TimeSeries


def test_the_quantiles_of_a_mixture():
    std = torch.tensor([0.5, 2.0])
    one = torch.zeros(7, 2) + 3
    for level in (0.05, 0.5, 0.95):
        expected = 3 + float(norm.ppf(level)) * std
        torch.testing.assert_close(mixture_quantile(one, std, level), expected, atol=1e-5, rtol=0)
    means = torch.randn(5, 2)
    found = mixture_quantile(means, std, 0.05)
    torch.testing.assert_close(
        mixture_cdf(found, means, std), torch.full((2,), 0.05), atol=1e-5, rtol=0
    )


def held(ahead, seen, std, values=20_000):
    """Values that truly have these deviations around a mean of 0."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.randn(values, generator=generator) * std
    return HeldOut(drawn, torch.zeros(3, values), ahead, seen, ahead, torch.arange(values))


def test_the_noise_of_greatest_likelihood():
    generator = torch.Generator().manual_seed(2)
    ahead = 2 * torch.rand(20_000, generator=generator)
    seen = torch.randint(9, (20_000,), generator=generator).float()
    part = held(ahead, seen, 0.3 + 0.5 * ahead + 2 / (1 + seen))
    level, growth, early = fitted_noise(part)
    assert level == pytest.approx(0.3, abs=0.05)
    assert growth == pytest.approx(0.5, abs=0.05)
    assert early == pytest.approx(2, abs=0.1)


def test_a_band_is_widened_until_it_holds_its_share():
    zeros, ones = torch.zeros(20_000), torch.ones(20_000)
    part = held(zeros, zeros, 3.0)
    assert band_factor(part, ones, zeros, 0.9) == pytest.approx(3, rel=0.03)
    assert band_factor(part, ones, ones, 0.9) == pytest.approx(2, rel=0.05)  # one is there already
    wider = 3 * norm.ppf(0.975) / norm.ppf(0.95)
    assert band_factor(part, ones, zeros, 0.95) == pytest.approx(wider, rel=0.03)
    exact = part._replace(values=zeros)
    assert band_factor(exact, ones, zeros, 0.9) < 0.1  # as narrow as it may become


class Constant:
    """Says 0 of everything, from all observations; its noise was learned far too small."""

    def __init__(self, dim):
        self.log_noise_std = torch.full((dim,), math.log(0.1))
        self.predictive_noise = PredictiveNoise(dim)

    def eval(self):
        pass

    def encode(self, observed):
        self.observed = observed
        return torch.zeros(len(observed.values), 1), torch.zeros(len(observed.values), 1)

    def states(self, z0, times):
        return z0.unsqueeze(-2).expand(*z0.shape[:-1], times.shape[1], 1)

    def forecast(self, z0, observed, times, gap):
        return self.states(z0, times)

    def means(self, states):
        return states.expand(*states.shape[:-1], len(self.log_noise_std)) * 0


def batches(series, seed, dim=2, points=12, cut=0.5):
    """Noise of deviation 1 up to the cut and 3 after it; the second feature is rarely observed."""
    generator = torch.Generator().manual_seed(seed)
    times = torch.rand(series, 2 * points, generator=generator).sort(1).values
    times = torch.cat([times[:, :points] * cut, cut + 0.01 + times[:, points:] * cut], 1)
    std = torch.where(times <= cut, 1.0, 3.0).unsqueeze(-1)
    values = std * torch.randn(series, 2 * points, dim, generator=generator)
    features = torch.rand(values.shape, generator=generator) < 0.8
    features[..., 0] = True
    whole = TimeSeries.validated(times, values, None, features)

    def part(of):
        return TimeSeries.validated(times[:, of], values[:, of], None, whole.feature_mask[:, of])

    observed, target = part(slice(None, points)), part(slice(points, None))
    return [ForecastBatch(observed, target)]


def data_of(validation, train):
    sized = SimpleNamespace(data=range(200))
    listed = [type("Batches", (list,), {"data": sized.data})(each) for each in (validation, train)]
    names = ("hr", "temp")
    return SimpleNamespace(
        validation=listed[0], train=listed[1], mean_gap=0.05, target_gap=0.05, features=names,
        cut=0.5, task="extrapolation",
    )  # fmt: skip


def test_calibrated_bands_hold_nine_tenths_of_new_series():
    model = Constant(2)
    new = batches(200, seed=7)
    before = band_scores(held_out_forecasts(model, new, 0.5, 0.05))
    assert max(before["coverage"], before["coverage_beyond"]) < 0.2
    calibrate(model, data_of(batches(200, seed=5), batches(200, seed=6)), 0.5)
    assert bool(model.predictive_noise.calibrated.all())
    after = band_scores(held_out_forecasts(model, new, 0.5, 0.05))
    assert after["coverage"] == pytest.approx(0.9, abs=0.02)
    assert after["coverage_beyond"] == pytest.approx(0.9, abs=0.02)
    times = torch.tensor([[0.2, 0.8]]).expand(3, -1)
    mean, low, high = bands(model, new[0].select(torch.arange(3)).observed, times, 20, 0.05)
    assert bool((mean == 0).all())
    width = (high - low) / (2 * norm.ppf(0.95))
    torch.testing.assert_close(width[:, 0], torch.ones(3, 2), atol=0.2, rtol=0)
    torch.testing.assert_close(width[:, 1], torch.full((3, 2), 3.0), atol=0.5, rtol=0)
    # From one width to the other without a jump at the last observation.
    last = float(new[0].observed.times[0].max())
    close = torch.tensor([[last - 1e-4, last, last + 1e-4, last + 0.05]])
    _, low, high = bands(model, new[0].select(torch.arange(1)).observed, close, 20, 0.05)
    within, end, after, gap_later = (high - low)[0]
    torch.testing.assert_close(within, end)
    torch.testing.assert_close(after, end, rtol=0.02, atol=0)
    assert bool((gap_later > 1.1 * end).all())


def test_nothing_is_fitted_to_too_few_values_and_that_is_said(caplog):
    model = Constant(2)
    few = batches(1, seed=5, points=3)
    calibrate(model, data_of(few, few), 0.5)
    assert bool((model.predictive_noise.scale == 1).all())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "temp is not calibrated and likely too narrow" in said[0]
    caplog.clear()
    warn_of_bands(model, ("hr", "temp"))
    assert "the 90 % band of hr, temp is not calibrated" in caplog.text


def test_of_series_of_one_point_nothing_is_held_out(caplog):
    model = Constant(2)
    single = batches(4, seed=5, points=1)
    assert [len(part.values) for part in held_out(model, single, 2.0, 1.0)] == [0, 0]
    calibrate(model, data_of(single, single), 2.0)
    assert "0 values of the validation series are held out" in caplog.text
    assert band_scores(held_out_forecasts(model, single, 2.0, 1.0)) == {}


def test_a_task_says_what_its_band_holds_of_validation_series(caplog):
    task = SeriesTask("extrapolation")
    data = data_of(batches(200, seed=5), batches(200, seed=6))
    found = task.calibrate(Constant(2), data)
    assert found["coverage"] == pytest.approx(0.9, abs=0.02)
    assert found["coverage_beyond"] == pytest.approx(0.9, abs=0.02)
    assert task.calibrate(Constant(2), SimpleNamespace(validation=None)) == {}
    assert "the 90 % band of all features is not calibrated" in caplog.text


def edge_of(values, series):
    """The largest deviation in the band that is fitted to some values around 0."""
    zeros, ones = torch.zeros(len(values)), torch.ones(len(values))
    part = HeldOut(values, torch.zeros(1, len(values)), zeros, zeros, zeros, series)
    return float(norm.ppf(0.95)) * band_factor(part, ones, zeros, 0.9)


@pytest.mark.parametrize(("count", "held_of_them"), [(29, 27), (19, 18), (9, 9), (4, 4)])
def test_few_series_widen_a_band_as_in_split_conformal_prediction(count, held_of_them):
    """Of 29, ceil(0.9 * 30) are held; a series with many values counts no more than the others."""
    values = torch.arange(1.0, count + 1)
    assert edge_of(values, torch.arange(count)) == pytest.approx(held_of_them, abs=1e-3)
    first = torch.full((500,), 1.0)
    numbers = torch.cat([torch.zeros(500), torch.arange(count)]).long()
    found = edge_of(torch.cat([first, values]), numbers)
    assert found == pytest.approx(held_of_them, abs=1e-3)


def test_a_band_is_expected_to_hold_its_share_of_a_new_series():
    """Values of a series are of one size, drawn for it: over draws of 12 series, 90 % are held."""
    generator = torch.Generator().manual_seed(3)
    size = torch.randn(4000, 1, generator=generator).exp()
    values = size * torch.randn(4000, 20, generator=generator)
    held_of_new = []
    for k in range(50):
        chosen = values[12 * k : 12 * (k + 1)]
        edge = edge_of(chosen.flatten(), torch.arange(12).repeat_interleave(20))
        held_of_new.append(float((values[1000:].abs() <= edge).double().mean()))
    assert 0.9 <= sum(held_of_new) / 50 < 0.97


def test_what_is_held_out_is_not_shown():
    model = Constant(1)
    (batch,) = batches(2, seed=1, dim=1, points=4)
    (part,) = held_out(model, [batch], 0.5, 0.05)
    # Every observed point once, within the span or as its end, and every later point once.
    values = torch.cat([batch.observed.values.flatten(), batch.target.values.flatten()])
    torch.testing.assert_close(part.values.sort().values, values.sort().values)
    assert set(part.seen.tolist()) == {3, 4}


@pytest.mark.parametrize("smooths", [True, False])
def test_what_a_prediction_rests_on(smooths):
    times = torch.tensor([[0.0, 0.2, 0.6, 0.0], [0.1, 0.1, 0.1, 0.1]])
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    series = TimeSeries(times, torch.zeros(2, 4, 1), mask, False)
    model = SimpleNamespace(encode=None) if smooths else SimpleNamespace()
    asked = torch.tensor([[0.0, 0.5, 0.6, 1.0], [0.0, 0.05, 0.1, 1.0]])
    found = PredictionContext.of(model, series, asked)
    torch.testing.assert_close(found.beyond, torch.tensor([[0, 0, 0, 0.4], [0, 0, 0, 0.9]]))
    if smooths:
        assert found.seen.tolist() == [[3] * 4, [1] * 4]
        expected = [[0, 0, 0, 0.4], [0, 0, 0, 0.9]]
    else:  # an observation at the very time is not read
        assert found.seen.tolist() == [[0, 2, 2, 3], [0, 0, 0, 1]]
        expected = [[0, 0.3, 0.4, 0.4], [0, 0, 0, 0.9]]
    torch.testing.assert_close(found.ahead, torch.tensor(expected))


def test_a_model_from_before_calibration_keeps_its_noise():
    noise = PredictiveNoise(3)
    noise.load_state_dict({})
    context = PredictionContext(torch.ones(1, 2), torch.zeros(1, 2), torch.tensor([[0.0, 0.3]]))
    std = noise(torch.full((3,), math.log(0.2)), context)
    torch.testing.assert_close(std, torch.full((1, 2, 3), 0.2))
