"""The ball against its closed form, and gradients of bounce times against finite differences."""

import json

import pytest
import torch

from node_experiments.chapters.gallery.ball import (
    Ball,
    BallError,
    FallingBody,
    bouncing_ball,
    learned_physics,
)
from node_experiments.chapters.gallery.bounces import bounce_data, bounce_times, heights
from node_experiments.chapters.gallery.settings import (
    BouncesConfig,
    BouncingBallConfig,
    LearnedPhysicsConfig,
)
from node_experiments.config import ConfigError
from node_experiments.ode import Adjoint, Backprop, Discrete, Solver
from tests.grids import always

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


def test_the_tenth_bounce_by_every_parameter():
    """To 1e-4, as the official demonstration checks it; also by the absorption of a bounce."""
    model, expected = ball(Backprop()), []
    for parameter in model.parameters():
        for k in range(parameter.numel()):
            ends = []
            with torch.no_grad():
                for change in (1e-4, -2e-4):
                    parameter.view(-1)[k] += change
                    ends.append(float(model.bounce_times(10)[-1]))
                parameter.view(-1)[k] += 1e-4
            expected.append((ends[0] - ends[1]) / 2e-4)
    for gradient in (Backprop(), Discrete(), Adjoint()):
        model = ball(gradient)
        parameters = [*model.parameters()]
        found = torch.autograd.grad(model.bounce_times(10)[-1], parameters)
        assert len(found) == 5
        values = torch.cat([part.flatten() for part in found]).tolist()
        assert values == pytest.approx(expected, abs=1e-4), gradient


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


@pytest.mark.parametrize(
    ("gravity", "restitution", "radius", "message"),
    [
        (-9.8, 0.8, 0.2, r"the ball never comes down: its gravity is -9.8 m/s\^2"),
        (0.0, 0.8, 0.2, "the ball never comes down: its gravity is 0 m"),
        (9.8, 0.0, 0.2, "the ball stays on the ground: its restitution is .* above 0"),
        (9.8, -0.1, 0.2, "the ball stays on the ground: its restitution is -0.1"),
        (9.8, 0.8, 10.0, "the ball starts in the ground: its centre is 10 m high"),
        (9.8, 0.8, 12.5, "its radius, which is 12.5 m"),
    ],
)
def test_a_ball_that_does_not_bounce_says_why(gravity, restitution, radius, message):
    model = Ball(FallingBody(gravity, restitution, radius), 10.0, TIGHT, Discrete())
    with pytest.raises(BallError, match=message) as raised:
        model.bounce_times(3)
    assert "optimizer.lr" in str(raised.value)
    if gravity > 0:
        with pytest.raises(BallError, match=message):
            model(torch.linspace(0, 1, 3).double())


def test_a_ball_that_rises_has_heights_but_no_bounce():
    model = Ball(FallingBody(-2.0, 0.8, 0.2), 10.0, TIGHT, Discrete())
    times = torch.linspace(0, 1, 5).double()
    torch.testing.assert_close(model(times).detach(), 10 + times**2, rtol=0, atol=1e-5)


def test_no_bounce_to_wait_for():
    with pytest.raises(ValueError, match="count=0 must be at least 1"):
        ball().bounce_times(0)


def test_a_restitution_above_1_gains_height():
    """Flights last longer by that factor: there is nothing wrong with it but the physics."""
    model = Ball(FallingBody(9.8, 1.2, 0.2), 10.0, TIGHT, Discrete())
    first, second, third = model.bounce_times(3).tolist()
    assert (third - second) / (second - first) == pytest.approx(1.2)


def test_a_guess_that_is_larger_than_the_fall():
    data = bounce_data(BouncesConfig())
    with pytest.raises(ConfigError, match=r"model.radius=11 must be below dataset.height=10"):
        bouncing_ball(BouncingBallConfig(radius=11), data, TIGHT, Discrete())


def test_a_guess_by_which_no_bounce_comes_before_the_last_sample():
    data = bounce_data(BouncesConfig())
    slow = BouncingBallConfig(gravity=1e-9)
    with pytest.warns(
        UserWarning, match=r"model.gravity=1e-09 the ball comes down after 1.38e\+05"
    ):
        bouncing_ball(slow, data, TIGHT, Discrete())


@pytest.mark.parametrize(
    ("solver", "remedy"),
    [
        (Solver("scipy_lsoda"), "use a method of torch"),
        (Solver("dopri5", batching="independent"), "use solver.batching=joint"),
    ],
)
@pytest.mark.parametrize(
    ("make", "settings"),
    [(bouncing_ball, BouncingBallConfig()), (learned_physics, LearnedPhysicsConfig())],
)
def test_a_solver_that_knows_no_events(make, settings, solver, remedy):
    with pytest.raises(ConfigError, match="cannot end a solve at an event") as raised:
        make(settings, bounce_data(BouncesConfig()), solver, Discrete())
    assert remedy in str(raised.value)


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
    assert "regularizer cannot be used with this model, whose solves end at events" in result.err


@pytest.mark.figures
@pytest.mark.parametrize(
    "experiment", always(["bouncing_ball"], ["bouncing_ball", "learn_physics"])
)
def test_one_command_fits_a_ball(node_run, experiment):
    result = node_run(f"experiment={experiment}", "protocol=smoke", "trainer.threads=1")
    assert result.code == 0, result.err
    (folder,) = result.folders
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert {"gravity/test", "restitution/test", "radius/test"} <= set(metrics)
    for name in ("ball.png", "training.gif"):
        assert (folder / "figures" / name).stat().st_size > 5000
