"""The likelihood of event times by a latent ODE, against quadrature."""

import math

import torch

from node_experiments.chapters.latent_ode.chapter import PoissonConfig, PoissonLatentODEConfig
from node_experiments.chapters.latent_ode.poisson_elbo import (
    PoissonTask,
    constant_rate_log_likelihood,
)
from node_experiments.chapters.latent_ode.poisson_events import poisson_data
from node_experiments.chapters.latent_ode.poisson_model import PoissonLatentODE
from node_experiments.ode import Backprop, Solver

SMALL = {"train_size": 30, "validation_size": 0, "test_size": 8, "batch_size": 10, "passes": 1}
TIGHT = Solver("dopri5", rtol=1e-7, atol=1e-8)


def model_for(data, knots=100):
    return PoissonLatentODE(
        PoissonLatentODEConfig(knots=knots), data.span, data.mean_count, TIGHT, Backprop()
    )


def test_the_integral_is_that_of_the_rate():
    data = poisson_data(PoissonConfig(**SMALL))
    model, batch = model_for(data), data.test.data
    with torch.no_grad():
        z0 = torch.randn(8, 4)
        found = model.log_likelihood(z0, batch.observed)
        grid = torch.linspace(0, data.span, 2001)
        rates = model.rate(z0, grid.unsqueeze(0))
        integral = torch.trapezoid(rates, grid, dim=1)
        at_events = model.rate(z0, batch.observed.times)
        expected = (at_events.log() * batch.observed.mask).sum(1) - integral
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-4)


def test_union_and_knots_agree():
    data = poisson_data(PoissonConfig(**SMALL))
    model, batch = model_for(data, knots=0), data.test.data
    z0 = torch.randn(2, 8, 4)
    with torch.no_grad():
        union = model.log_likelihood(z0, batch.observed)
        model.trajectory.knots = 200
        torch.testing.assert_close(
            model.log_likelihood(z0, batch.observed), union, atol=2e-3, rtol=1e-4
        )


def test_a_rate_that_is_constant_has_the_known_likelihood():
    data = poisson_data(PoissonConfig(**SMALL))
    model, batch = model_for(data), data.test.data
    with torch.no_grad():
        for p in model.trajectory.vector_field.log_rate_net.parameters():
            p.zero_()
        counts = batch.observed.mask.sum(1)
        rate = data.mean_count / data.span
        expected = counts * math.log(rate) - data.mean_count
        found = model.log_likelihood(torch.randn(8, 4), batch.observed)
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-4)


def test_the_constant_rate_that_fits_best_is_count_over_span():
    seen = torch.tensor([10.0])
    best = constant_rate_log_likelihood(seen, seen, 5.0)
    rates = torch.linspace(1, 4, 301)
    assert float(best) >= float((10 * rates.log() - rates * 5).max()) - 1e-4


def test_training_beats_the_constant_rate():
    sizes = {"train_size": 100, "test_size": 100, "batch_size": 100}
    data = poisson_data(PoissonConfig(validation_size=0, passes=32, **sizes))
    solver = Solver("dopri5", rtol=1e-3, atol=1e-3)
    model = PoissonLatentODE(
        PoissonLatentODEConfig(), data.span, data.mean_count, solver, Backprop()
    )
    task, optimizer = PoissonTask(), torch.optim.Adam(model.parameters(), 0.03)
    for step, batch in enumerate(data.train):
        loss, _ = task.loss(model, batch, step)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        found = task.evaluate(model, data.test)
    assert found["held_out_nll_true"] < found["held_out_nll"] < found["held_out_nll_constant"]
