"""Settings of a solver: what they may be, and what is said of what they may not."""

import re

import numpy as np
import pytest
import torch

from node_experiments.ode import Solver, solve

T = [0.0, 1.0]


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("rtol", torch.tensor(0.25), 0.25),
        ("rtol", np.float32(0.25), 0.25),
        ("atol", torch.tensor([0.25, 0.5]), (0.25, 0.5)),
        ("atol", np.array([0.25, 0.5]), (0.25, 0.5)),
        ("step_t", torch.linspace(0, 1, 3), (0.0, 0.5, 1.0)),
        ("jump_t", np.array([0.25, 0.5]), (0.25, 0.5)),
        ("jump_t", torch.tensor([0.5]), (0.5,)),
        ("max_steps", 1e5, 100_000),
        ("num_steps", np.int64(3), 3),
        ("num_steps", torch.tensor(3), 3),
        ("first_step", np.float64(0.5), 0.5),
    ],
)
def test_numbers_of_numpy_and_torch_are_taken(name, given, kept):
    solver = Solver(**{name: given})
    found = getattr(solver, name)
    assert (found, type(found)) == (kept, type(kept))
    hash(solver)
    assert solve(lambda t, y: -y, torch.ones(2), T, solver).status.ok


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("rtol", None), ("rtol", "1e-4"), ("rtol", []), ("atol", [1e-3, "x"]), ("atol", {"a": 1}),
        ("step_t", 0.5), ("jump_t", 0.5), ("jump_t", "0.5"), ("jump_t", [None]),
        ("max_steps", 1.5), ("max_steps", None), ("num_steps", 2.5), ("num_steps", "3"),
        ("step_size", "0.1"), ("max_step", None), ("min_step", "0"), ("safety", [0.9]),
    ],
)  # fmt: skip
def test_what_is_no_number_is_rejected_in_one_line(name, given):
    with pytest.raises(ValueError, match=rf"^solver\.{name}={re.escape(repr(given))} must be a "):
        Solver(**{name: given})


@pytest.mark.parametrize("grid", [[2.0, 3.0], [-2.0, -1.0], [1.0, 2.0]])
def test_a_grid_outside_of_the_interval_is_rejected(grid):
    with pytest.raises(ValueError, match=r"solver.step_t .* would be one step"):
        solve(lambda t, y: -y, torch.ones(2), T, Solver("rk4", step_t=grid))
    # One that reaches over the interval is a step of it.
    ys = solve(lambda t, y: -y, torch.ones(2), T, Solver("rk4", step_t=[-1.0, 2.0])).ys
    assert float(ys[-1, 0]) == pytest.approx(0.375)


def test_fixed_steps_below_the_precision_of_the_time():
    t = torch.tensor([1.0, 1.0 + 2**-52], dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"shorter than the precision .* Take fewer steps"):
        solve(lambda t, y: -y, torch.ones(2).double(), t, Solver("rk4", num_steps=4))


def test_the_ends_of_a_solve_in_single_precision_may_be_written_as_they_are_known():
    t = torch.tensor([0.1, 0.7])
    solution = solve(lambda t, y: -y, torch.ones(2), t, dense=True)
    for time in (0.1, 0.7):
        assert solution.interpolant(time).isfinite().all()
    with pytest.raises(ValueError, match="known from"):
        solution.interpolant(0.700001)


def test_times_of_a_solution_are_its_own():
    t = torch.tensor([0.0, 1.0])
    solution = solve(lambda t, y: -y, torch.ones(2), t)
    t.mul_(5)
    assert solution.ts.tolist() == [0.0, 1.0]


def test_fixed_steps_that_are_to_end_at_jumps_are_told_how():
    with pytest.raises(ValueError, match=r"ends of all fixed steps as step_t.*perturb=True"):
        Solver("rk4", num_steps=4, jump_t=[0.5])

    def jumps(t, y):
        return torch.where(t < 0.5, 1.0, -2.0) * torch.ones_like(y)

    for method in ("rk4", "dopri5"):  # the second would be adaptive without its controller
        solver = Solver(method, step_t=[0.25, 0.5, 0.75], controller="none", perturb=True)
        assert float(solve(jumps, torch.zeros(1), T, solver).ys[-1]) == pytest.approx(-0.5)
