"""The adjoint of linear algebra is the adjoint of an ODE: of its steps, and in the limit."""

import torch

from node_experiments.chapters.toy.adjoint_of_linear_systems import (
    by_adjoint,
    by_columns,
    euler_adjoint,
    euler_system,
)
from node_experiments.ode import Adjoint, Discrete, Solver, solve

MATRIX = torch.tensor([[-0.3, 1.1], [-0.9, 0.2]], dtype=torch.float64)
U = torch.tensor([0.7, -1.3], dtype=torch.float64)


def inputs(t):
    t = torch.as_tensor(t, dtype=torch.float64)
    return torch.stack([torch.stack([t.cos(), t, 1 + t**2]), torch.stack([t.sin(), -t, t.exp()])])


def gradient_of_solve(solver, gradient):
    parameters = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    field = lambda t, y, p: MATRIX @ y + inputs(t) @ p  # noqa: E731
    start, times = torch.zeros(2, dtype=torch.float64), torch.tensor([0.0, 1.0]).double()
    end = solve(field, start, times, solver, gradient, args=(parameters,)).ys[-1]
    return torch.autograd.grad(U @ end, parameters)[0]


def test_one_solve_for_each_column_or_one_in_all():
    a, c, u = torch.randn(7, 7).double(), torch.randn(7, 4).double(), torch.randn(7).double()
    torch.testing.assert_close(by_adjoint(a, c, u), by_columns(a, c, u))


def test_all_steps_of_an_ode_are_one_system():
    """The system, its adjoint, the recurrence and the package's discrete adjoint agree."""
    times = torch.linspace(0, 1, 21, dtype=torch.float64).tolist()
    a, c = euler_system(MATRIX, inputs, times)
    u = torch.cat([torch.zeros(len(a) - 2).double(), U])
    expected = by_columns(a, c, u)
    torch.testing.assert_close(by_adjoint(a, c, u), expected)
    torch.testing.assert_close(euler_adjoint(MATRIX, inputs, times, U), expected)
    found = gradient_of_solve(Solver("euler", num_steps=20), Discrete())
    torch.testing.assert_close(found, expected)


def test_short_steps_lead_to_the_adjoint_equation():
    """At first order, as Euler's method."""
    exact = gradient_of_solve(Solver("dopri5", rtol=1e-10, atol=1e-12), Adjoint())
    errors = []
    for steps in (100, 200):
        times = torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()
        errors.append(float((euler_adjoint(MATRIX, inputs, times, U) - exact).norm()))
    assert errors[0] < 0.05
    assert 1.9 < errors[0] / errors[1] < 2.1
