from __future__ import annotations

import pytest
import torch

from node_experiments.ode import Backprop, Solver, solve
from node_experiments.ode.methods.explicit_tableaus import EXPLICIT_TABLEAUS
from tests.grids import always


@pytest.mark.parametrize(
    "method",
    always(["euler", "midpoint", "bosh3", "rk4", "dopri5", "tsit5"], sorted(EXPLICIT_TABLEAUS)),
)
def test_first_and_second_derivatives_of_state_argument_and_times(example, method):
    solver = Solver(method, num_steps=2)
    t = torch.tensor([0.0, 0.3, 0.4, 0.9, 1.0], dtype=torch.float64, requires_grad=True)

    def solution(y0, gain, t):
        return solve(example.func, y0, t, solver, Backprop(), args=(gain,)).ys

    inputs = (example.y0, example.gain, t)
    assert torch.autograd.gradcheck(solution, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(solution, inputs, fast_mode=True)


def test_an_output_on_a_grid_point_moves_along_the_slope(example):
    solver = Solver("rk4", num_steps=2)
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    ys = solve(example.func, example.y0, t, solver, Backprop(), args=(example.gain,)).ys
    slope = example.func(t[1], ys[1], example.gain)
    (grad_t,) = torch.autograd.grad(ys[1].sum(), t)
    torch.testing.assert_close(grad_t[1], slope.sum())


@pytest.mark.parametrize(
    "solver",
    [
        Solver("rk4", num_steps=40),
        Solver("gl4", num_steps=20),
        Solver("kvaerno5"),
        Solver("dopri5", step_t=(0.5,)),
        Solver("dopri5", jump_t=(0.5,)),
    ],
    ids=lambda solver: f"{solver.method}{solver.jump_t}",
)
def test_second_derivatives_of_times_on_grid_points_are_those_of_the_solution(solver):
    def outputs(t):  # dy/dt = (1 + t) y up to 0.5, and half of it after that
        def field(t, y):
            return (1 + t) * y * (0.5 if solver.jump_t and t > 0.5 else 1.0)

        return solve(field, torch.ones(1, dtype=torch.float64), t, solver, "backprop").ys[:2, 0]

    def solution(t):
        return torch.exp(t[1] + t[1] ** 2 / 2 - t[0] - t[0] ** 2 / 2)

    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    computed = torch.autograd.functional.hessian(lambda t: outputs(t)[1], t)
    expected = torch.autograd.functional.hessian(solution, t)
    torch.testing.assert_close(computed, expected, rtol=1e-3, atol=1e-3)
