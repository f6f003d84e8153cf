"""Metrics and losses of irregular series, by hand and against SciPy and torch.distributions."""

import math
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import mannwhitneyu
from torch.distributions import Normal, kl_divergence

from node_experiments.chapters import models
from node_experiments.chapters.chapter import resolve
from node_experiments.chapters.irregular_series.baselines import mean_of
from node_experiments.chapters.irregular_series.batches import ForecastBatch
from node_experiments.chapters.irregular_series.metrics import (
    classification_metrics,
    cross_entropy,
    mean_over_observed,
    roc_auc,
)
from node_experiments.chapters.irregular_series.settings import SeriesModelConfig
from node_experiments.chapters.irregular_series.tasks import (
    AutoregressiveSeriesTask,
    joined_series,
)
from node_experiments.chapters.irregular_series.variational_tasks import (
    EvidenceBoundTask,
    VariationalSeriesTask,
    variational_series,
)
from node_experiments.data.time_series import TimeSeries
from node_experiments.nn.likelihoods import gaussian_log_likelihood
from node_experiments.ode import Backprop, Solver
from node_experiments.training.loop import Trainer
from tests.grids import by_turns

DIM = 2


def batch_of(kind="interpolation", size=6, label=None):
    """Series of which every second point is seen; of one feature only at times."""
    generator = torch.Generator().manual_seed(0)
    times = torch.rand(size, 8, generator=generator).sort(1).values
    values = torch.randn(size, 8, DIM, generator=generator)
    features = torch.rand(values.shape, generator=generator) < 0.7
    features[..., 0] = True
    whole = TimeSeries.validated(times, values, None, features)
    seen = slice(0, 4) if kind == "extrapolation" else slice(0, 8, 2)
    rest = slice(4, 8) if kind == "extrapolation" else slice(0, 8)

    def part(which):
        return TimeSeries.validated(
            times[:, which], values[:, which], whole.mask[:, which], features[:, which]
        )

    return ForecastBatch(part(seen), part(rest), label)


def model_of(name, label_per=None, kind="interpolation", **settings):
    torch.manual_seed(0)
    settings = SeriesModelConfig(
        name, latent=4, encoder_size=5, unit_hidden=6, hidden=7, classifier_hidden=8,
        noise_std=0.5, **settings,
    )  # fmt: skip
    data = SimpleNamespace(
        dim=DIM,
        classes=None if label_per is None else 3,
        label_per=label_per,
        span=(0.0, 1.0),
        mean_gap=0.2,
        task=kind if label_per is None else "classification",
        train=[],
        static=0,
    )
    build = resolve(models()[name].build)
    return build(settings, data, Solver("rk4", num_steps=10), Backprop())


def test_the_area_under_the_curve_is_the_statistic_of_mann_and_whitney():
    generator = torch.Generator().manual_seed(0)
    for levels in (3, 1000):  # with ties and without
        scores = torch.randint(levels, (200,), generator=generator).double()
        positive = torch.rand(200, generator=generator) < 0.2
        u = mannwhitneyu(scores[positive].numpy(), scores[~positive].numpy()).statistic
        pairs = int(positive.sum()) * int((~positive).sum())
        assert roc_auc(scores, positive) == pytest.approx(u / pairs, abs=1e-12)
    assert math.isnan(roc_auc(scores, torch.ones(200, dtype=torch.bool)))


def test_means_count_every_feature_the_same():
    terms = torch.tensor([[[1.0, 10], [3, torch.nan], [8, 20]]])
    features = torch.tensor([[[True, True], [True, False], [False, True]]])
    torch.testing.assert_close(mean_over_observed(terms, features), torch.tensor([8.5]))
    features[..., 1] = False  # a feature that was never observed says nothing
    torch.testing.assert_close(mean_over_observed(terms, features), torch.tensor([2.0]))


def test_likelihood_and_cross_entropy():
    x, y = torch.randn(5), torch.randn(5)
    found = gaussian_log_likelihood(x, y, torch.tensor(0.3).log())
    torch.testing.assert_close(found, Normal(x, 0.3).log_prob(y))
    logits, label = torch.randn(2, 4, 3), torch.tensor([0, -1, 2, 1])
    kept = torch.tensor([0, 2, 3])
    expected = torch.nn.functional.cross_entropy(
        logits[:, kept].reshape(-1, 3), label[kept].repeat(2)
    )
    torch.testing.assert_close(cross_entropy(logits, label), expected)


def test_classes():
    logits = torch.tensor([[2.0, 1], [0, 1], [3, 0], [0, 0]])
    label = torch.tensor([0, 1, 1, -1])
    found = classification_metrics(logits, label)
    expected = {"accuracy": 2 / 3, "auc": 0.5, "average_precision": 5 / 6}
    assert found == pytest.approx(expected)
    assert classification_metrics(logits, torch.full((4,), -1)) == {}


def test_the_weight_of_the_kl():
    task = VariationalSeriesTask("interpolation", steps_per_epoch=7, kl_wait=10)
    assert task.kl_weight(0) == task.kl_weight(7 * 11 - 1 - 7) == 0
    assert task.kl_weight(7 * 12) == pytest.approx(1 - 0.99**2)


@pytest.mark.parametrize("objective", ["elbo", "official_code"])
def test_the_weight_of_the_kl_rises_with_epochs_whatever_a_step_is_made_of(objective):
    """Of 12 batches, 4 to a step: an epoch is 3 steps."""
    data = SimpleNamespace(
        train=range(12), task="interpolation", classes=None, class_weights=None,
        measures=None, span=(0.0, 1.0),
    )  # fmt: skip
    settings = SeriesModelConfig(objective=objective, kl_wait=10, kl_rate=0.5, kl_weight=0.8)
    task = variational_series(settings, data)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    Trainer(task, model, optimizer, None, data, epochs=1, device=torch.device("cpu"), accumulate=4)
    weights = [task.kl_weight(3 * epoch) for epoch in (0, 5, 10, 12)]
    expected = [0, 0.4, 0.8, 0.8] if objective == "elbo" else [0, 0, 0, 0.75]
    assert weights == pytest.approx(expected)


def test_the_loss_of_a_latent_ode():
    model, batch = model_of("irregular_latent_ode"), batch_of()
    task = VariationalSeriesTask("interpolation", samples=3, steps_per_epoch=1, kl_wait=0)
    torch.manual_seed(1)
    loss, metrics = task.loss(model, batch, 50)
    torch.manual_seed(1)
    mean, std = model.encode(batch.observed)
    z0 = mean + std * torch.randn(3, *mean.shape)
    predicted = model.means(model.states(z0, batch.target.times))
    terms = Normal(predicted, 0.5).log_prob(batch.target.values)
    features = batch.target.observed_features
    each = torch.stack(
        [
            torch.stack([terms[s, b, :, d][features[b, :, d]].mean() for d in range(DIM)]).mean()
            for s in range(3)
            for b in range(len(batch))
        ]
    ).view(3, -1)
    kl = kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).mean()
    expected = -torch.logsumexp(each.mean(1) - (1 - 0.99**50) * kl, 0)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics["kl"], kl.detach())


@pytest.mark.parametrize("kind", ["interpolation", "extrapolation"])
def test_autoregressive_models_train_on_the_truth_and_are_tested_on_their_own(kind):
    model, batch = model_of("gru_d", kind=kind), batch_of(kind)
    task = AutoregressiveSeriesTask(kind, teacher_forcing=1.0)
    assert (task.metric, task.higher_is_better) == ("mse", False)
    shown = joined_series(batch) if kind == "extrapolation" else batch.observed
    states = model.read(shown)
    predicted = model.predict(states, batch.target.times)
    terms = -Normal(predicted, 0.5).log_prob(batch.target.values)
    expected = mean_over_observed(terms, batch.target.observed_features).mean()
    torch.testing.assert_close(task.loss(model, batch, 0)[0], expected)
    say = model.roll_out if kind == "extrapolation" else model.predict
    said = say(model.read(batch.observed), batch.target.times)
    squares = (said - batch.target.values).square()
    mse = float(mean_over_observed(squares, batch.target.observed_features).mean().detach())
    with torch.no_grad():
        assert task.evaluate(model, [batch])["mse"] == pytest.approx(mse)


def test_without_teacher_forcing_training_is_on_the_forecasts_that_are_tested():
    model, batch = model_of("gru_d", kind="extrapolation"), batch_of("extrapolation")
    task = AutoregressiveSeriesTask("extrapolation", teacher_forcing=0.0)
    said = model.roll_out(model.read(batch.observed), batch.target.times)
    terms = -Normal(said, 0.5).log_prob(batch.target.values)
    expected = mean_over_observed(terms, batch.target.observed_features).mean()
    loss = task.loss(model, batch, 0)[0]
    torch.testing.assert_close(loss, expected)
    with torch.no_grad():
        assert task.evaluate(model, [batch])["loss"] == pytest.approx(loss.item())


def test_teacher_forcing_is_drawn_for_each_step_of_a_training_that_extrapolates():
    model, batch = model_of("gru_d", kind="extrapolation"), batch_of("extrapolation")

    def losses(share, kind="extrapolation"):
        torch.manual_seed(0)
        task = AutoregressiveSeriesTask(kind, teacher_forcing=share)
        return [task.loss(model, batch, 0)[0].item() for _ in range(40)]

    (forced,), (own,) = set(losses(1.0)), set(losses(0.0))
    mixed = losses(0.75)
    assert set(mixed) == {forced, own}
    assert 4 <= mixed.count(own) <= 18
    assert len(set(losses(0.0, "interpolation"))) == 1
    state = torch.random.get_rng_state()
    AutoregressiveSeriesTask("extrapolation", teacher_forcing=1.0).loss(model, batch, 0)
    AutoregressiveSeriesTask("interpolation", teacher_forcing=0.5).loss(model, batch, 0)
    assert torch.equal(torch.random.get_rng_state(), state), "as in runs from before this setting"


@pytest.mark.parametrize(
    ("name", "label_per"),
    by_turns(["ode_rnn", "irregular_latent_ode", "rnn_vae"], ["series", "time"]),
)
def test_classes_are_learnt(name, label_per):
    """The sign of the first value, of the series or at each time."""
    batch = batch_of()
    sign = (batch.target.values[..., 0] > 0).long()
    label = sign[:, 0] if label_per == "series" else sign.masked_fill(~batch.target.mask, -1)
    batch = ForecastBatch(batch.observed, batch.target, label)
    model = model_of(name, label_per)
    kind = AutoregressiveSeriesTask if name == "ode_rnn" else VariationalSeriesTask
    task = kind("classification", 3, reconstruction_weight=0.0, classification_weight=1.0)
    assert (task.metric, task.higher_is_better) == ("accuracy", True)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    first = None
    for step in range(20):
        loss, _ = task.loss(model, batch, step)
        first = float(loss.detach()) if first is None else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = task.evaluate(model, [batch])
    assert found["cross_entropy"] < 0.8 * first
    assert {"accuracy", "auc", "mse", "log_likelihood"} <= set(found)


def test_a_metric_of_two_classes_is_the_area():
    assert AutoregressiveSeriesTask("classification", 2).metric == "auc"


def test_evaluation_does_not_depend_on_how_series_are_batched():
    for name in ("gru_d", "irregular_latent_ode"):
        model, batch = model_of(name), batch_of()
        kind = AutoregressiveSeriesTask if name == "gru_d" else VariationalSeriesTask
        parts = [batch.select(torch.arange(2)), batch.select(torch.arange(2, 6))]
        with torch.no_grad():
            whole = kind("interpolation").evaluate(model, [batch])
            split = kind("interpolation").evaluate(model, parts)
        assert whole["mse"] == pytest.approx(split["mse"], rel=1e-3)


def test_means_of_the_training_series():
    batch = batch_of()
    features = batch.observed.observed_features
    expected = [float(batch.observed.values[..., d][features[..., d]].mean()) for d in range(DIM)]
    assert mean_of([batch.observed, batch.observed], DIM).tolist() == pytest.approx(expected)


def test_the_reconstruction_weighs_in_a_classification_only():
    batch = batch_of(label=torch.arange(6) % 3)
    for kind, label_per in (("interpolation", None), ("classification", "series")):
        model = model_of("gru_d", label_per)
        with torch.no_grad():
            one, half = (
                AutoregressiveSeriesTask(kind, 3, weight).evaluate(model, [batch])
                for weight in (1.0, 0.5)
            )
        less = 0.5 * one["log_likelihood"] if kind == "classification" else 0.0
        assert half["loss"] == pytest.approx(one["loss"] + less)


@pytest.mark.parametrize("task", [VariationalSeriesTask, EvidenceBoundTask])
def test_the_events_of_an_extrapolated_series_are_those_from_its_start(task):
    """Their rate is integrated from there, also where the first half is not predicted."""
    model, batch = model_of("latent_ode_poisson", kind="extrapolation"), batch_of("extrapolation")
    whole = joined_series(batch)
    losses = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        losses.append(task("extrapolation", samples=2, event_weight=weight).loss(model, batch, 9))
    torch.manual_seed(0)
    mean, std = model.encode(batch.observed)
    states = model.states(mean + std * torch.randn(2, *mean.shape), whole.times)
    field = model.trajectory.vector_field
    z = states[..., field.latent : 2 * field.latent]
    rates = (field.log_rate(z) * whole.observed_features).sum(-2)
    expected = field.unit * states[..., -1, 2 * field.latent :]
    torch.testing.assert_close(
        losses[0][0] - losses[1][0], (rates - expected).mean(), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(losses[0][1]["nll"], losses[1][1]["nll"])


def ragged_batch():
    """Series of several lengths on both sides of the time to which they are observed."""
    batch = batch_of("extrapolation")
    counts = torch.tensor([[4, 3, 1, 2, 4, 2], [4, 1, 2, 4, 3, 1]]).unsqueeze(-1)
    parts = [
        TimeSeries.validated(
            part.times, part.values, torch.arange(4) < count, part.observed_features
        ).packed()
        for part, count in zip((batch.observed, batch.target), counts, strict=True)
    ]
    return ForecastBatch(*parts)


def test_an_rnn_vae_is_tested_on_the_states_that_it_is_trained_on():
    """Those follow from the states at all times before, the observed ones among them."""
    model, batch = model_of("rnn_vae", kind="extrapolation"), ragged_batch()
    task = EvidenceBoundTask("extrapolation")
    z0, _ = model.encode(batch.observed)
    states = task.states_of_target(model, z0, batch)
    for i in range(len(batch)):
        observed, target = batch.observed.select(torch.tensor([i])), batch.target
        own = target.times[i : i + 1, target.mask[i]]
        times = torch.cat([observed.times[observed.mask].unsqueeze(0), own], 1)
        alone = model.states(z0[i : i + 1], times)[0, int(observed.mask.sum()) :]
        torch.testing.assert_close(states[i, target.mask[i]], alone)


@pytest.mark.parametrize("name", ["rnn_vae", "irregular_latent_ode"])
def test_the_evidence_bound_of_a_series_does_not_depend_on_its_batch(name):
    model, batch = model_of(name, kind="extrapolation"), ragged_batch()
    task = EvidenceBoundTask("extrapolation")
    z0, _ = model.encode(batch.observed)
    whole = task.whole_series(batch).packed()
    states = model.states(z0, whole.times)
    for i in range(len(batch)):
        alone = task.whole_series(batch.select(torch.tensor([i]))).packed()
        there = int(alone.mask.sum())
        torch.testing.assert_close(
            states[i, :there],
            model.states(z0[i : i + 1], alone.times)[0, :there],
            rtol=1e-3,
            atol=1e-4,
        )


@pytest.mark.parametrize("objective", ["elbo", "official_code"])
def test_a_forecast_of_an_rnn_vae_does_not_depend_on_what_else_is_asked(objective):
    model = model_of("rnn_vae", kind="extrapolation", objective=objective)
    batch, gap = ragged_batch(), 0.05
    z0, _ = model.encode(batch.observed)
    many = torch.linspace(0.1, 3, 30).expand(len(batch), -1)
    states = model.forecast(z0, batch.observed, many, gap)
    for place in (0, 7, 29):
        alone = model.forecast(z0, batch.observed, many[:, place : place + 1], gap)
        torch.testing.assert_close(states[:, place : place + 1], alone)
    # At its own steps it is what the network gives.
    start = batch.observed.times[:, :1]
    if objective == "official_code":  # trained from the first point after the observed ones
        start = batch.observed.times[:, -1:] + gap
    grid = start + gap * torch.arange(20)
    torch.testing.assert_close(
        model.forecast(z0, batch.observed, grid, gap), model.states(z0, grid), atol=1e-4, rtol=1e-4
    )
    between = model.forecast(z0, batch.observed, (grid[:, 1:] + grid[:, :-1]) / 2, gap)
    exact = model.states(z0, grid)
    torch.testing.assert_close(between, (exact[:, 1:] + exact[:, :-1]) / 2, atol=1e-4, rtol=1e-4)


def test_a_solver_that_an_ode_rnn_does_not_use_is_named(caplog):
    build = resolve(models()["ode_rnn"].build)
    data = SimpleNamespace(
        dim=DIM, classes=None, label_per=None, span=(0.0, 1.0), mean_gap=0.2, static=0, train=[],
        task="extrapolation",
    )  # fmt: skip
    for steps, solver, warns in (
        (50, Solver("rk4", num_steps=4), True),
        (50, Solver("dopri5", rtol=1e-4, atol=1e-5), False),
        (None, Solver("rk4", num_steps=4), False),
    ):
        caplog.clear()
        build(SeriesModelConfig("ode_rnn", euler_steps=steps), data, solver, Backprop())
        assert ("solver=rk4 is not used" in caplog.text) == warns
