"""The ball against its closed form, and gradients of bounce times against finite differences."""

import json

import pytest
import torch

from node_experiments.chapters.gallery.ball import Ball, FallingBody
from node_experiments.chapters.gallery.bounces import bounce_times, heights
from node_experiments.chapters.gallery.settings import BouncesConfig, BouncingBallConfig
from node_experiments.config import ConfigError
from node_experiments.ode import Adjoint, Backprop, Discrete, SolveError, Solver

TRUTH = BouncesConfig()
TIGHT = Solver("dopri5", rtol=1e-8, atol=1e-8)


def ball(gradient=None):
    body = FallingBody(TRUTH.gravity, TRUTH.restitution, TRUTH.radius)
    model = Ball(body, TRUTH.height, TIGHT, gradient or Discrete())
    for parameter in model.parameters():
        parameter.requires_grad_()
    return model


def test_bounces_and_heights_are_those_of_the_closed_form():
    model = ball()
    times = torch.linspace(0, bounce_times(TRUTH, 5)[-1] + 0.1, 90, dtype=torch.float64)
    with torch.no_grad():
        found = model.bounce_times(5)
        torch.testing.assert_close(model(times), heights(TRUTH, times), rtol=0, atol=1e-5)
    torch.testing.assert_close(found, torch.tensor(bounce_times(TRUTH, 5)).double())


@pytest.mark.parametrize("gradient", [Backprop(), Discrete(), Adjoint()])
def test_the_tenth_bounce_by_every_parameter(gradient):
    """To 1e-4, as the official demonstration checks it; also by the absorption of a bounce."""
    model = ball(gradient)
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(model.bounce_times(10)[-1], parameters)
    assert len(names) == 5
    for name, parameter, gradient_of in zip(names, parameters, found, strict=True):
        for k in range(parameter.numel()):
            ends = []
            with torch.no_grad():
                for change in (1e-4, -2e-4):
                    parameter.view(-1)[k] += change
                    ends.append(float(model.bounce_times(10)[-1]))
                parameter.view(-1)[k] += 1e-4
            expected = (ends[0] - ends[1]) / 2e-4
            assert float(gradient_of.view(-1)[k]) == pytest.approx(expected, abs=1e-4), name


def test_heights_after_bounces_have_gradients():
    """Of a sample in the third flight, by gravity; and a sample at the time of a bounce."""
    model, times = ball(), torch.tensor([0.0, 4.4], dtype=torch.float64)
    (found,) = torch.autograd.grad(model(times)[-1], model.vector_field.gravity)
    around = [heights(BouncesConfig(gravity=9.8 + h), times)[-1] for h in (1e-5, -1e-5)]
    assert float(found) == pytest.approx(float(around[0] - around[1]) / 2e-5, rel=1e-4)
    with torch.no_grad():
        at_bounce = torch.cat([times[:1], model.bounce_times(2)])
        radius = torch.full((2,), TRUTH.radius, dtype=torch.float64)
        torch.testing.assert_close(model(at_bounce)[1:], radius)


def test_a_ball_that_never_comes_down():
    """Its height grows without bound, until the solver names the event that it waits for."""
    model = ball()
    with torch.no_grad():
        model.vector_field.gravity.fill_(-1.0)
        with pytest.raises(SolveError, match=r"no event came|events\[0\]") as raised:
            model.bounce_times(1)
    assert not raised.value.solution.status.ok


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BouncingBallConfig(gravity=-9.8), "a ball that does not fall never bounces"),
        (lambda: BouncesConfig(height=0.1), r"dataset.height=0.1 must be above dataset.radius"),
        (lambda: BouncesConfig(restitution=1.0), "between 0 and 1"),
    ],
)
def test_a_ball_that_cannot_be(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_regularizer_has_no_place_in_a_flight(node_run):
    result = node_run("experiment=bouncing_ball", "protocol=smoke", "regularizer=kinetic")
    assert result.code == 2
    assert "regularizer cannot go with this model, whose solves end at events" in result.err


@pytest.mark.figures
@pytest.mark.parametrize("experiment", ["bouncing_ball", "learn_physics"])
def test_one_command_fits_a_ball(node_run, experiment):
    result = node_run(f"experiment={experiment}", "protocol=smoke", "trainer.threads=1")
    assert result.code == 0, result.err
    (folder,) = result.folders
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert {"gravity/test", "restitution/test", "radius/test"} <= set(metrics)
    for name in ("ball.png", "training.gif"):
        assert (folder / "figures" / name).stat().st_size > 5000
