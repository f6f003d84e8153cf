"""Likelihoods, the ELBO and the errors of forecasts, against torch.distributions and by hand."""

import math
from types import SimpleNamespace

import torch
from torch.distributions import Normal, kl_divergence

from node_experiments.chapters.latent_ode.chapter import (
    LatentODEConfig,
    RecurrentConfig,
    SpiralsConfig,
)
from node_experiments.chapters.latent_ode.elbo import LatentODETask
from node_experiments.chapters.latent_ode.forecasting import ForecastErrors, NextObservation
from node_experiments.chapters.latent_ode.model import LatentODE
from node_experiments.chapters.latent_ode.rnn_baseline import RecurrentForecaster
from node_experiments.chapters.latent_ode.spirals import spiral_data
from node_experiments.nn.likelihoods import gaussian_nll, standard_normal_kl
from node_experiments.ode import Backprop, Solver

SMALL = {"train_size": 40, "validation_size": 0, "test_size": 20, "batch_size": 16, "passes": 1}


def test_kl_and_likelihood():
    mean, log_variance = torch.randn(5, 4), torch.randn(5, 4)
    q = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(q, Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(standard_normal_kl(mean, log_variance), expected)

    predicted, values = torch.randn(3, 5, 6, 2), torch.randn(5, 6, 2)
    mask = torch.rand(5, 6) < 0.7
    found = gaussian_nll(predicted, values, mask, torch.tensor(0.4).log())
    terms = -Normal(predicted, 0.4).log_prob(values)
    expected = torch.where(mask.unsqueeze(-1), terms, 0.0).sum((-1, -2))
    torch.testing.assert_close(found, expected)


def latent_ode():
    return LatentODE(LatentODEConfig(), 2, 1.0, Solver("rk4", num_steps=4), Backprop())


def test_the_loss_is_the_negative_elbo():
    model, batch = latent_ode(), next(iter(spiral_data(SpiralsConfig(**SMALL)).train))
    torch.manual_seed(1)
    loss, metrics = LatentODETask(samples=3).loss(model, batch, 0)
    torch.manual_seed(1)
    mean, log_variance = model.encode(batch.observed)
    z0 = mean + (log_variance / 2).exp() * torch.randn(3, *mean.shape)
    predicted = torch.stack([model.decode(z, batch.observed.times) for z in z0])
    log_likelihood = Normal(predicted, 0.1).log_prob(batch.observed.values).sum((-1, -2)).mean()
    kl = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean()
    torch.testing.assert_close(loss, kl - log_likelihood)
    torch.testing.assert_close(metrics["nll"] + metrics["kl"], loss.detach())


def test_kl_annealing():
    model, batch = latent_ode(), next(iter(spiral_data(SpiralsConfig(**SMALL)).train))
    task = LatentODETask(kl_warmup=10)
    for step, weight in ((0, 0.1), (4, 0.5), (9, 1.0), (99, 1.0)):
        loss, metrics = task.loss(model, batch, step)
        torch.testing.assert_close(loss.detach(), metrics["nll"] + weight * metrics["kl"])


def test_evaluation_is_repeatable_and_draws_nothing_from_the_training_generator():
    data, model = spiral_data(SpiralsConfig(**SMALL)), latent_ode()
    before = torch.get_rng_state()
    with torch.no_grad():
        first, second = (LatentODETask().evaluate(model, data.test) for _ in range(2))
    assert first == second
    assert torch.equal(before, torch.get_rng_state())
    assert {"rmse", "rmse_noisy", "rmse_median", "reconstruction_rmse", "coverage_90"} <= set(
        first
    )


def test_batches_that_can_be_iterated_once_are_enough():
    data = spiral_data(SpiralsConfig(**SMALL))
    recurrent = RecurrentForecaster(RecurrentConfig("rnn_dt"), 2, data.mean_gap)
    for model, task in ((latent_ode(), LatentODETask()), (recurrent, NextObservation())):
        with torch.no_grad():
            once = task.evaluate(model, (batch for batch in data.test))
            assert once == task.evaluate(model, data.test)
        assert "rmse" in once


def forecast_metrics(model, batches):
    errors = ForecastErrors()
    for batch in batches:
        errors.add(model, batch)
    return errors.metrics()


def oracle(offset=0.0, std=0.1):
    """Knows the curve, off by an offset."""

    def forecast(series, times, samples=None, generator=None):
        clean = oracle.batch.future.clean[: len(series)] + offset
        return clean if samples is None else clean.expand(samples, *clean.shape)

    return SimpleNamespace(forecast=forecast, log_noise_std=torch.tensor(std).log())


def test_errors_of_a_known_forecast():
    data = spiral_data(SpiralsConfig(noise=0.1, test_size=400, train_size=40, batch_size=16))
    oracle.batch = data.test.data
    exact = forecast_metrics(oracle(), data.test)
    assert exact["rmse"] == exact["rmse_median"] == 0
    assert abs(exact["rmse_noisy"] - 0.1) < 1e-3
    assert abs(exact["coverage_90"] - 0.9) < 0.01
    off = forecast_metrics(oracle(offset=0.3), data.test)
    assert math.isclose(off["rmse"], 0.3, rel_tol=1e-5)
    assert math.isclose(off["rmse_median"], 0.3, rel_tol=1e-5)
    assert abs(off["rmse_noisy"] - math.hypot(0.3, 0.1)) < 1e-3
    assert off["coverage_90"] < 0.1
    last = data.test.data.observed.values[:, -1:]
    hold = (last - data.test.data.future.clean).square().mean().sqrt()
    assert math.isclose(exact["rmse_hold_last"], float(hold), rel_tol=1e-5)


def test_the_recurrent_task_reports_both_rollouts():
    data = spiral_data(SpiralsConfig(**SMALL))
    model = RecurrentForecaster(RecurrentConfig("rnn_dt"), 2, data.mean_gap)
    with torch.no_grad():
        found = NextObservation().evaluate(model, data.test)
    assert found["rmse"] == found["rmse_mean_gap"] != found["rmse_target"]
    batch = data.test.data.observed
    expected = -Normal(model.one_step(batch), 0.1).log_prob(batch.values[:, 1:]).sum((-1, -2))
    assert math.isclose(found["loss"], float(expected.detach().mean()), rel_tol=1e-5)


def test_both_learn_to_forecast():
    data = spiral_data(
        SpiralsConfig(train_size=64, test_size=64, validation_size=0, batch_size=64, passes=60)
    )
    for model, task in (
        (RecurrentForecaster(RecurrentConfig("rnn_dt"), 2, data.mean_gap), NextObservation()),
        (
            LatentODE(LatentODEConfig(), 2, data.mean_gap, Solver("rk4", num_steps=6), Backprop()),
            LatentODETask(),
        ),
    ):
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        with torch.no_grad():
            before = task.evaluate(model, data.test)
        for step, batch in enumerate(data.train):
            loss, _ = task.loss(model, batch, step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            after = task.evaluate(model, data.test)
        assert after["loss"] < before["loss"] / 3
