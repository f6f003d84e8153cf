"""Reversible methods: `undo` is the inverse of `advance`, and gradients and solves use it."""

from itertools import pairwise

import pytest
import torch

from node_experiments.ode import Solver, solve
from node_experiments.ode.flat_field import FlatField
from node_experiments.ode.methods.reversible import REVERSIBLE
from node_experiments.ode.solution import StepCounts
from node_experiments.ode.vector_field import PlainField


def field(t, y):
    q, p = y.chunk(2)
    return torch.cat([p * (1 + t), -torch.sin(q)])


def flat(func, y):
    """The vector field as the methods call it."""
    return FlatField(PlainField(func), y, StepCounts(), lambda t: torch.tensor(t).double())


@pytest.mark.parametrize("method", REVERSIBLE.values(), ids=lambda m: m.name)
def test_undo_inverts_advance(method):
    torch.manual_seed(0)
    y = torch.randn(6, dtype=torch.float64)
    function = flat(field, y)
    start = state = method.start(function, 0.3, y)
    grid = [0.3, 0.4, 0.45, 0.7, 1.0]
    for t, t_next in pairwise(grid):
        state, _ = method.advance(function, t, t_next - t, state)
    assert float((state[0] - y).abs().max()) > 0.1
    for t, t_next in reversed(list(pairwise(grid))):
        state = method.undo(function, t, t_next - t, state)
    for found, expected in zip(state, start, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_the_coupling_of_the_two_solutions_is_that_of_the_paper():
    # One step of reversible Euler on y' = y, by hand: eq. 4 of McCallum & Foster 2024.
    method = REVERSIBLE["reversible_euler"]
    c, h = method.coupling, 0.1
    y = z = torch.ones(1, dtype=torch.float64)
    (y1, z1), _ = method.advance(flat(lambda t, y: y, y), 0.0, h, (y, z))
    expected_y = c * 1 + (1 - c) * 1 + h * 1
    assert float(y1) == pytest.approx(expected_y, rel=1e-15)
    assert float(z1) == pytest.approx(1 + h * expected_y, rel=1e-15)


@pytest.mark.parametrize("method", ["asynchronous_leapfrog", "reversible_heun", "reversible_rk4"])
def test_backprop_through_the_stepper_is_the_derivative_of_its_solution(method):
    y0 = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.6, 1.0], dtype=torch.float64)

    def end(y0):
        return solve(field, y0, t, Solver(method, num_steps=7), "backprop").ys

    assert torch.autograd.gradcheck(end, (y0,))
