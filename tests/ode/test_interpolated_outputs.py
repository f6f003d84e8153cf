"""Outputs inside of steps and their gradients: on a line, at any time, at a jump."""

from __future__ import annotations

import warnings

import pytest
import torch

from node_experiments.ode import Discrete, Interpolated, Solver, solve

T = torch.tensor([0.0, 0.3, 0.5, 0.8, 1.0], dtype=torch.float64)
WEIGHTS = torch.arange(1.0, 6.0, dtype=torch.float64).view(-1, 1)
EXPLICIT = ["euler", "midpoint", "rk4", "dopri5", "fehlberg2"]


def one(requires_grad: bool = True) -> torch.Tensor:
    return torch.ones(1, dtype=torch.float64, requires_grad=requires_grad)


def decay(t, y, k=1.0):
    return -k * y * (1 + t)


def gradients(solver, gradient, with_times=True, func=decay, t=T):
    """Of a weighted sum of the outputs, with respect to y0, a parameter, and the times."""
    y0, k = one(), torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    t = t.clone().requires_grad_(with_times)
    ys = solve(func, y0, t, solver, gradient, args=(k,)).ys
    inputs = (y0, k, t) if with_times else (y0, k)
    return torch.autograd.grad((WEIGHTS[: len(t)] * ys).sum(), inputs)


@pytest.mark.parametrize("gradient", ["backprop", "discrete", "checkpoint"])
def test_an_output_on_the_line_through_a_step(gradient):
    y0, t = one(), torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64, requires_grad=True)
    solver = Solver("euler", num_steps=1, interpolation="linear")
    ys = solve(lambda t, y: -2 * y, y0, t, solver, gradient).ys
    grad_y0, grad_t = torch.autograd.grad(ys[1].sum(), (y0, t))
    # y(t) = y0 (1 - 2 (t - t0)), whatever the end of the step.
    assert ys[1].item() == 0.5
    assert grad_y0.item() == pytest.approx(0.5)
    assert grad_t.tolist() == pytest.approx([2.0, -2.0, 0.0])


@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("method", EXPLICIT)
def test_exact_gradients_agree_on_lines(method, retain):
    solver = Solver(method, num_steps=2, interpolation="linear")
    expected = gradients(solver, "backprop")
    found = gradients(solver, Discrete(retain_graphs=retain))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradients(solver, "checkpoint"), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["trapezoid", "sdirk2", "gl4", "radauIIA3"])
def test_exact_gradients_of_implicit_methods_agree_on_lines(method):
    solver = Solver(method, num_steps=2, interpolation="linear")
    expected = gradients(solver, "backprop")
    torch.testing.assert_close(gradients(solver, "discrete"), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("with_times", [False, True])
def test_adaptive_steps_with_lines(with_times):
    solver = Solver("dopri5", rtol=1e-3, atol=1e-3, interpolation="linear")
    expected = gradients(solver, "backprop", with_times)
    found = gradients(solver, "discrete", with_times)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_lines_have_second_derivatives():
    def outputs(y0, t):
        solver = Solver("rk4", num_steps=2, interpolation="linear")
        return solve(lambda t, y: -(y**2), y0, t, solver, "backprop").ys

    t = T[[0, 1, 3, 4]].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(outputs, (one(), t))


def test_reversible_steps_with_lines():
    solver = Solver("reversible_heun", num_steps=2, interpolation="linear")
    expected = gradients(solver, "backprop", with_times=False)
    found = gradients(solver, "reversible", with_times=False)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    inside = T[[0, 1, 3, 4]]  # without the grid point, where the lines have a kink
    times = gradients(solver, "reversible", t=inside)[2]
    for j in range(len(inside)):
        moved = []
        for sign in (1, -1):
            t = inside.clone()
            t[j] += sign * 1e-6
            k = torch.tensor(1.5, dtype=torch.float64)
            ys = solve(decay, one(False), t, solver, args=(k,)).ys
            moved.append((WEIGHTS[: len(t)] * ys).sum())
        assert times[j].item() == pytest.approx(float(moved[0] - moved[1]) / 2e-6, abs=1e-6)


@pytest.mark.parametrize("method", ["trapezoid", "trbdf2"])
def test_values_inside_implicit_steps_warn_that_they_have_no_gradient(method):
    solver = Solver(method, num_steps=4)
    solution = solve(decay, one(), T[[0, -1]], solver, "backprop", dense=True)
    with pytest.warns(UserWarning, match="not implicit"):
        values = solution.interpolant(torch.tensor([0.25, 0.3]))
    assert not values.requires_grad


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
def test_dense_output_where_the_times_have_a_gradient(method):
    y0, t = one(), T[[0, 1, -1]].clone().requires_grad_()
    solution = solve(decay, y0, t, Solver(method, num_steps=4), "backprop", dense=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = solution.interpolant(torch.linspace(0, 1, 30, dtype=torch.float64))
    (grad,) = torch.autograd.grad(values.sum(), y0)
    assert grad.item() == pytest.approx(values.sum().item())  # linear in y0 = 1
    torch.testing.assert_close(solution.interpolant(0.3), solution.ys[1])


def test_interpolated_gradients_reject_implicit_steps():
    solver = Solver("kvaerno3", rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"too long to be interpolated.*'discrete' or 'adjoint'"):
        solve(decay, one(), T, solver, Interpolated(method="dopri5"))


@pytest.mark.parametrize("method", ["trapezoid", "implicit_midpoint", "gl4"])
@pytest.mark.parametrize("gradient", ["backprop", "discrete"])
def test_times_of_implicit_steps_of_a_constant_field(method, gradient):
    y0, t = one(False), T.clone().requires_grad_()
    ys = solve(lambda t, y: torch.ones_like(y), y0, t, Solver(method, num_steps=2), gradient).ys
    for j in range(1, len(T)):
        (grad,) = torch.autograd.grad(ys[j].sum(), t, retain_graph=True)
        expected = [-1.0] + [float(i == j) for i in range(1, len(T))]
        assert grad.tolist() == pytest.approx(expected)


def jumping(t, y, k):
    return -k * y * torch.where(t > 0.5, 1 + t, 1.0)


@pytest.mark.parametrize(
    "solver",
    [
        Solver("bosh3", rtol=1e-3, jump_t=[0.5]),
        Solver("fehlberg2", rtol=1e-3, jump_t=[0.5]),
        Solver("vern7", rtol=1e-3, jump_t=[0.5]),
        Solver("vern7", rtol=1e-3, jump_t=[0.5], interpolation="linear"),
        Solver("rk4", num_steps=4, perturb=True),
    ],
    ids=lambda s: f"{s.method}-{s.interpolation}",
)
def test_retained_graphs_give_times_a_gradient_at_grid_points(solver):
    t = T[[0, 2, -1]]
    found = gradients(solver, Discrete(retain_graphs=True), func=jumping, t=t)
    expected = gradients(solver, Discrete(), func=jumping, t=t)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    if solver.jump_t:
        # Up to the jump y(t) = exp(-k t).
        slope = -1.5 * torch.exp(torch.tensor(-0.75)).item() * WEIGHTS[1].item()
        assert found[2][1].item() == pytest.approx(slope, rel=5e-2)


@pytest.mark.parametrize("method", ["bosh3", "fehlberg2", "vern7", "kvaerno3"])
def test_backprop_gives_an_output_at_a_jump_the_slope_before_it(method):
    solver, t = Solver(method, rtol=1e-3, jump_t=[0.5]), T[[0, 2, -1]]
    found = gradients(solver, "backprop", func=jumping, t=t)
    expected = gradients(solver, "discrete", func=jumping, t=t)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_retained_graphs_of_a_solve_that_ends_early():
    t = T.clone().requires_grad_()
    solver = Solver("vern7", max_steps=1, rtol=1e-2, first_step=1.0, step_t=[0.5])
    grads = []
    for retain in (False, True):
        ys = solve(decay, one(), t, solver, Discrete(retain_graphs=retain), throw=False).ys
        assert 1 < len(ys) < len(t)
        grads.append(torch.autograd.grad(ys.sum(), t)[0])
    torch.testing.assert_close(*grads)
