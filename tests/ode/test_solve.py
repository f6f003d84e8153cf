"""Closed forms, order of convergence, counted costs and bad input of a solve."""

import math

import pytest
import torch
from torch import nn

from node_experiments.ode import SolveError, Solver, Status, solve

DOUBLE = torch.float64


def forced(t, y):
    return -y * torch.cos(t)


def exact(t, y0):
    return y0 * torch.exp(-torch.sin(t))[:, None]


@pytest.mark.parametrize(
    "solver",
    [
        Solver("dopri5", rtol=1e-9, atol=1e-9),
        Solver("dopri5", num_steps=60),
        Solver("rk4", num_steps=120),
        Solver("midpoint", step_size=2e-3),
    ],
    ids=lambda s: s.method,
)
@pytest.mark.parametrize("end", [3.0, -3.0])
def test_closed_form_at_many_times_in_both_directions(solver, end):
    y0 = torch.tensor([1.0, 2.0], dtype=DOUBLE)
    t = torch.linspace(0, end, 17, dtype=DOUBLE)
    solution = solve(forced, y0, t, solver)
    torch.testing.assert_close(solution.ys, exact(t, y0), rtol=1e-5, atol=1e-5)
    assert solution.status is Status.REACHED


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_observed_order_on_a_non_autonomous_problem(method, order):
    y0 = torch.tensor([1.0], dtype=DOUBLE)
    t = torch.tensor([0.0, 2.0], dtype=DOUBLE)
    errors = []
    for steps in (40, 80):
        found = solve(forced, y0, t, Solver(method, num_steps=steps)).ys[-1]
        errors.append(float((found - exact(t, y0)[-1]).abs()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


def test_tighter_tolerance_gives_a_smaller_error():
    y0, t = torch.ones(3, dtype=DOUBLE), torch.tensor([0.0, 5.0], dtype=DOUBLE)
    errors = [
        float(
            (solve(forced, y0, t, Solver("dopri5", tol, tol)).ys[-1] - exact(t, y0)[-1])
            .abs()
            .max()
        )
        for tol in (1e-3, 1e-5, 1e-7, 1e-9)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-8


def test_states_of_several_tensors():
    y0 = {"position": torch.ones(2, 3), "velocity": (torch.zeros(4),)}

    def field(t, y):
        return {"position": -y["position"], "velocity": (torch.ones(4),)}

    ys = solve(field, y0, torch.tensor([0.0, 1.0, 2.0])).ys
    assert ys["position"].shape == (3, 2, 3)
    torch.testing.assert_close(ys["velocity"][0][-1], torch.full((4,), 2.0))


def test_outputs_inside_steps_cost_no_evaluations():
    """They are interpolated, and never shorten a step."""
    y0 = torch.ones(2, dtype=DOUBLE)
    few = solve(forced, y0, torch.tensor([0.0, 4.0], dtype=DOUBLE))
    many = solve(forced, y0, torch.linspace(0, 4, 500, dtype=DOUBLE))
    assert many.stats.forward.evaluations == few.stats.forward.evaluations
    assert torch.equal(many.ys[-1], few.ys[-1])


class Broken(nn.Module):
    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, t, y):
        return self.result(y)


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (lambda y: y[:1], r"shape \(1,\)"),
        (lambda y: y.long(), "int64"),
        (lambda y: None, "NoneType"),
    ],
)
def test_derivative_unlike_the_state(result, found):
    with pytest.raises(ValueError, match=f"must return a derivative like its state.*{found}"):
        solve(Broken(result), torch.ones(2), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize(
    ("t", "message"),
    [
        (torch.tensor([0.0]), "at least 2 times"),
        (torch.tensor([0.0, 1.0, 1.0]), r"t\[1\]=1.0 followed by t\[2\]=1.0"),
        (torch.tensor([0.0, 1.0, 0.5]), "strictly"),
        (torch.tensor([0.0, math.nan]), "finite"),
        (torch.tensor([0, 1]), "int64"),
    ],
)
def test_times_that_are_no_grid(t, message):
    with pytest.raises(ValueError, match=message):
        solve(forced, torch.ones(2), t)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "dorpi5"}, "did you mean 'dopri5'"),
        ({"method": "dopr"}, "did you mean 'dopri5' or 'dopri8'"),
        ({"method": "zzz"}, r"'zzz' is unknown \(ode/README.md lists them\)"),
        ({"method": "euler"}, "num_steps"),
        ({"rtol": -1.0}, r"solver.rtol=-1.0 must be"),
        ({"rtol": 0.0, "atol": 0.0}, "both 0"),
        ({"step_size": 0.1, "num_steps": 3}, "set one of them"),
        ({"num_steps": 0}, "at least 1"),
        ({"controller": "pd"}, "i, pi, pid or none"),
    ],
)
def test_solver_out_of_range(arguments, message):
    with pytest.raises(ValueError, match=message):
        Solver(**arguments)


def test_nan_from_the_start_and_in_the_middle():
    t = torch.tensor([0.0, 1.0], dtype=DOUBLE)
    y0 = torch.ones(2, dtype=DOUBLE)
    with pytest.raises(SolveError, match="NaN or infinity"):
        solve(lambda t, y: y * math.nan, y0, t)
    solution = solve(lambda t, y: y / (t < 0.5), y0, t, throw=False)
    assert solution.status is Status.NON_FINITE
    assert "stopped at t=0.5" in solution.message or "stopped at t=0.49" in solution.message
    fixed = solve(lambda t, y: y / (t < 0.5), y0, t, Solver("rk4", num_steps=4), throw=False)
    assert fixed.status is Status.NON_FINITE


def test_explosion_ends_with_a_status():
    """y' = y^2 reaches infinity at t = 1."""
    y0, t = torch.ones(1, dtype=DOUBLE), torch.tensor([0.0, 0.5, 2.0], dtype=DOUBLE)
    solution = solve(lambda t, y: y**2, y0, t, Solver(max_steps=10_000), throw=False)
    assert solution.status in (Status.STEP_UNDERFLOW, Status.NON_FINITE, Status.MAX_STEPS)
    assert solution.ts.tolist() == [0.0, 0.5]
    assert float(solution.ys[1]) == pytest.approx(2.0, rel=1e-5)


def test_step_limit_returns_what_was_reached():
    t = torch.linspace(0, 10, 11)
    with pytest.raises(SolveError, match="max_steps") as raised:
        solve(forced, torch.ones(2), t, Solver(max_steps=5))
    part = raised.value.solution
    assert part.status is Status.MAX_STEPS
    assert 1 <= len(part.ys) < 11
    assert part.stats.forward.accepted + part.stats.forward.rejected == 5


@pytest.mark.parametrize("controller", ["i", "pi", "pid"])
def test_controllers_reach_the_tolerance(controller):
    y0, t = torch.ones(3, dtype=DOUBLE), torch.tensor([0.0, 5.0], dtype=DOUBLE)
    solution = solve(forced, y0, t, Solver("dopri5", 1e-6, 1e-6, controller=controller))
    assert float((solution.ys[-1] - exact(t, y0)[-1]).abs().max()) < 1e-5
    assert solution.stats.forward.rejected <= solution.stats.forward.accepted
