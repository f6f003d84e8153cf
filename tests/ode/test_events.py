"""Events: their time, their direction, and gradients through time and state."""

import math

import pytest
import torch
from scipy.integrate import quad

from node_experiments.ode import Event, SolveError, Solver, Status, solve

HEIGHT, SPEED, GRAVITY = 10.0, 2.0, 9.81


def double(value, **options):
    return torch.tensor(value, dtype=torch.float64, **options)


def fall(t, state, gravity):
    speed = state[1]
    return speed, -gravity.expand_as(speed)


def landing_time(height, speed, gravity, ground):
    return (speed + torch.sqrt(speed**2 + 2 * gravity * (height - ground))) / gravity


@pytest.mark.parametrize(
    ("method", "gradient"),
    [
        ("dopri5", "backprop"),
        ("rk4", "backprop"),
        ("reversible_heun", "backprop"),
        ("dopri5", "adjoint"),
        ("rk4", "adjoint"),
        ("kvaerno5", "adjoint"),
        ("adams", "adjoint"),
    ],
)
def test_gradients_of_a_landing_with_respect_to_everything(method, gradient):
    options = {"num_steps": 50} if method == "rk4" else {"rtol": 1e-7, "atol": 1e-9}
    if method == "reversible_heun":
        options = {"rtol": 1e-5, "atol": 1e-7}
    height, speed = (double(x, requires_grad=True) for x in (HEIGHT, SPEED))
    gravity, ground = (double(x, requires_grad=True) for x in (GRAVITY, 0.5))
    solution = solve(
        fall,
        (height, speed),
        double([0.0, 0.3, 5.0]),
        Solver(method, **options),
        gradient,
        args=(gravity,),
        events=[lambda t, state, gravity: state[0] - ground],
    )
    assert solution.status is Status.EVENT
    assert len(solution.ts) == len(solution.ys[0]) == 3
    inputs = (height, speed, gravity, ground)
    expected = landing_time(*inputs)
    torch.testing.assert_close(solution.ts[-1], expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(solution.ys[0][-1], ground, rtol=1e-4, atol=1e-4)
    found = torch.autograd.grad(solution.ts[-1] + 3 * solution.ys[1][-1], inputs)
    at_ground = speed - gravity * expected
    wanted = torch.autograd.grad(expected + 3 * at_ground, inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def oscillate(t, y):
    return torch.stack([y[1], -y[0]])


@pytest.mark.parametrize(
    ("direction", "expected"), [(0, math.pi / 2), (-1, math.pi / 2), (1, 3 * math.pi / 2)]
)
def test_the_direction_of_a_crossing(direction, expected):
    event = Event(lambda t, y: y[0], direction)
    solution = solve(
        oscillate, double([1.0, 0.0]), double([0.0, 10.0]), Solver(rtol=1e-9), events=[event]
    )
    assert float(solution.ts[-1]) == pytest.approx(expected, abs=1e-7)


def test_the_first_of_several_events_counts_also_backwards_in_time():
    events = [lambda t, y: y[0], lambda t, y: y[1] - 0.5]
    solution = solve(oscillate, double([1.0, 0.0]), double([0.0, -10.0]), events=events)
    assert float(solution.ts[-1]) == pytest.approx(-math.pi / 6, abs=1e-5)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("order", [(0.3, 0.2, 0.7), (0.7, 0.3, 0.2), (0.2, 0.7, 0.3)])
def test_the_first_of_several_events_within_one_step_counts(order, back):
    """A state that is the time, solved in one step."""
    sign = -1.0 if back else 1.0
    events = [lambda t, y, zero=zero: sign * y[0] - zero for zero in order]
    t = double([0.0, sign])
    solver = Solver("rk4", num_steps=1)
    solution = solve(lambda t, y: torch.ones_like(y), double([0.0]), t, solver, events=events)
    assert float(solution.ts[-1]) == pytest.approx(0.2 * sign, abs=1e-9)
    assert float(solution.ys[-1, 0]) == pytest.approx(0.2 * sign, abs=1e-9)


def test_an_event_that_is_zero_at_the_start_counts_when_it_comes_again():
    solution = solve(
        oscillate, double([0.0, 1.0]), double([0.0, 10.0]), events=[lambda t, y: y[0]]
    )
    assert float(solution.ts[-1]) == pytest.approx(math.pi, abs=1e-4)


def test_an_event_that_never_comes_leaves_the_solve_as_it_is():
    y0 = double([1.0, 0.0], requires_grad=True)
    t = double([0.0, 1.0, 2.0])
    solution = solve(oscillate, y0, t, events=[lambda t, y: y[0] + 5])
    assert solution.status is Status.REACHED
    torch.testing.assert_close(solution.ts, t)
    assert torch.autograd.grad(solution.ys[-1, 0], y0)[0][0] == pytest.approx(
        math.cos(2), abs=1e-4
    )


def test_a_wrong_direction_is_rejected():
    with pytest.raises(ValueError, match="must be -1, 0 or 1"):
        Event(lambda t, y: y, direction=2)


@pytest.mark.parametrize("events", [lambda t, y: y[0], Event(lambda t, y: y[0]), [0.5]])
def test_events_are_a_list_of_functions(events):
    with pytest.raises(ValueError, match=r"events must be a list of .*write events=\[event\]"):
        solve(lambda t, y: -y, torch.ones(1), [0.0, 1.0], events=events)


@pytest.mark.parametrize("where", ["after a step", "inside a step", "at the start"])
def test_an_event_that_is_not_finite_is_an_error_and_no_crossing(where):
    def bad(t, y):
        if where == "at the start":
            return torch.where(t == 0, math.nan, 1.0)
        if where == "after a step":
            return torch.sqrt(1 - y) + 1
        return torch.where((y > 0.3) & (y < 0.7), math.nan, 0.5 - y)

    events = [lambda t, y: y + 1, bad]
    solution = solve(
        lambda t, y: torch.ones_like(y),
        double(0.0),
        double([0.0, 2.0]),
        Solver(first_step=2.0),
        events=events,
        throw=False,
    )
    assert solution.status is Status.NON_FINITE
    assert "events[1] returned NaN" in solution.message
    assert len(solution.ts) == len(solution.ys)


@pytest.mark.parametrize("gradient", ["adjoint", "backprop", None])
def test_an_event_within_rounding_of_the_start(gradient):
    y0 = double(1e-20, requires_grad=gradient is not None)
    solution = solve(
        lambda t, y: -torch.ones_like(y),
        y0,
        double([1.0, 2.0]),
        gradient=gradient or "adjoint",
        events=[lambda t, y: y],
    )
    assert solution.status is Status.EVENT
    assert len(solution.ts) == len(solution.ys) == 2
    assert float(solution.ts[-1].detach()) == pytest.approx(1)
    if gradient is not None:
        assert float(torch.autograd.grad(solution.ts[-1], y0)[0]) == pytest.approx(1)


def test_dense_output_with_an_event_whose_time_has_a_gradient():
    y0 = double([1.0], requires_grad=True)
    solution = solve(
        lambda t, y: -y, y0, double([0.0, 5.0]), dense=True, events=[lambda t, y: y - 0.5]
    )
    with torch.no_grad():
        assert float(solution.interpolant(float(solution.ts[-1]))) == pytest.approx(0.5)
    with pytest.warns(UserWarning, match="interpolant have no gradient"):
        assert not solution.interpolant(0.3).requires_grad


def test_a_search_without_an_end_finds_a_late_event():
    rate = double(-1e-9, requires_grad=True)
    solution = solve(
        lambda t, y, rate: rate * y,
        double([1.0]),
        [0.0, math.inf],
        args=(rate,),
        events=[lambda t, y, rate: y.sum() - 0.5],
    )
    assert float(solution.ts[-1].detach()) == pytest.approx(1e9 * math.log(2), rel=1e-4)
    assert float(torch.autograd.grad(solution.ts[-1], rate)[0]) == pytest.approx(
        1e18 * math.log(2), rel=1e-4
    )


@pytest.mark.parametrize("solver", ["dopri5", "adams", "kvaerno5", Solver("rk4", step_size=0.01)])
def test_a_search_without_an_end_with_outputs_backwards_in_time(solver):
    t = double([0.0, -0.5, -math.inf])
    solution = solve(
        lambda t, y: y, double(1.0), t, solver, dense=True, events=[lambda t, y: y - 0.25]
    )
    assert solution.ts.tolist() == pytest.approx([0.0, -0.5, -math.log(4)], abs=1e-4)
    assert solution.ys.tolist() == pytest.approx([1.0, math.exp(-0.5), 0.25], abs=1e-4)
    assert float(solution.interpolant(-1.0)) == pytest.approx(math.exp(-1), abs=1e-4)


@pytest.mark.parametrize(
    "field",
    [
        lambda t, y: -y,
        lambda t, y: torch.zeros_like(y),
        lambda t, y: y / (1 + t) ** 2,
        lambda t, y: torch.stack([y[1], -y[0]]),
    ],
    ids=["decays", "stands still", "converges", "oscillates"],
)
def test_a_search_without_an_end_that_finds_nothing_says_so(field):
    with pytest.raises(SolveError, match="no event occurred up to this time") as error:
        solve(
            field,
            double([1.0, 0.5]),
            [0.0, math.inf],
            Solver(max_steps=400),
            events=[lambda t, y: y.sum() + 100],
        )
    assert error.value.solution.status is Status.NO_EVENT
    assert error.value.solution.ts.tolist() == [0.0]


def test_an_infinite_time_needs_events():
    for times in ([0.0, math.inf], [-math.inf, 0.0]):
        with pytest.raises(ValueError, match="t must be finite"):
            solve(lambda t, y: -y, double(1.0), times)
    with pytest.raises(ValueError, match="only the last time"):
        solve(lambda t, y: -y, double(1.0), [-math.inf, 0.0], events=[lambda t, y: y])


@pytest.mark.parametrize("method", ["dopri5", Solver("rk4", step_size=0.1)])
def test_an_event_at_the_start(method):
    found = [
        solve(
            oscillate, double([0.0, 1.0]), [0.5, math.inf], method,
            events=[lambda t, y: y[0] - 7, Event(lambda t, y: y[0], at_start=at_start)],
        )
        for at_start in (True, False)
    ]  # fmt: skip
    assert found[0].status is found[1].status is Status.EVENT
    assert found[0].ts.tolist() == [0.5, 0.5]
    assert found[0].ys.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert float(found[1].ts[-1]) == pytest.approx(0.5 + math.pi, abs=1e-4)


@pytest.mark.parametrize("gradient", ["none", "adjoint", "backprop"])
@pytest.mark.parametrize("level", [0.5, -5.0], ids=["an event", "no event"])
def test_every_step_is_watched_once(gradient, level):
    seen = []
    y0 = double([1.0], requires_grad=gradient != "none")
    solve(
        lambda t, y: -y,
        y0,
        double([0.0, 5.0]),
        gradient=gradient if gradient != "none" else "adjoint",
        events=[lambda t, y: y.sum() - level],
        watch=lambda t, h, y, accepted: seen.append(t) if accepted else None,
    )
    assert seen == sorted(set(seen))
    assert len(seen) > 3


@pytest.mark.parametrize("change", ["state", "time"])
@pytest.mark.parametrize("gradient", ["adjoint", "backprop", "discrete"])
@pytest.mark.parametrize("nested", [False, True])
def test_an_event_that_changes_its_arguments_is_rejected(change, gradient, nested):
    def event(t, y):
        leaf = y[0] if nested else y
        (leaf if change == "state" else t).sub_(0.5)
        return leaf.sum()

    y0 = double([1.0])
    state = (y0, y0) if nested else y0
    field = (lambda t, y: (-y[0], -y[1])) if nested else (lambda t, y: -y)
    with pytest.raises(ValueError, match=f"an event changed the {change} in place"):
        solve(field, state, double([0.0, 5.0]), "dopri5", gradient, events=[event])
    assert y0.item() == 1.0


@pytest.mark.parametrize("gradient", ["backprop", "adjoint", "interpolated", "discrete"])
@pytest.mark.parametrize("half_life", [1e-12, 1.0, 1e9, 1e12, 1e30])
def test_an_event_has_its_gradient_whatever_the_unit_of_time(gradient, half_life):
    """Half of y' = -k y is left at ln(2) / k, whose derivative is -ln(2) / k^2."""
    k = double(math.log(2) / half_life, requires_grad=True)
    solver = Solver("dopri5", rtol=1e-8, atol=1e-10)
    solution = solve(
        lambda t, y: -k * y, double([1.0]), double([0.0, math.inf]), solver, gradient,
        events=[lambda t, y: y.sum() - 0.5],
    )  # fmt: skip
    time = solution.ts[-1]
    (grad,) = torch.autograd.grad(time, k)
    assert time.item() == pytest.approx(half_life, rel=1e-5)
    assert grad.item() == pytest.approx(-half_life / k.item(), rel=1e-4)


@pytest.mark.parametrize("gradient", [None, "discrete"])
@pytest.mark.parametrize("method", ["trbdf2", "kvaerno3", "kvaerno5"])
def test_events_inside_long_steps_of_a_stiff_problem(method, gradient):
    """The solution is cos t (Prothero and Robinson 1974); interpolants are off by 0.1."""

    def field(t, y):
        return -1e6 * (y - torch.cos(t)) - torch.sin(t)

    y0 = torch.ones(1, dtype=torch.float64, requires_grad=gradient is not None)
    solver, t = Solver(method, rtol=1e-6, atol=1e-6), torch.tensor([0.0, 10.0]).double()
    for level, direction in ((0.3, 0), (-0.9, 0), (0.3, 1)):
        event = Event(lambda t, y, level=level: y[0] - level, direction)
        solution = solve(field, y0, t, solver, gradient or "discrete", events=[event])
        expected = math.acos(level) if direction == 0 else 2 * math.pi - math.acos(level)
        assert float(solution.ts[-1].detach()) == pytest.approx(expected, abs=1e-6)
        assert float(solution.ys[-1].detach()) == pytest.approx(level, abs=1e-6)


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4"])
def test_an_event_in_a_step_at_whose_end_the_field_overflows(method):
    """Exponential integrate-and-fire neuron (Fourcaud-Trocme et al. 2003), in steps of 1 ms."""

    def field(t, v):
        return 100 * (-v + torch.exp(50 * v - 10)) + 60

    found = solve(
        field, torch.zeros(1, dtype=torch.float64), torch.tensor([0.0, 1.0]).double(),
        Solver(method, step_size=1e-3), events=[lambda t, v: 1 - v.sum()],
    )  # fmt: skip
    assert found.status.name == "EVENT"
    exact, _ = quad(lambda v: 1 / (100 * (math.exp(50 * v - 10) - v) + 60), 0, 1)
    # The potential rises from 0.3 to 1 in less than a step.
    assert float(found.ts[-1]) == pytest.approx(exact, abs=2e-3)
    if method != "midpoint":  # whose midpoint is not where the field is steep
        assert float(found.ys[-1]) == pytest.approx(1.0, rel=1e-3)
