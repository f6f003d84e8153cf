"""What all hand-written gradient methods have in common."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from node_experiments.ode import Adjoint, Checkpoint, Event, Interpolated, Solver, solve

WAYS = ["adjoint", "discrete", "checkpoint", "interpolated", "reversible"]
TIMES = torch.tensor([0.0, 1.0])


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_of_a_gradient_is_rejected_and_not_dropped(way):
    net = nn.Linear(3, 3)
    y0 = torch.ones(3, requires_grad=True)
    last = solve(lambda t, y: torch.tanh(net(y)), y0, TIMES, "dopri5", way).ys[-1]
    (g,) = torch.autograd.grad(last.sum(), y0, create_graph=True)
    assert g.requires_grad
    said = r"no second derivatives.*gradient='backprop'"
    with pytest.raises(NotImplementedError, match=said):
        torch.autograd.grad(g.sum(), y0, allow_unused=True, retain_graph=True)
    with pytest.raises(NotImplementedError, match=said):
        torch.autograd.grad(g.sum(), net.weight, allow_unused=True, retain_graph=True)
    with pytest.raises(NotImplementedError, match=said):
        (last.sum() + g.square().sum()).backward()


@pytest.mark.parametrize("way", WAYS)
def test_no_second_derivative_is_taken_for_zero(way):
    """These functions of torch put zeros where autograd finds no way."""

    def end(y0):
        return solve(lambda t, y: -(y**2), y0, TIMES, "dopri5", way).ys[-1]

    for function in (
        lambda y0: torch.autograd.functional.hessian(lambda y: end(y).sum(), y0),
        lambda y0: torch.autograd.functional.jvp(end, y0, y0),
    ):
        with pytest.raises(NotImplementedError, match="no second derivatives"):
            function(torch.ones(2))


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_of_the_gradient_that_nobody_uses_does_no_harm(way):
    y0 = torch.ones(3, requires_grad=True)
    solver = Solver("rk4", num_steps=4)
    expected = solve(lambda t, y: -y, y0, TIMES, solver, way).ys[-1].sum()
    (expected,) = torch.autograd.grad(expected, y0)
    found = solve(lambda t, y: -y, y0, TIMES, solver, way).ys[-1].sum()
    (found,) = torch.autograd.grad(found, y0, create_graph=True)
    torch.testing.assert_close(found.detach(), expected, rtol=0, atol=0)


@pytest.mark.parametrize("way", WAYS)
def test_a_complex_argument_of_a_real_state(way):
    c, scale = torch.tensor(0.5 + 0.2j, requires_grad=True), torch.ones(3, requires_grad=True)

    def gradients(way):
        args = (c, scale)
        ys = solve(
            lambda t, y, c, s: -(c * s * y).real + c.imag * y,
            torch.ones(3),
            TIMES,
            Solver("dopri5", 1e-6, 1e-6),
            way,
            args=args,
        ).ys
        return torch.autograd.grad(ys[-1].sum(), args)

    torch.testing.assert_close(gradients(way), gradients("backprop"), rtol=1e-4, atol=1e-5)


def test_reversible_steps_do_not_see_one_side_of_a_jump():
    y0, solver = torch.ones(1, requires_grad=True), Solver("rk4", num_steps=4, perturb=True)
    with pytest.raises(ValueError, match=r"perturb=True.*'backprop' or 'discrete'"):
        solve(lambda t, y: -y, y0, TIMES, solver, "reversible")


JUMPING = ("euler", "midpoint", "rk4", "dopri5", "bosh3", "trapezoid", "gl4", "sdirk2")


@pytest.mark.parametrize("method", JUMPING)
@pytest.mark.parametrize("times", [(0.0, 1.0), (1.0, 0.4, 0.0), (0.0, 0.3, 0.5, 0.9, 1.0)])
def test_steps_made_again_see_the_same_side_of_a_jump(method, times):
    """The field jumps at a grid point, and steps share no derivative there."""
    times = torch.tensor(times, dtype=torch.float64)

    def gradients(way):
        w = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
        y0 = torch.ones(2, dtype=torch.float64, requires_grad=True)

        def field(t, y):
            return torch.where(t < 0.5, w, 2 * w**3) * torch.sin(y) * (1 + t)

        solver = Solver(method, num_steps=4, perturb=True)
        solve(field, y0, times, solver, way).ys.square().sum().backward()
        return w.grad, y0.grad

    expected = gradients("backprop")
    for way in ("discrete", "checkpoint", Checkpoint(checkpoints=1)):
        torch.testing.assert_close(gradients(way), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("way", ["adjoint", "discrete", "checkpoint", "interpolated", "backprop"])
def test_a_solve_without_a_step_has_the_gradient_of_its_start(way):
    y0, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    solution = solve(lambda t, y: w * y / 0, y0, TIMES, "dopri5", way, throw=False)
    assert len(solution.ys) == 1
    solution.ys.sum().backward()
    torch.testing.assert_close(y0.grad, torch.ones(2))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Checkpoint(checkpoints=2.5),
        lambda: Interpolated(quadrature_points=2.5),
        lambda: Event(lambda t, y: y, points=2.5),
        lambda: Adjoint(rtol=[1e-3, -1.0]),
        lambda: Adjoint(atol=[]),
    ],
)
def test_options_that_make_no_sense(make):
    with pytest.raises(ValueError, match="must be a"):
        make()


def test_tolerances_of_the_adjoint_are_those_of_a_solver():
    def evaluations(rtol):
        y0 = torch.ones(2, requires_grad=True)
        solver = Solver("dopri5", rtol=1e-3, atol=1e-6)
        solution = solve(lambda t, y: -y, y0, TIMES, solver, Adjoint(rtol=rtol))
        solution.ys.sum().backward()
        return solution.stats.backward.evaluations

    assert evaluations(1e-3) < evaluations([1e-3, 1e-6]) <= evaluations(1e-6)


@pytest.mark.filterwarnings("ignore:At least one element of `rtol` is too small")
def test_scipy_solves_backwards_without_a_relative_tolerance():
    y0 = torch.ones(2, dtype=torch.float64, requires_grad=True)
    solution = solve(lambda t, y: -y, y0, TIMES.double(), Solver("scipy_rk45", rtol=0, atol=1e-6))
    solution.ys[-1].sum().backward()
    torch.testing.assert_close(y0.grad, torch.full_like(y0, math.exp(-1)), rtol=1e-4, atol=0)
