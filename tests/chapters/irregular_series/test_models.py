"""Models of irregular series: closed forms, masks, order of the batch, both ways of batching."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from node_experiments.chapters import models
from node_experiments.chapters.chapter import resolve
from node_experiments.chapters.irregular_series import gap_dynamics
from node_experiments.chapters.irregular_series.bands import roll_out_in_steps
from node_experiments.chapters.irregular_series.chapter import CHAPTER
from node_experiments.chapters.irregular_series.gap_dynamics import ConstantState, Decay, GapFlow
from node_experiments.chapters.irregular_series.gru_unit import GRUUnit
from node_experiments.chapters.irregular_series.imputation import Imputation
from node_experiments.chapters.irregular_series.latent_ode import PoissonDynamics
from node_experiments.chapters.irregular_series.official_bugs import MisreadGaps
from node_experiments.chapters.irregular_series.recurrence import (
    Observations,
    Recurrence,
    reversed_in_time,
)
from node_experiments.chapters.irregular_series.settings import SeriesModelConfig
from node_experiments.config import ConfigError
from node_experiments.data.time_series import TimeSeries
from node_experiments.nn.regularizers import Regularizer
from node_experiments.ode import Adjoint, Backprop, Solver

TIGHT = Solver("dopri5", rtol=1e-9, atol=1e-11)
DIM = 3


def series(counts=(7, 2, 5, 1), longest=8, partial=True, seed=0):
    """Packed series of these lengths in double precision."""
    generator = torch.Generator().manual_seed(seed)
    batch = len(counts)
    times = torch.rand(batch, longest, generator=generator, dtype=torch.float64).sort(1).values
    values = torch.randn(batch, longest, DIM, generator=generator, dtype=torch.float64)
    mask = torch.arange(longest) < torch.tensor(counts).unsqueeze(1)
    features = None
    if partial:
        features = torch.rand(values.shape, generator=generator) < 0.7
        features[..., 0] = True
    return TimeSeries.validated(times, values, mask, features)


AUTOREGRESSIVE, VARIATIONAL = (
    [name for name, model in CHAPTER.models.items() if f"{kind}_series" in model.tasks.values()]
    for kind in ("autoregressive", "variational")
)


def settings_of(name, **settings):
    small = {"latent": 5, "encoder_size": 6, "unit_hidden": 7, "hidden": 8, "classifier_hidden": 9}
    return SeriesModelConfig(name, **{"euler_steps": None, **small, **settings})


def data_of(label_per="series", extrapolates=False, static=0):
    """What a model is sized for; features that were never seen have the mean 0."""
    return SimpleNamespace(
        dim=DIM,
        classes=4,
        label_per=label_per,
        span=(0.0, 1.0),
        mean_gap=0.2,
        task="extrapolation" if extrapolates else "classification",
        train=[],
        static=static,
    )


def model_of(name, solver=TIGHT, gradient=None, data=None, **settings):
    torch.manual_seed(1)
    build = resolve(models()[name].build)
    chosen = settings_of(name, **settings)
    return build(chosen, data or data_of(), solver, gradient or Backprop()).double()


class Linear(nn.Module):
    """h' = a h, with an individual rate for every number."""

    def __init__(self, size):
        super().__init__()
        self.a = nn.Parameter(torch.linspace(-2, 1, size, dtype=torch.float64))

    def forward(self, h):
        return self.a * h


def one_by_one(recurrence, seen, between):
    """The states of each series alone, with what happens between observations given."""
    found = []
    inputs = recurrence.read(seen.values, seen.features, seen.gaps, None)
    for i, count in enumerate(seen.counts.tolist()):
        state = torch.zeros(1, 2 * recurrence.size, dtype=torch.float64)
        states = []
        for k in range(count):
            state = between(state, float(seen.gaps[i, k]))
            state = recurrence.unit(state, inputs[i : i + 1, k])
            states.append(state)
        found.append(torch.cat(states))
    return found


@pytest.mark.parametrize("batching", ["independent", "union"])
@pytest.mark.parametrize("field", ["none", "linear"])
def test_a_known_flow_between_observations(batching, field):
    """Without dynamics an ODE-RNN is the gated unit alone; h' = a h grows by exp(a gap)."""
    torch.manual_seed(0)
    net = Linear(4)
    if field == "none":
        net.a.data.zero_()
    flow = GapFlow(net, TIGHT, Backprop(), span=1.0)
    recurrence = Recurrence(DIM, 4, 6, flow, batching=batching).double()
    seen = Observations.of(series())
    states = recurrence(seen, 0.0)

    def exact(state, gap):
        return torch.cat([state[:, :4] * (net.a * gap).exp(), state[:, 4:]], 1)

    for i, expected in enumerate(one_by_one(recurrence, seen, exact)):
        rows = states.rows[states.row_index[i, 1 : len(expected) + 1]]
        torch.testing.assert_close(rows, expected, atol=1e-7, rtol=0)


def test_the_gated_unit_by_hand():
    torch.manual_seed(0)
    unit = GRUUnit(2, 3, 5)
    state, x = torch.randn(4, 6), torch.randn(4, 2)
    u = torch.sigmoid(unit.update(torch.cat([state, x], 1)))
    r = torch.sigmoid(unit.reset(torch.cat([state, x], 1)))
    new = unit.proposal(torch.cat([state[:, :3] * r, state[:, 3:] * r, x], 1))
    mean = (1 - u) * new[:, :3] + u * state[:, :3]
    std = (1 - u) * new[:, 3:].abs() + u * state[:, 3:]
    torch.testing.assert_close(unit(state, x), torch.cat([mean, std], 1))


def test_decay_is_the_formula_of_gru_d():
    decay = Decay(2, time_unit=0.5)
    decay.rate.data = torch.tensor([0.3, -1.0])
    decay.bias.data = torch.tensor([0.2, 0.1])
    found = decay(torch.ones(1, 4), torch.tensor([1.0]))
    once = [math.exp(-(0.3 * 2 + 0.2)), 1.0]  # the second exponent is cut at 0
    torch.testing.assert_close(found, torch.tensor([[*once, *once]]))


def test_imputation_is_the_formula_of_gru_d():
    imputation = Imputation(torch.tensor([5.0, -1.0]), time_unit=2.0)
    imputation.rate.data, imputation.bias.data = torch.tensor([0.4, 0.4]), torch.tensor([0.1, 0.1])
    features = torch.tensor([[[True, False], [False, True], [False, True]]])
    values = torch.tensor([[[3.0, 0], [0, 7], [0, 8]]])
    seen = Observations(torch.tensor([[0.0, 1, 4]]), values, features, torch.tensor([3]))
    weight = [math.exp(-(0.4 * gap / 2 + 0.1)) for gap in (1, 4)]
    first = [3.0, *(w * 3 + (1 - w) * 5 for w in weight)]
    expected = torch.tensor([first, [-1.0, 7, 8]]).T.unsqueeze(0)  # never seen: the mean
    torch.testing.assert_close(imputation(seen), expected)


def answers(model, observed, times):
    """All that a model says, as one list of tensors with the batch in front."""
    if hasattr(model, "encode"):
        mean, std = model.encode(observed)
        states = model.states(mean, times)
        return [mean, std, model.means(states), model.classify(mean, states)]
    states = model.read(observed)
    later = times + 1
    return [
        model.predict(states, times), model.classify(states, times),
        model.roll_out(states, later),
    ]  # fmt: skip


@pytest.mark.parametrize("name", AUTOREGRESSIVE + VARIATIONAL)
def test_samples_do_not_know_each_other(name):
    """A sample alone, in another order and beside others gets the same answers."""
    model = model_of(name)
    observed = series()
    times = series((8, 8, 8, 8), seed=3, partial=False).times
    expected = answers(model, observed, times)
    order = torch.tensor([2, 0, 3, 1])
    for found, whole in zip(
        answers(model, observed.select(order), times[order]), expected, strict=True
    ):
        torch.testing.assert_close(found, whole[order], atol=1e-6, rtol=0)
    for i in range(len(observed)):
        alone = answers(model, observed.select(torch.tensor([i])), times[i : i + 1])
        for found, whole in zip(alone, expected, strict=True):
            torch.testing.assert_close(found[0], whole[i], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", AUTOREGRESSIVE + VARIATIONAL)
@pytest.mark.parametrize("garbage", [torch.nan, 1e30])
def test_hidden_values_do_not_matter(name, garbage):
    model = model_of(name)
    observed = series()
    times = series((8, 8, 8, 8), seed=3, partial=False).times
    features = observed.observed_features
    spoiled = replace(observed, values=observed.values.masked_fill(~features, garbage))
    for a, b in zip(answers(model, observed, times), answers(model, spoiled, times), strict=True):
        torch.testing.assert_close(a, b)
        assert bool(b.isfinite().all())


@pytest.mark.parametrize("name", ["ode_rnn", "irregular_latent_ode"])
@pytest.mark.parametrize("gradient", [Backprop(), Adjoint()])
def test_union_and_independent_batching_agree(name, gradient):
    found = []
    times = series((8, 8, 8, 8), seed=3, partial=False).times
    for batching in ("union", "independent"):
        model = model_of(name, gradient=gradient, batching=batching)
        said = answers(model, series(), times)
        sum(x.square().sum() for x in said).backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        found.append([*said, *grads])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_union_and_independent_batching_pay_the_same():
    """Gaps between observations of others are parts of a series' own; ended series have none."""
    found = []
    for batching in ("union", "independent"):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 4))
        flow = GapFlow(net, TIGHT, Backprop(), span=1.0)
        flow.regularize(Regularizer(kinetic=1, taylor=1, order=2))
        recurrence = Recurrence(DIM, 4, 6, flow, batching=batching).double()
        recurrence(Observations.of(series()), 0.0)
        found.append({name: penalty.integral for name, penalty in flow.penalties.items()})
    assert all(value > 0 for value in found[0].values())
    torch.testing.assert_close(*found, rtol=1e-6, atol=0)


def test_series_that_ended_cost_nothing():
    """One step for each number of observation, and of its rows only those that continue."""
    rows = []

    class Counted(ConstantState):
        def forward(self, state, gaps, longest=None):
            rows.append(len(state))
            return state

    recurrence = Recurrence(DIM, 4, 6, Counted()).double()
    counts = (200, 7, 9, 7)
    seen = Observations.of(series(counts, longest=200, partial=False))
    states = recurrence(seen, 0.0)
    assert sum(rows) == sum(counts) - len(counts)
    assert len(states.rows) == 1 + sum(counts)


@pytest.mark.parametrize("name", AUTOREGRESSIVE + VARIATIONAL)
def test_gradients_reach_every_parameter(name):
    model = model_of(name, euler_steps=20)
    times = series((8, 8, 8, 8), seed=3, partial=False).times
    said = answers(model, series(), times)
    total = sum(x.square().sum() for x in said)
    if name == "latent_ode_poisson":
        states = model.states(said[0], times)
        features = torch.ones(4, 8, DIM, dtype=torch.bool)
        total = total + model.event_log_likelihood(states, features).sum()
    total.backward()
    for parameter_name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, parameter_name
            assert bool((parameter.grad != 0).any()), parameter_name


def test_a_prediction_reads_only_what_came_before():
    model = model_of("ode_rnn")
    observed = series((8, 8, 8, 8), partial=False)
    before = model.predict(model.read(observed), observed.times)
    changed = observed.values.clone()
    changed[:, 4:] += 1
    after = model.predict(model.read(replace(observed, values=changed)), observed.times)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert bool((before[:, 5:] != after[:, 5:]).any(-1).all())


def test_a_roll_out_reads_its_own_predictions():
    """Rolling out is predicting with the predictions put among the observations."""
    for name in AUTOREGRESSIVE:
        model = model_of(name)
        observed = series((5, 3, 5, 4), longest=5)
        times = 1 + torch.arange(1, 4, dtype=torch.float64).expand(4, -1) / 4
        rolled = model.roll_out(model.read(observed), times)
        fed = TimeSeries.validated(
            torch.cat([observed.times, times], 1),
            torch.cat([observed.values, rolled], 1),
            torch.cat([observed.mask, torch.ones(4, 3, dtype=torch.bool)], 1),
            torch.cat([observed.observed_features, torch.ones(4, 3, DIM, dtype=torch.bool)], 1),
        )
        predicted = model.predict(model.read(fed), times)
        torch.testing.assert_close(predicted, rolled, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_a_forecast_is_a_curve_through_the_steps_that_are_fed_back(name):
    """Rounding of the times decides nothing, and no time between two steps starts a jump."""
    model, gap, steps = model_of(name), 0.25, 4
    observed = series((5, 3, 5, 4), longest=5)
    last = model.read(observed).last()[1].unsqueeze(1)
    grid = last + gap * torch.arange(1, steps + 1, dtype=torch.float64)
    rolled = model.roll_out(model.read(observed), grid)
    for rounding in (0.0, 1e-6, -1e-6):
        found = roll_out_in_steps(model, observed, grid + rounding * gap, gap)
        torch.testing.assert_close(found, rolled, atol=1e-4, rtol=0)
    fine = last + gap * torch.arange(1, 200 * steps + 1, dtype=torch.float64) / 200
    found = roll_out_in_steps(model, observed, fine, gap).detach()
    torch.testing.assert_close(found[:, 199::200], rolled, atol=1e-6, rtol=0)
    assert float(found.diff(dim=1).abs().max()) < 0.05 * float(found.std())
    # What is asked besides changes nothing, and nor do times among the observations.
    torch.testing.assert_close(
        roll_out_in_steps(model, observed, fine[:, 250:], gap), found[:, 250:]
    )
    mixed = torch.cat([observed.times.clamp(max=last), fine], 1)
    again = roll_out_in_steps(model, observed, mixed, gap)
    torch.testing.assert_close(again[:, 5:], found)
    read = model.predict(model.read(observed), observed.times.clamp(max=last))
    torch.testing.assert_close(again[:, :5], read)


def test_the_official_ode_rnn_integrates_other_gaps():
    """Over the whole series before observation 2, then backwards over the gap before the last."""
    torch.manual_seed(0)
    flow = GapFlow(Linear(4), Solver("euler", num_steps=4), Backprop(), span=1.0)
    recurrence = MisreadGaps(DIM, 4, 6, flow).double()
    asked = []
    flow.register_forward_pre_hook(lambda module, args: asked.append(args[1].clone()))
    times = torch.tensor([[0.0, 0.1, 0.3, 0.6, 1.0]], dtype=torch.float64)
    recurrence(Observations.of(TimeSeries.validated(times, torch.randn(1, 5, DIM).double())), 0.0)
    torch.testing.assert_close(
        torch.cat(asked), torch.tensor([1.0, -0.1, -0.2, -0.3], dtype=torch.float64)
    )
    assert flow.stats.forward.evaluations == 1 + 1 + 1 + 2  # the whole series in a single step

    fixed, bug = (model_of("ode_rnn", variant=variant) for variant in ("fixed", "official_bug"))
    with torch.no_grad():
        for parameter in (*fixed.parameters(), *bug.parameters()):
            parameter.mul_(5)
    observed = series((5, 5, 5, 5), partial=False)
    said = [m.predict(m.read(observed), observed.times).detach() for m in (fixed, bug)]
    assert float((said[0] - said[1]).abs().max()) > 1e-3


def test_the_official_rnn_vae_decodes_each_series_from_another():
    observed = series((6, 6, 6, 6), longest=6, partial=False)
    changed = observed.values.clone()
    changed[0] += 1
    other = replace(observed, values=changed)
    for variant, moved in (("fixed", 0), ("official_bug", 3)):
        model = model_of("rnn_vae", variant=variant)
        means = [model.means(model.states(model.encode(s)[0], s.times)) for s in (observed, other)]
        differs = (means[0] - means[1]).abs().amax((1, 2)) > 1e-9
        assert differs.nonzero().flatten().tolist() == [moved]


def test_the_encoder_of_a_latent_ode_ends_at_the_start():
    """Its last stretch goes from the first observation back to the time of z0."""
    model = model_of("irregular_latent_ode")
    observed = series()
    shifted = replace(observed, times=observed.times + 0.5)
    differences = (model.encode(observed)[0] - model.encode(shifted)[0]).detach()
    assert float(differences.abs().max()) > 1e-6


def test_reversed_in_time():
    seen = Observations.of(series((3, 1), longest=4))
    back = reversed_in_time(seen)
    torch.testing.assert_close(back.times[0, :3], -seen.times[0, :3].flip(0))
    torch.testing.assert_close(back.values[0, :3], seen.values[0, :3].flip(0))
    torch.testing.assert_close(
        back.gaps[0, :3], torch.cat([torch.zeros(1), seen.gaps[0, 1:3].flip(0)])
    )
    torch.testing.assert_close(back.values[1, 0], seen.values[1, 0])


def test_fixed_steps_are_as_long_in_every_gap():
    flow = GapFlow(Linear(4), Solver("euler", step_size=0.1), Backprop(), span=1.0)
    for gap, steps in ((0.05, 1), (0.1, 1), (0.25, 3)):
        flow.start_pass(2)
        flow(torch.randn(2, 8, dtype=torch.float64), torch.tensor([gap, 0.0]))
        assert flow.stats.forward.evaluations == steps


@pytest.mark.parametrize("few", [256, 4, 1])
@pytest.mark.parametrize("fixed", [{"num_steps": 40}, {"step_size": 0.1}])
def test_rows_take_the_steps_of_their_own_gaps(fixed, few, monkeypatch):
    monkeypatch.setattr(gap_dynamics, "FEW_ROWS", few)
    rows = []

    def field(h):
        rows.append(len(h))
        return -h

    flow = GapFlow(field, Solver("euler", **fixed), Backprop(), span=4.0)
    gaps = torch.tensor([0.05, 3.2, 0.0, 0.1, 0.7, 1.6, 0.35, 0.1], dtype=torch.double)
    steps = torch.tensor([1, 32, 1, 1, 7, 16, 4, 1])
    state = torch.randn(len(gaps), 4, dtype=torch.double)
    mean, std = flow(state, gaps).chunk(2, -1)
    expected = (1 - gaps / steps) ** steps
    torch.testing.assert_close(mean, state[:, :2] * expected.unsqueeze(1))
    torch.testing.assert_close(std, state[:, 2:])
    assert sum(s.forward.evaluations for s in flow.solves) == len(rows) == steps.max()
    # Half of the rows end, and half of those that are left, while there are more than a few.
    assert rows == {256: [8] * 32, 4: [8] + [4] * 31, 1: [8] + [4] * 6 + [2] * 9 + [1] * 16}[few]


@pytest.mark.parametrize("name", ["ode_rnn", "irregular_latent_ode"])
def test_what_is_said_of_a_series_does_not_depend_on_the_others(name):
    """Solved by few Euler steps, of which another number would say something else."""
    solver = Solver("euler", num_steps=5) if name == "ode_rnn" else TIGHT
    model, observed = model_of(name, solver), series((7, 2, 5, 1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)

    def said(part):
        part, times = part.packed(), torch.linspace(0, 1.5, 9).double().expand(len(part), -1)
        if name == "ode_rnn":
            return model.predict(model.read(part), times).detach()
        return model.means(model.states(model.encode(part)[0].unsqueeze(0), times))[0].detach()

    alone = torch.cat([said(observed.select(torch.tensor([i]))) for i in range(4)])
    torch.testing.assert_close(said(observed), alone, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["step_t", "jump_t"])
def test_times_of_steps_mean_nothing_between_observations(name):
    solver = Solver("dopri5", **{name: [0.5]})
    for model in ("ode_rnn", "irregular_latent_ode"):
        with pytest.raises(ConfigError, match=rf"solver\.{name}=\[0.5\] means nothing"):
            model_of(model, solver)
    model_of("irregular_latent_ode", solver, euler_steps=5)  # it steers the decoder's solve


def test_rows_share_a_solve_with_steps_of_adaptive_size():
    flow = GapFlow(lambda h: -h, TIGHT, Backprop(), span=4.0)
    gaps = torch.tensor([0.05, 3.2, 0.0], dtype=torch.double)
    mean, _ = flow(torch.ones(3, 2, dtype=torch.double), gaps).chunk(2, -1)
    torch.testing.assert_close(mean[:, 0], (-gaps).exp(), rtol=1e-7, atol=0)
    assert len(flow.solves) == 1


def test_the_poisson_likelihood_of_a_constant_rate():
    """n log(rate) - rate * T, in each feature."""
    model = model_of("latent_ode_poisson")
    field = model.trajectory.vector_field
    assert isinstance(field, PoissonDynamics)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.zero_()
        field.log_rate[-1].bias.copy_(torch.tensor([0.5, 1.0, -1.0]))
    times = torch.tensor([[0.2, 0.5, 0.9]], dtype=torch.float64)
    features = torch.tensor([[[True, True, False], [True, False, True], [True, False, False]]])
    states = model.states(torch.randn(1, 10, dtype=torch.float64), times)
    log_rate = torch.tensor([0.5, 1.0, -1.0], dtype=torch.float64)
    expected = (torch.tensor([3, 1, 1]) * log_rate - log_rate.exp() * 0.9).mean()
    torch.testing.assert_close(model.event_log_likelihood(states, features), expected.view(1))
