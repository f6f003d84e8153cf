"""Where an event is, whatever kind of function it has."""

import math

import numpy as np
import pytest
import torch

from node_experiments.ode import Event, Solver, Status, solve


def double(value, **options):
    return torch.tensor(value, dtype=torch.float64, **options)


def fall(t, y):
    return -torch.ones_like(y)


ADAPTIVE = Solver("dopri5", rtol=1e-9, atol=1e-9)
FIXED = Solver("rk4", num_steps=7)

# All are zero, or jump, where y = 0.5.
KINDS = {
    "smooth": lambda t, y: y - 0.5,
    "shape (1,)": lambda t, y: (y - 0.5).reshape(1),
    "relu": lambda t, y: torch.relu(y - 0.5),
    "clamp": lambda t, y: (y - 0.5).clamp(-1e-3, 1e-3),
    "sign": lambda t, y: torch.sign(y - 0.5),
    "where": lambda t, y: torch.where(y > 0.5, 1.0, -1.0),
    "where with a slope": lambda t, y: torch.where(y > 0.5, 1 + y, y - 2),
    "bool": lambda t, y: y > 0.5,
    "bool that rises": lambda t, y: y < 0.5,
    "integer": lambda t, y: (y > 0.5).int(),
    "detached": lambda t, y: y.detach() - 0.5,
    "numpy": lambda t, y: y.detach().numpy() - 0.5,
    "numpy of the state itself": lambda t, y: np.float64(y.numpy() - 0.5),
    "Python float": lambda t, y: float(y) - 0.5,
    "Python bool": lambda t, y: bool(y > 0.5),
    "cube": lambda t, y: (y - 0.5) ** 3,
    "cube root": lambda t, y: torch.sign(y - 0.5) * (y - 0.5).abs() ** (1 / 3),
}


@pytest.mark.parametrize("solver", [ADAPTIVE, FIXED], ids=["adaptive", "fixed"])
@pytest.mark.parametrize("gradient", ["none", "nothing needs one", "backprop", "adjoint"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_function_ends_the_solve_where_it_becomes_zero(kind, gradient, solver):
    y0 = double(1.5, requires_grad=gradient in ("backprop", "adjoint"))
    with torch.set_grad_enabled(gradient != "none"):
        method = gradient if gradient in ("backprop", "adjoint") else "adjoint"
        solution = solve(fall, y0, double([0.0, 5.0]), solver, method, events=[KINDS[kind]])
    assert solution.status is Status.EVENT
    # The cube is zero within rounding over some 1e-5.
    tolerance = 1e-4 if kind == "cube" else 1e-12
    assert float(solution.ts[-1].detach()) == pytest.approx(1, abs=tolerance)
    assert float(solution.ys[-1].detach()) == pytest.approx(0.5, abs=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_function_backwards_in_time_in_a_tuple(kind):
    event = KINDS[kind]
    solution = solve(
        lambda t, state: (state[0], torch.zeros_like(state[1])),
        (double(1.0), double([1.0, 2.0])),
        double([0.0, -5.0]),
        ADAPTIVE,
        events=[lambda t, state: event(t, state[0])],
    )
    assert float(solution.ts[-1]) == pytest.approx(-math.log(2), abs=1e-4)


@pytest.mark.parametrize(
    ("direction", "expected"), [(0, math.pi / 6), (-1, math.pi / 6), (1, 5 * math.pi / 6)]
)
@pytest.mark.parametrize(
    "event", [lambda t, y: y[1] < 0.5, lambda t, y: torch.sign(0.5 - y[1])], ids=["bool", "sign"]
)
def test_the_direction_of_a_jump(event, direction, expected):
    solution = solve(
        lambda t, y: torch.stack([-y[1], y[0]]),
        double([1.0, 0.0]),
        double([0.0, 6.0]),
        ADAPTIVE,
        events=[Event(event, direction)],
    )
    assert float(solution.ts[-1]) == pytest.approx(expected, abs=1e-6)


def test_the_value_at_the_end_of_a_step_is_zero_and_stays_so():
    # The first zero is inside the step, and its end is as much a zero.
    solution = solve(
        fall,
        double(1.0),
        double([0.0, 5.0]),
        Solver("euler", num_steps=1),
        events=[Event(lambda t, y: torch.relu(y), points=0)],
    )
    assert float(solution.ts[-1]) == pytest.approx(1, abs=1e-12)


def test_a_zero_exactly_at_the_end_of_a_step():
    solution = solve(
        fall,
        double(1.0),
        double([0.0, 2.0]),
        Solver("euler", num_steps=4),
        events=[lambda t, y: y],
    )
    assert float(solution.ts[-1]) == 1.0
    assert float(solution.ys[-1]) == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["smooth", "relu", "bool", "sign"])
def test_single_precision(dtype, kind):
    y0 = torch.tensor(1.5, dtype=dtype)
    t = torch.tensor([0.0, 5.0], dtype=dtype)
    solution = solve(fall, y0, t, events=[KINDS[kind]])
    assert float(solution.ts[-1]) == pytest.approx(1, abs=10 * torch.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("low", "high", "solver"),
    [
        (5.0, 6.0, "dopri5"),
        (3.3, 4.4, "dopri5"),
        (8.5, 9.6, "tsit5"),
        (5.0, 6.0, "bosh3"),
        (6.1, 6.9, Solver("rk4", num_steps=4)),
        (5.1, 6.4, Solver("euler", num_steps=2)),
        (5.0, 6.0, "dopri8"),
        (5.0, 6.0, "adams"),
        (5.0, 6.0, "kvaerno5"),
        (5.0, 6.0, Solver("reversible_dopri5")),
        (5.1, 6.4, Solver("adams_bashforth", num_steps=3)),
    ],
)
def test_two_crossings_within_one_step(low, high, solver):
    solution = solve(
        lambda t, y: torch.ones_like(y),
        double(0.0),
        double([0.0, 10.0]),
        solver,
        events=[lambda t, y: (y - low) * (y - high)],
    )
    assert solution.status is Status.EVENT
    assert float(solution.ts[-1]) == pytest.approx(low, abs=1e-9)


def test_a_ball_that_rises_above_a_level_and_falls_within_one_step():
    solution = solve(
        lambda t, y: torch.stack([y[1], -torch.ones_like(y[1])]),
        double([0.0, 1.0]),
        double([0.0, 2.0]),
        Solver("rk4", num_steps=1),
        events=[lambda t, y: y[0] - 0.48],
    )
    assert float(solution.ts[-1]) == pytest.approx(0.8, abs=1e-12)


def test_a_narrow_pulse_is_found_with_short_steps_or_many_points():
    def pulse(t, y):
        return (t - 5.0) * (t - 5.05)

    def find(event, **options):
        return solve(
            lambda t, y: torch.ones_like(y), double(0.0), double([0.0, 10.0]),
            Solver("dopri5", **options), events=[event],
        )  # fmt: skip

    assert find(pulse).status is Status.REACHED
    for solution in (find(pulse, max_step=0.2), find(Event(pulse, points=300))):
        assert float(solution.ts[-1]) == pytest.approx(5, abs=1e-12)


def test_points_outside_the_domain_of_the_function_are_no_failure():
    # The straight line between the ends of a step leaves the circle, where the root is real.
    solution = solve(
        lambda t, y: torch.stack([y[1], -y[0]]),
        double([1.0, 0.0]),
        double([0.0, 3.0]),
        Solver("adams_bashforth", num_steps=30),
        events=[lambda t, y: y[0] + 0 * torch.sqrt(y.square().sum() - 0.9975)],
    )
    assert float(solution.ts[-1]) == pytest.approx(math.pi / 2, abs=1e-2)


def test_a_tiny_value_of_one_sign_is_no_crossing():
    solution = solve(fall, double(0.0), double([0.0, 1.0]), events=[lambda t, y: y * 0 + 1e-200])
    assert solution.status is Status.REACHED


def test_a_function_of_several_numbers_is_an_error():
    with pytest.raises(ValueError, match=r"one real number; found shape \(2,\)"):
        solve(fall, double([1.0, 2.0]), double([0.0, 1.0]), events=[lambda t, y: y])


def test_negative_points_are_an_error():
    with pytest.raises(ValueError, match="points=-1"):
        Event(KINDS["smooth"], points=-1)
