"""Vector fields that differentiate in forward mode for themselves."""

import pytest
import torch
from torch.autograd import forward_ad

from node_experiments.ode import Solver, solve

METHODS = ["backprop", "discrete", "checkpoint", "adjoint", "interpolated", "reversible"]
T = [0.0, 0.5, 1.0]


def directional(f, y, direction):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(f(forward_ad.make_dual(y, direction))).tangent


def gradients(field, solver, gradient):
    """Of the end with respect to the state and to the weight of the field."""
    y = torch.tensor([[0.3, 0.1], [0.2, -0.4]], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor([[0.5, -1.0], [1.0, 0.2]], dtype=torch.float64, requires_grad=True)
    ys = solve(lambda t, y: field(weight, y), y, T, solver, gradient).ys
    return torch.autograd.grad(ys.pow(2).sum(), (y, weight))


def dual(weight, y):
    return directional(lambda x: torch.sin(x @ weight), y, torch.ones_like(y))


def by_hand(weight, y):
    return torch.cos(y @ weight) * weight.sum(0)


@pytest.mark.parametrize("gradient", METHODS)
def test_tangents_inside_a_field_have_gradients(gradient):
    method = "reversible_dopri5" if gradient == "reversible" else "dopri5"
    solver = Solver(method, rtol=1e-9, atol=1e-9)
    expected = gradients(by_hand, solver, "backprop")
    torch.testing.assert_close(gradients(dual, solver, gradient), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("solver", "gradient"),
    [
        (Solver("kvaerno5", rtol=1e-9, atol=1e-9), "discrete"),
        (Solver("radauIIA3", num_steps=8), "adjoint"),
        (Solver("dopri5", rtol=1e-9, atol=1e-9, batching="independent"), "discrete"),
        (Solver("adams", rtol=1e-9, atol=1e-9), "adjoint"),
    ],
)
def test_tangents_inside_a_field_of_other_steps(solver, gradient):
    expected = gradients(by_hand, solver, gradient)
    torch.testing.assert_close(gradients(dual, solver, gradient), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("gradient", METHODS)
def test_a_solve_inside_a_dual_level_of_other_tensors(gradient):
    method = "reversible_dopri5" if gradient == "reversible" else "dopri5"
    solver = Solver(method, rtol=1e-9, atol=1e-9)
    expected = gradients(by_hand, solver, "backprop")
    with forward_ad.dual_level():
        forward_ad.make_dual(torch.ones(2), torch.ones(2))
        found = gradients(by_hand, solver, gradient)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
