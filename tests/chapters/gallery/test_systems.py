"""Spheres, kinetics, populations, the pendulum and flow matching: closed forms and bad input."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from matplotlib.figure import Figure

from node_experiments.chapters.gallery import swing_up_figures
from node_experiments.chapters.gallery.hare_lynx import HARE, LYNX, pelt_data
from node_experiments.chapters.gallery.kinetics import RATES, ReactionRates, robertson_data
from node_experiments.chapters.gallery.pendulum import TruePendulum, pendulum_data
from node_experiments.chapters.gallery.populations import RATES as LOTKA_VOLTERRA
from node_experiments.chapters.gallery.populations import Populations
from node_experiments.chapters.gallery.settings import (
    HareLynxConfig,
    PendulumConfig,
    RobertsonConfig,
    SphereODEConfig,
    SpheresConfig,
    SwingUpConfig,
)
from node_experiments.chapters.gallery.sphere_ode import sphere_ode
from node_experiments.chapters.gallery.spheres import draw_spheres, sphere_data
from node_experiments.chapters.gallery.spheres_report import flows
from node_experiments.chapters.gallery.swing_up import SwingUpTask, swing_up
from node_experiments.chapters.normalizing_flows.chapter import FlowMatchingConfig
from node_experiments.chapters.normalizing_flows.flow_matching import (
    FlowMatching,
    flow_matching,
    mean_velocity,
    optimal_pairs,
)
from node_experiments.chapters.normalizing_flows.velocity_mlp import VelocityMLP
from node_experiments.config import ConfigError
from node_experiments.nn.augmentation import append_zeros
from node_experiments.ode import ControlInput, Discrete, SolveError, Solver
from node_experiments.runs import load_runs


def test_spheres_lie_where_they_should():
    points = draw_spheres(SpheresConfig(), 900, torch.Generator().manual_seed(0))
    radius = points.x.norm(dim=1)
    assert int((points.y < 0).sum()) == 300
    assert float(radius[points.y < 0].max()) <= 0.5
    assert 1.0 <= float(radius[points.y > 0].min()) < float(radius.max()) <= 1.5


def test_augmented_dimensions_start_at_zero_and_many_are_warned_of():
    data = sphere_data(SpheresConfig(points=30, batch_size=30, test_size=9))
    model = sphere_ode(SphereODEConfig(augment=3), data, Solver("rk4", num_steps=2), Discrete())
    states = model.features(data.test[0].x, torch.tensor([0.0, 1.0]))
    assert states.shape == (2, 9, 5)
    assert not states[0, :, 2:].any()
    assert append_zeros(torch.ones(2, 3, 4, 4), 5, 1).shape == (2, 8, 4, 4)
    with pytest.warns(UserWarning, match=r"model.augment=21 is more than 10 times the 2"):
        sphere_ode(SphereODEConfig(augment=21), data, Solver(), Discrete())
    with pytest.raises(ConfigError, match="from 0 to 1000"):
        SphereODEConfig(augment=-1)


def test_the_reaction_solves_to_its_data_and_explicit_solvers_say_what_to_take():
    batch = robertson_data(RobertsonConfig(span=100.0, samples=8)).test[0]
    model = ReactionRates(RATES, Solver("kvaerno5", rtol=1e-7, atol=1e-12), Discrete())
    with torch.no_grad():
        found = model(batch.times)
        torch.testing.assert_close(found.sum(1), torch.ones(9).double())
        scale = found.new_tensor([1.0, 3.65e-5, 1.0])
        torch.testing.assert_close(found / scale, batch.concentrations, rtol=0, atol=1e-4)
        model.solver = Solver("dopri5", max_steps=200)
        with pytest.raises(SolveError, match=r"stiff.*use an implicit one: solver=kvaerno5"):
            model(batch.times)


def test_the_mechanism_is_that_of_lotka_and_volterra():
    """It keeps a conserved quantity: d H - c log H + b L - a log L."""
    assert (len(HARE), len(LYNX)) == (21, 21)
    data = pelt_data(HareLynxConfig())
    model = Populations(data.test[0].logs[0], 2, 4, Solver("dopri5", rtol=1e-7), Discrete())
    with torch.no_grad():
        model.vector_field.log_rates.copy_(torch.tensor(LOTKA_VOLTERRA).log())
        x = model(torch.linspace(0, 20, 9))[:, 0].double()
    a, b, c, d = LOTKA_VOLTERRA
    kept = d * x[..., 0].exp() - c * x[..., 0] + b * x[..., 1].exp() - a * x[..., 1]
    torch.testing.assert_close(kept, kept[:1].expand_as(kept), rtol=1e-4, atol=1e-4)


def test_a_free_pendulum_keeps_its_energy_over_spans_of_its_own():
    truth = TruePendulum(9.81, 0.0)
    start, span = torch.tensor([[1.0, 0.5], [2.0, -1.0]]).double(), torch.tensor([[0.5], [2.0]])
    rest = ControlInput(torch.tensor([0.0, 1.0]).double(), torch.zeros(2, 1).double())
    y = truth.records(start, rest, span.double(), torch.tensor([0.0, 0.5, 1.0]).double())
    energy = y[..., 1] ** 2 / 2 - 9.81 * y[..., 0].cos()
    torch.testing.assert_close(energy, energy[:1].expand_as(energy), rtol=1e-5, atol=1e-5)


def test_the_plan_does_not_bend_the_dynamics():
    data = pendulum_data(PendulumConfig(records=8, batch_size=8, batches=1))
    settings = SwingUpConfig(hidden=4, span=0.5, knots=6)
    model = swing_up(settings, data, Solver("rk4", num_steps=4), Discrete())
    cost = model.plan(torch.linspace(0, 1, 3))[-1, 0, 0].cos()
    gradients = torch.autograd.grad(cost, list(model.parameters()), allow_unused=True)
    named = dict(zip((n for n, _ in model.named_parameters()), gradients, strict=True))
    assert named["plan.raw"].abs().sum() > 0
    assert all(g is None or not g.any() for n, g in named.items() if n != "plan.raw")
    loss, _ = SwingUpTask(data).loss(model, next(iter(data.train)), 0)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_a_trial_is_recorded_in_stretches_of_what_the_plan_does():
    """Each starts on the way of the true pendulum, which its own torque carries on from there."""
    data = pendulum_data(PendulumConfig(records=8, batch_size=8, batches=1))
    settings = SwingUpConfig(hidden=4, span=2.0, knots=9)
    model = swing_up(settings, data, Solver("rk4", num_steps=4), Discrete())
    batch = next(iter(data.train))
    model.run_trial(data.truth, batch.times)
    both = model.with_trial(batch)
    assert both.states.shape == (9, 8 + 5, 2)
    assert both.span[8:].flatten().tolist() == [1.0] * 5
    torque = ControlInput(both.torque.times, both.torque.values[8:])
    again = data.truth.records(both.states[0, 8:], torque, both.span[8:], batch.times)
    torch.testing.assert_close(again, both.states[:, 8:], rtol=0, atol=1e-4)
    # The second half of one is the first half of the next but one.
    torch.testing.assert_close(both.states[4:, 8], both.states[:5, 10], rtol=0, atol=1e-5)


def test_a_torque_out_of_reach_is_warned_of():
    data = pendulum_data(PendulumConfig(records=4, batch_size=4, torque=0.01))
    with pytest.warns(UserWarning, match="that it takes to stand the pendulum"):
        swing_up(SwingUpConfig(), data, Solver(), Discrete())


def test_the_trace_of_the_velocity_is_that_of_its_jacobian():
    field = VelocityMLP(2, 8, 2, 1.0).double()
    t, z = torch.tensor(0.3).double(), torch.randn(5, 2).double()
    probes = torch.eye(2).double().unsqueeze(1)
    value, trace = field.with_divergence(t, z, probes)
    torch.testing.assert_close(value, field(t.expand(5), z))
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: field(t, row[None])[0]))(z)
    torch.testing.assert_close(trace, jacobian.diagonal(dim1=1, dim2=2).sum(1))


def test_optimal_pairs_cross_less():
    noise, data = torch.randn(32, 2), torch.randn(32, 2) + 3
    paired = optimal_pairs(noise, data)
    assert sorted(paired[:, 0].tolist()) == sorted(noise[:, 0].tolist())
    assert float((paired - data).square().sum()) < float((noise - data).square().sum())
    assert not math.isnan(float(paired.sum()))


def test_a_mean_velocity_is_that_of_all_paths_through_the_point():
    """By the densities of the noise from which each would have come."""
    base_std, left = 0.7, torch.linspace(0.02, 1, 16).double().unsqueeze(1)
    noise, data = base_std * torch.randn(16, 2).double(), torch.randn(16, 2).double()
    point = left * noise + (1 - left) * data
    starts = (point.unsqueeze(1) - (1 - left).unsqueeze(1) * data) / left.unsqueeze(1)
    likely = (-starts.square().sum(-1) / (2 * base_std**2)).exp()
    velocities = data - starts
    expected = (likely.unsqueeze(-1) * velocities).sum(1) / likely.sum(1, keepdim=True)
    torch.testing.assert_close(mean_velocity(noise, data, left, base_std), expected)


def test_mean_velocities_have_the_expectation_of_single_ones_and_less_variance():
    """Of normal data, whose flow has a closed form."""
    std, batches = 0.5, 400
    found, single, expected, points = [], [], [], []
    for _ in range(batches):
        noise, data = torch.randn(64, 1).double(), std * torch.randn(64, 1).double()
        left = torch.rand(64, 1).double().clamp(min=0.05)
        t, point = 1 - left, left * noise + (1 - left) * data
        found.append(mean_velocity(noise, data, left, 1.0))
        single.append(data - noise)
        expected.append(point * (t * std**2 - left) / ((t * std) ** 2 + left**2))
        points.append(point)
    point = torch.cat(points)
    off, scatter = (torch.cat(some) - torch.cat(expected) for some in (found, single))
    assert float(off.square().mean()) < 0.2 * float(scatter.square().mean())
    for weight in (torch.ones_like(point), point):
        # Points of one batch are not independent, batches are.
        means = (weight * off).view(batches, -1).mean(1)
        assert abs(float(means.mean())) < 4 * float(means.std()) / batches**0.5


def test_half_precision_leaves_the_target_whole():
    data = SimpleNamespace(dim=2)
    model = flow_matching(FlowMatchingConfig(hidden=4, layers=1), data, Solver(), Discrete())
    losses = []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses.append(
                float(FlowMatching("independent").loss(model, torch.randn(512, 2), 0)[0])
            )
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def saved_with_whole_title(figure, *args, save=Figure.savefig, **options):
    """Save a figure whose title must not be cut off at its sides."""
    save(figure, *args, **options)
    if figure.get_suptitle():
        title = figure._suptitle.get_window_extent()
        assert title.x0 >= 0
        assert title.x1 <= figure.bbox.x1


@pytest.mark.figures
@pytest.mark.parametrize(
    ("experiment", "figure", "more"),
    [
        ("anode_spheres", "flow.png", ()),
        ("lotka_volterra_hare_lynx", "populations.png", ()),
        pytest.param(
            "pendulum",
            "swing_up.gif",
            ("solver=rk4", "solver.num_steps=6"),
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_one_command_draws_it(node_run, monkeypatch, experiment, figure, more):
    monkeypatch.setattr(swing_up_figures, "FRAMES", 5)
    monkeypatch.setattr(Figure, "savefig", saved_with_whole_title)
    few = ("protocol=smoke", "trainer.threads=1", "trainer.epochs=1")
    result = node_run(f"experiment={experiment}", *few, *more)
    assert result.code == 0, result.err
    assert (result.folders[0] / "figures" / figure).stat().st_size > 5000


def test_a_figure_of_flows_is_not_empty():
    """Of the committed runs, those of the first seed have a file of their trajectories."""
    runs = load_runs(Path(__file__).parents[3] / "outputs" / "reference" / "gallery")
    assert len(runs[runs["config.model.name"] == "sphere_ode"]) == 20
    titles = [axis.get_title() or axis.get_title("left") for axis in flows(runs, "").axes]
    assert len(titles) == 4
    assert any(title.startswith("2-d, augmented by 5") for title in titles)
    with pytest.raises(ValueError, match=r"no run on spheres with its flow.npz"):
        flows(runs[runs["seed"] > 0], "")
