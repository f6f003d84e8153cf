"""Derivatives of the time and the state of an event, of the first order and higher."""

import math

import pytest
import torch
from torch import nn

from node_experiments.ode import Event, Solver, solve
from tests.grids import by_turns

ACCURATE = Solver("dopri5", rtol=1e-10, atol=1e-10)
METHODS = ["backprop", "adjoint", "discrete", "checkpoint", "interpolated"]


def double(value, **options):
    return torch.tensor(value, dtype=torch.float64, **options)


def derivatives(x, inputs):
    """Gradient and Hessian of a number."""
    first = torch.autograd.grad(x, inputs, create_graph=True)
    second = [
        torch.autograd.grad(g, inputs, retain_graph=True, materialize_grads=True)
        if g.requires_grad
        else [torch.zeros_like(i) for i in inputs]
        for g in first
    ]
    return torch.stack(list(first)).detach(), torch.stack([torch.stack(list(s)) for s in second])


def close(found, wanted, tolerance=1e-6):
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=tolerance, atol=tolerance)


def test_second_derivatives_over_start_rate_and_level():
    inputs = [double(x, requires_grad=True) for x in (1.0, 2.0, 0.5)]
    y0, k, level = inputs
    solution = solve(
        lambda t, y, k, level: -k * y,
        y0,
        double([0.0, 5.0]),
        ACCURATE,
        "backprop",
        args=(k, level),
        events=[lambda t, y, k, level: y**3 - level**3],
    )
    close(derivatives(solution.ts[-1], inputs), derivatives(torch.log(y0 / level) / k, inputs))
    close(derivatives(solution.ys[-1], inputs), derivatives(level + 0 * (y0 + k), inputs))


def test_second_derivatives_of_a_landing():
    inputs = [double(x, requires_grad=True) for x in (10.0, 2.0, 9.81)]
    height, speed, gravity = inputs
    solution = solve(
        lambda t, state, gravity: (state[1], -gravity + 0 * state[1]),
        (height, speed),
        double([0.0, 5.0]),
        ACCURATE,
        "backprop",
        args=(gravity,),
        events=[lambda t, state, gravity: state[0]],
    )
    t = (speed + torch.sqrt(speed**2 + 2 * gravity * height)) / gravity
    close(derivatives(solution.ts[-1], inputs), derivatives(t, inputs))
    close(derivatives(solution.ys[1][-1], inputs), derivatives(speed - gravity * t, inputs))


def test_second_derivatives_where_the_time_enters_the_field_and_the_event():
    # y = y0 + k t^2 / 2 meets the line c t.
    inputs = [double(x, requires_grad=True) for x in (1.0, 0.5, 3.0)]
    y0, k, c = inputs
    solution = solve(
        lambda t, y, k, c: k * t + 0 * y,
        y0,
        double([0.0, 5.0]),
        Solver("rk4", num_steps=20),
        "backprop",
        args=(k, c),
        events=[lambda t, y, k, c: y - c * t],
    )
    t = (c - torch.sqrt(c**2 - 2 * k * y0)) / k
    close(derivatives(solution.ts[-1], inputs), derivatives(t, inputs))
    close(derivatives(solution.ys[-1], inputs), derivatives(c * t, inputs))


def test_third_derivatives():
    y0 = double(1.0, requires_grad=True)
    t = solve(
        lambda t, y: -2 * y, y0, double([0.0, 5.0]), ACCURATE, "backprop",
        events=[lambda t, y: y**2 - 0.25],
    ).ts[-1]  # fmt: skip
    for wanted in (0.5, -0.5, 1.0):  # of log(2 y0) / 2
        (t,) = torch.autograd.grad(t, y0, create_graph=True)
        assert float(t.detach()) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("gradient", [g for g in METHODS if g != "backprop"])
def test_other_gradient_methods_give_no_second_derivatives_over_the_start(gradient):
    y0 = double(1.0, requires_grad=True)
    t = solve(
        lambda t, y: -2 * y, y0, double([0.0, 5.0]), ACCURATE, gradient,
        events=[lambda t, y: y - 0.5],
    ).ts[-1]  # fmt: skip
    (first,) = torch.autograd.grad(t, y0, create_graph=True)
    assert float(first.detach()) == pytest.approx(0.5, abs=1e-5)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        first.backward()


class Level(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(double(value))

    def forward(self, t, y):
        return y.sum() - self.value**2


@pytest.mark.parametrize("solver", [ACCURATE, Solver("rk4", num_steps=100)])
@pytest.mark.parametrize("gradient", METHODS)
def test_only_the_event_has_a_parameter(gradient, solver):
    level = Level(0.7)
    field = nn.Linear(1, 1, bias=False, dtype=torch.float64).requires_grad_(False)
    nn.init.constant_(field.weight, -2.0)
    solution = solve(
        lambda t, y: field(y),
        double([[1.0]]),
        double([0.0, 5.0]),
        solver,
        gradient,
        events=[level],
    )
    c = level.value
    wanted = derivatives(-torch.log(c**2) / 2, [c])
    close(derivatives(solution.ts[-1], [c]), wanted, 1e-5)
    close(derivatives(solution.ys[-1].sum(), [c]), derivatives(c**2, [c]), 1e-5)


@pytest.mark.parametrize("gradient", METHODS)
def test_an_event_on_the_time_only(gradient):
    theta = double(1.3, requires_grad=True)
    y0 = double(2.0, requires_grad=gradient != "interpolated")
    solution = solve(
        lambda t, y: -y,
        y0,
        double([0.0, 5.0]),
        ACCURATE,
        gradient,
        events=[lambda t, y: t - theta],
    )
    assert float(torch.autograd.grad(solution.ts[-1], theta, retain_graph=True)[0]) == 1
    found = torch.autograd.grad(solution.ys[-1], theta)[0]
    assert float(found) == pytest.approx(-2 * math.exp(-1.3), abs=1e-8)


@pytest.mark.parametrize("gradient", METHODS)
def test_a_fixed_time_as_the_event_has_no_derivative_and_needs_none(gradient):
    y0 = double(2.0, requires_grad=True)
    solution = solve(
        lambda t, y: -y, y0, double([0.0, 5.0]), ACCURATE, gradient, events=[lambda t, y: t - 1]
    )
    assert not solution.ts.requires_grad
    found = torch.autograd.grad(solution.ys[-1], y0)[0]
    assert float(found) == pytest.approx(math.exp(-1), abs=1e-6)


WITHOUT_DERIVATIVE = {
    "sign": lambda t, y: torch.sign(y - 0.5),
    "bool": lambda t, y: y > 0.5,
    "where": lambda t, y: torch.where(y > 0.5, 1.0, -1.0),
    "where with a slope": lambda t, y: torch.where(y > 0.5, 1 + y, y - 2 * t),
    "detached": lambda t, y: y.detach() - 0.5,
    "numpy": lambda t, y: y.numpy() - 0.5,
    "Python float": lambda t, y: float(y) - 0.5,
}


@pytest.mark.parametrize(("kind", "gradient"), by_turns(WITHOUT_DERIVATIVE, METHODS))
def test_a_gradient_that_does_not_exist_is_an_error_that_names_the_event(kind, gradient):
    y0 = double(1.0, requires_grad=True)

    def find():
        events = [lambda t, y: y + 1, WITHOUT_DERIVATIVE[kind]]
        return solve(lambda t, y: -y, y0, double([0.0, 5.0]), ACCURATE, gradient, events=events)

    for output in (find().ts[-1], find().ys[-1], find().ys.sum()):
        assert bool(torch.isfinite(output))
        with pytest.raises(RuntimeError, match=r"^events\[1\] has no gradient"):
            output.backward()
    # The other outputs have theirs.
    assert float(torch.autograd.grad(find().ys[0], y0)[0]) == 1


@pytest.mark.parametrize("gradient", METHODS)
def test_a_gradient_at_a_flat_zero_is_right_or_an_error(gradient):
    y0 = double(1.0, requires_grad=True)
    solution = solve(
        lambda t, y: -y, y0, double([0.0, 5.0]), ACCURATE, gradient,
        events=[lambda t, y: torch.relu(y - 0.5)],
    )  # fmt: skip
    try:
        (found,) = torch.autograd.grad(solution.ts[-1], y0)
    except RuntimeError as error:
        assert str(error).startswith("events[0] has no gradient")  # noqa: PT017
    else:
        assert float(found) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("gradient", METHODS)
def test_an_event_at_the_start_has_the_gradient_of_one_near_it(gradient):
    y0, t = double(0.5, requires_grad=True), double([1.0, 5.0], requires_grad=True)
    solution = solve(
        lambda t, y: -2 * y * t,
        y0,
        t,
        ACCURATE,
        gradient,
        events=[Event(lambda t, y: y - 0.5, at_start=True)],
    )
    assert solution.ts.tolist() == [1.0, 1.0]
    assert solution.ys.tolist() == [0.5, 0.5]
    # y = y0 exp(t0^2 - t^2) reaches 0.5 at sqrt(t0^2 + log(2 y0)).
    found = torch.autograd.grad(solution.ts[-1], (y0, t), retain_graph=True)
    close(found, (double(1.0), double([1.0, 0.0])))
    found = torch.autograd.grad(solution.ys[-1], (y0, t))
    close(found, (double(0.0), double([0.0, 0.0])))


def test_nothing_that_needs_a_gradient_leaves_no_graph():
    for kind in WITHOUT_DERIVATIVE.values():
        solution = solve(
            lambda t, y: -y, double(1.0), double([0.0, 5.0]), "dopri5", "backprop", events=[kind]
        )
        assert not solution.ts.requires_grad
        assert not solution.ys.requires_grad
