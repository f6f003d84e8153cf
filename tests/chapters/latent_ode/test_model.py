"""The latent ODE: solves at irregular times, the recognition network, sizes."""

import pytest
import torch
from torch import nn

from node_experiments.chapters.latent_ode.chapter import LatentODEConfig
from node_experiments.chapters.latent_ode.model import LatentODE, RecognitionRNN
from node_experiments.data.time_series import TimeSeries
from node_experiments.nn.latent_trajectory import LatentTrajectory, read_between_knots
from node_experiments.ode import Adjoint, Backprop, Solver

TIGHT = Solver("dopri5", rtol=1e-10, atol=1e-12)


class Linear(nn.Module):
    """z' = z A, or with the time as a factor."""

    def __init__(self, timed=False):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([[-0.3, 1.0], [-1.0, -0.3]], dtype=torch.float64))
        self.timed = timed

    def forward(self, t, z):
        return (t if self.timed else 1.0) * (z @ self.a)


def exact(field, z0, times):
    """(..., batch, time, 2) from the matrix exponential."""
    scale = times**2 / 2 if field.timed else times
    flows = torch.matrix_exp(scale[..., None, None] * field.a)
    return torch.einsum("...bi,btij->...btj", z0, flows.expand(z0.shape[-2], -1, -1, -1))


def irregular(batch, time):
    return torch.rand(batch, time, dtype=torch.float64).mul(3).sort(1).values


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("knots", [0, 200])
@pytest.mark.parametrize("lead", [(), (3,)])
def test_states_at_own_times_are_exact(timed, knots, lead):
    field = Linear(timed)
    trajectory = LatentTrajectory(field, TIGHT, Backprop(), knots)
    times, z0 = irregular(5, 7), torch.randn(*lead, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(trajectory(z0, times), exact(field, z0, times), atol=1e-7, rtol=0)


@pytest.mark.parametrize("gradient", [Backprop(), Adjoint()])
def test_both_ways_agree_in_values_and_gradients(gradient):
    times = irregular(6, 9)
    results = []
    for knots in (0, 150):
        field = Linear()
        z0 = torch.linspace(-1, 1, 12, dtype=torch.float64).view(6, 2).requires_grad_()
        zs = LatentTrajectory(field, TIGHT, gradient, knots)(z0, times)
        (
            zs * torch.linspace(0, 1, zs.numel(), dtype=torch.float64).view(zs.shape)
        ).sum().backward()
        results.append((zs.detach(), z0.grad, field.a.grad))
    for union, knotted in zip(*results, strict=True):
        torch.testing.assert_close(union, knotted, atol=1e-6, rtol=1e-6)


def test_few_times_take_the_union_and_many_the_knots():
    solver = Solver("rk4", step_size=0.25)
    trajectory = LatentTrajectory(Linear(), solver, Backprop())
    z0 = torch.randn(100, 2, dtype=torch.float64)
    shared = torch.linspace(0, 3, 31, dtype=torch.float64).expand(100, -1)
    trajectory(z0, shared)
    few = trajectory.stats.forward.accepted
    times = irregular(100, 31)
    zs = trajectory(z0, times)
    assert few == 12
    assert trajectory.stats.forward.accepted == 12
    torch.testing.assert_close(zs, exact(trajectory.vector_field, z0, times), atol=2e-3, rtol=0)


@pytest.mark.parametrize("first", [0.0, 0.5])
def test_a_shared_axis_is_solved_once(first):
    field = Linear()
    trajectory = LatentTrajectory(field, TIGHT, Backprop())
    times = torch.linspace(first, 2, 6, dtype=torch.float64).unsqueeze(0)
    z0 = torch.randn(4, 2, dtype=torch.float64)
    torch.testing.assert_close(trajectory(z0, times), exact(field, z0, times), atol=1e-7, rtol=0)


def test_time_zero_alone_needs_no_solve():
    z0 = torch.randn(3, 2, dtype=torch.float64)
    zs = LatentTrajectory(Linear(), TIGHT, Backprop())(z0, torch.zeros(3, 2, dtype=torch.float64))
    assert torch.equal(zs, z0.unsqueeze(1).expand(-1, 2, -1))


def test_hermite_reads_cubics_exactly():
    knots = torch.tensor([0.0, 1.0, 2.5, 4.0], dtype=torch.float64)
    times = irregular(3, 20) * 4 / 3

    def cubic(t):
        return torch.stack([t**3 - t, 2 * t**2 + 1], -1).expand(3, -1, 2)

    slopes = torch.stack([3 * knots**2 - 1, 4 * knots], -1).expand(3, -1, 2)
    read = read_between_knots(knots, cubic(knots), slopes, times)
    expected = torch.stack([times**3 - times, 2 * times**2 + 1], -1)
    torch.testing.assert_close(read, expected)


def masked_series():
    times, values = irregular(4, 8).float(), torch.randn(4, 8, 3)
    mask = torch.rand(4, 8) < 0.6
    mask[:, 2] = True
    return TimeSeries.validated(times, values, mask)


@pytest.mark.parametrize("mean_gap", [None, 0.5])
def test_recognition_skips_what_the_mask_hides(mean_gap):
    encoder, series = RecognitionRNN(3, 2, 5, mean_gap), masked_series()
    together = torch.cat(encoder(series), 1)
    for i in range(4):
        seen = series.mask[i]
        alone = TimeSeries.validated(series.times[i : i + 1, seen], series.values[i : i + 1, seen])
        torch.testing.assert_close(torch.cat(encoder(alone), 1)[0], together[i])


def test_recognition_runs_backwards():
    """The first observation is read last: what was before it in time cannot matter less."""
    encoder = RecognitionRNN(1, 1, 4, None)
    values = torch.randn(1, 5, 1)
    series = TimeSeries.validated(torch.arange(5.0).unsqueeze(0), values)
    state = torch.zeros(4)
    w, u = encoder.rnn.weight_ih_l0, encoder.rnn.weight_hh_l0
    b = encoder.rnn.bias_ih_l0 + encoder.rnn.bias_hh_l0
    for i in reversed(range(5)):
        state = torch.tanh(w @ values[0, i] + u @ state + b)
    torch.testing.assert_close(torch.cat(encoder(series), 1)[0], encoder.head(state))


def count(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_sizes_are_those_of_paper_and_official_code():
    solver = Solver("rk4", num_steps=2)
    paper = LatentODE(LatentODEConfig(), 2, 1.0, solver, Backprop())
    assert count(paper.trajectory) == 184
    official = LatentODE(
        LatentODEConfig(layers=2, activation="elu", noise_std=0.3, reads_gaps=False),
        2,
        1.0,
        solver,
        Backprop(),
    )
    assert (count(official.trajectory), count(official.decoder)) == (604, 142)
    assert count(official) == 1654 + 25  # torch's RNN has a second bias of 25
    assert (
        count(LatentODE(LatentODEConfig(noise_std=None), 2, 1.0, solver, Backprop()))
        == count(paper) + 1
    )


def test_forecasts_are_the_decoded_mean_and_draws_of_z0():
    model = LatentODE(LatentODEConfig(), 3, 1.0, Solver("rk4", num_steps=4), Backprop())
    series, times = masked_series(), torch.linspace(0, 4, 9).unsqueeze(0)
    mean, _ = model.encode(series)
    assert torch.equal(model.forecast(series, times), model.decode(mean, times))
    draws = model.forecast(series, times, 500, torch.Generator().manual_seed(0))
    assert draws.shape == (500, 4, 9, 3)
    with torch.no_grad():
        model.encoder.head.weight[2:].zero_()
        model.encoder.head.bias[4:] = -60.0
        certain = model.forecast(series, times, 2)
        torch.testing.assert_close(certain[1], model.forecast(series, times))
