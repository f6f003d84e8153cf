"""The grid of a fixed-step solve: generated step by step, on the outputs, of any length."""

import itertools
import math

import pytest
import torch

from node_experiments.ode import SolveError, Solver, Status, solve
from node_experiments.ode.fixed_grid import FixedGrid


def double(value, **options):
    return torch.tensor(value, dtype=torch.float64, **options)


def ends(times, first=None, **options):
    """Ends of the steps, at most the first few of them."""
    grid = FixedGrid(times, Solver("euler", **options))
    found, t = [], times[0]
    while t != times[-1] and len(found) != first:
        found.append(grid.t_next)
        grid.judge(grid.t_next - grid.t, 0.0)
        t = grid.t
    return found


def test_equal_steps():
    assert ends([0.0, 1.0], num_steps=4) == [0.25, 0.5, 0.75, 1.0]
    assert ends([1.0, 0.0], num_steps=4) == [0.75, 0.5, 0.25, 0.0]
    assert ends([0.0, 1.0], num_steps=1) == [1.0]


def test_the_last_step_of_a_given_size_is_shorter():
    assert ends([0.0, 1.0], step_size=0.4) == [0.4, 0.8, 1.0]
    assert ends([1.0, 0.0], step_size=0.4) == pytest.approx([0.6, 0.2, 0.0])
    assert ends([0.0, 1.0], step_size=5.0) == [1.0]


def test_no_tiny_step_follows_rounding():
    assert len(ends([0.0, 0.3], step_size=0.1)) == 3
    assert len(ends([0.0, 1e-3], step_size=1e-4)) == 10


def test_steps_end_on_outputs_within_rounding():
    times = [0.0, *(0.1 * n for n in range(1, 10)), 1.0]
    assert ends(times, num_steps=10) == times[1:]
    times = [math.fsum([0.1] * n) for n in range(8)]
    assert ends(times, step_size=0.1) == times[1:]


def test_given_points():
    assert ends([0.0, 1.0], step_t=(0.7, 0.2, 5.0)) == [0.2, 0.7, 1.0]
    assert ends([1.0, 0.0], step_t=(0.7, 0.2, 5.0)) == [0.7, 0.2, 0.0]


@pytest.mark.parametrize(
    ("times", "options"),
    [
        ([0.0, 1e12], {"step_size": 0.5}),
        ([0.0, 5e11], {"num_steps": 10**12}),
        ([0.0, math.inf], {"step_size": 0.5}),
    ],
)
def test_the_number_of_steps_costs_nothing_in_advance(times, options):
    assert ends(times, first=3, **options) == [0.5, 1.0, 1.5]


def test_an_endless_grid_keeps_its_outputs():
    found = ends([0.0, 0.1 + 0.2, 0.5, math.inf], first=6, step_size=0.1)
    assert found[2] == 0.1 + 0.2
    assert found == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


def test_an_endless_grid_backwards():
    assert ends([0.0, -math.inf], first=2, step_size=0.5) == [-0.5, -1.0]


@pytest.mark.parametrize("gradient", ["adjoint", "backprop", "discrete"])
@pytest.mark.parametrize(
    ("end", "options"),
    [
        (1e6, {"step_size": 0.01}),
        (1e6, {"num_steps": 10**8}),
        (1e12, {"step_size": 0.01}),
        (math.inf, {"step_size": 0.01}),
        (-1e6, {"step_size": 0.01}),
    ],
)
def test_an_early_event_of_a_long_grid_takes_its_own_time_only(end, options, gradient):
    sign = math.copysign(1, end)
    k = double(1.0, requires_grad=True)
    calls = 0

    def decay(t, y, k):
        nonlocal calls
        calls += 1
        return -sign * k * y

    solution = solve(
        decay,
        double([1.0]),
        double([0.0, end]),
        Solver("rk4", **options),
        gradient,
        args=(k,),
        events=[lambda t, y, k: y.sum() - 0.5],
    )
    solution.ts[-1].backward()
    # The 70 steps to the event at log(2), of four evaluations each, are taken in search of it,
    # once more to it, and backwards; the whole grid has 10^8.
    assert calls <= 3 * 4 * 70 + 20
    assert float(solution.ts[-1].detach()) == pytest.approx(sign * math.log(2), abs=1e-8)
    assert float(k.grad) == pytest.approx(-sign * math.log(2), abs=1e-8)


def test_an_endless_fixed_step_search_stops_at_max_steps():
    with pytest.raises(SolveError, match="no event occurred up to this time") as error:
        solve(
            lambda t, y: torch.ones_like(y),
            double(0.0),
            [0.0, math.inf],
            Solver("euler", step_size=0.5, max_steps=20),
            events=[lambda t, y: y + 1],
        )
    assert error.value.solution.status is Status.NO_EVENT
    assert "t=10" in str(error.value)


def test_a_finite_grid_has_no_limit():
    solver = Solver("euler", num_steps=30, max_steps=20)
    solution = solve(lambda t, y: torch.ones_like(y), double(0.0), [0.0, 1.0], solver)
    assert solution.stats.forward.accepted == 30


@pytest.mark.parametrize("options", [{"num_steps": 4}, {"step_t": (1.0,)}])
def test_an_endless_grid_needs_a_step_size(options):
    with pytest.raises(ValueError, match="need a finite interval"):
        solve(
            lambda t, y: -y,
            double(1.0),
            [0.0, math.inf],
            Solver("euler", **options),
            events=[lambda t, y: y - 0.5],
        )


def test_points_come_in_order():
    for n, m in itertools.product(range(1, 12), range(1, 5)):
        times = [k / m for k in range(m + 1)]
        found = ends(times, num_steps=n)
        assert found == sorted(set(found))
        assert len(found) == n
