"""`adaptive_heun` and `fehlberg2`: a step begins with the derivative at a predicted state."""

import itertools
import math

import pytest
import torch

from node_experiments.ode import Solver, solve
from node_experiments.ode.gradients import Checkpoint, Discrete
from node_experiments.ode.torchdiffeq import odeint
from tests.grids import always, pairwise

METHODS = ("adaptive_heun", "fehlberg2")
T = torch.tensor([0.0, 0.3, 0.7, 1.5], dtype=torch.float64)
W = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.7


def field(t, y, w):
    return torch.tanh(y @ w) * torch.cos(t) + 0.1 * t


@pytest.mark.parametrize("method", METHODS)
def test_order_two_on_a_problem_with_time_and_a_nonlinear_state(method):
    """y' = y^2 cos t, y(0) = 1/2 has the solution 1 / (2 - sin t)."""

    def error(steps):
        t = torch.tensor([0.0, 1.0], dtype=torch.float64)
        y0 = torch.tensor([0.5], dtype=torch.float64)
        solver = Solver(method, num_steps=steps)
        ys = solve(lambda t, y: y**2 * torch.cos(t), y0, t, solver).ys
        return abs(float(ys[-1]) - 1 / (2 - math.sin(1.0)))

    orders = [math.log2(error(n) / error(2 * n)) for n in (40, 80)]
    assert orders == pytest.approx([2.0, 2.0], abs=0.05)


@torch.no_grad()
def test_the_predictions_of_equal_steps_are_those_of_adams_and_bashforth():
    seen = []

    def decay(t, y):
        seen.append(float(y))
        return -y

    solve(
        decay, torch.ones(1, dtype=torch.float64), [0.0, 1.0], Solver("adaptive_heun", num_steps=8)
    )
    h = 1 / 8
    assert len(seen) == 9  # one evaluation a step after the first
    for before, here, after in zip(seen, seen[1:], seen[2:], strict=False):
        assert after == pytest.approx(here - h * (3 * here - before) / 2, rel=1e-12)


@pytest.mark.parametrize(("step", "stable"), [(0.98, True), (1.02, False)])
def test_stable_on_the_real_axis_down_to_minus_one(step, stable):
    solver = Solver("adaptive_heun", step_size=step)
    y0, t = torch.ones(1, dtype=torch.float64), [0.0, 1000 * step]
    end = solve(lambda t, y: -y, y0, t, solver).ys[-1]
    assert (float(end.abs()) < 1) is stable


@pytest.mark.parametrize(
    ("options", "method", "forwards"),
    pairwise(
        [
            {"rtol": 1e-4, "atol": 1e-4},
            {"rtol": 1e-4, "atol": 1e-4, "jump_t": (0.9,)},
            {"num_steps": 7},
        ],
        METHODS,
        [True, False],
    ),
)
def test_gradients_of_the_steps_are_exact(method, options, forwards):
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3).requires_grad_()
    w, t = W.clone().requires_grad_(), (T if forwards else T.flip(0)).clone().requires_grad_()
    weights = torch.linspace(1, 2, 24, dtype=torch.float64).view(4, 2, 3)

    def gradients(gradient):
        ys = solve(field, y0, t, Solver(method, **options), gradient, args=(w,)).ys
        return ys, *torch.autograd.grad((ys * weights).sum(), (y0, w, t))

    expected = gradients("backprop")
    for gradient in (Discrete(), Discrete(retain_graphs=True), Checkpoint(1), Checkpoint(3)):
        torch.testing.assert_close(gradients(gradient), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gradient", ["adjoint", "interpolated"])
def test_gradients_by_the_adjoint_equation_are_within_the_tolerance(method, gradient):
    w = W.clone().requires_grad_()
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3)

    def gradients(solver, gradient):
        ys = solve(field, y0, T, solver, gradient, args=(w,)).ys
        return torch.autograd.grad(ys.square().sum(), w)[0]

    found = gradients(Solver(method, rtol=1e-5, atol=1e-5), gradient)
    expected = gradients(Solver("dopri8", rtol=1e-11, atol=1e-11), "backprop")
    torch.testing.assert_close(
        found, expected, rtol=0, atol=3e-2 if method == "fehlberg2" else 1e-4
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("solver", [{"num_steps": 10}, {"rtol": 1e-4, "atol": 1e-4}], ids=str)
def test_the_end_of_a_coarse_step_is_no_other_field(method, solver):
    """The last evaluation is at the prediction, not at the end of the step."""
    rate = torch.tensor(2.0, requires_grad=True)
    ys = solve(lambda t, y: -rate * y, torch.ones(1), T, Solver(method, **solver), "adjoint").ys
    ys.sum().backward()
    assert rate.grad < 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gradient", [Discrete(), Discrete(retain_graphs=True), Checkpoint(2)])
def test_a_second_backward_pass_gives_the_same(method, gradient):
    w, y0 = W.clone().requires_grad_(), torch.ones(2, 3, dtype=torch.float64)
    ys = solve(field, y0, T, Solver(method, num_steps=4), gradient, args=(w,)).ys
    first, second = (torch.autograd.grad(ys.sum(), w, retain_graph=True) for _ in range(2))
    torch.testing.assert_close(second, first, rtol=0, atol=1e-13)


def test_a_jump_is_not_bridged_by_a_prediction():
    seen = []

    def field(t, y):
        seen.append(float(t))
        return torch.where(t < 1, 1.0, -1.0) * torch.ones_like(y)

    solver = Solver("adaptive_heun", rtol=1e-6, atol=1e-6, jump_t=(1.0,))
    y0 = torch.zeros(1, dtype=torch.float64)
    assert float(solve(field, y0, [0.0, 2.0], solver).ys[-1]) == pytest.approx(0.0, abs=1e-9)
    assert any(1 < t < 1 + 1e-9 for t in seen)


def test_perturbed_steps_are_rejected():
    for method in METHODS:
        with pytest.raises(ValueError, match="begin with a derivative of the step before"):
            Solver(method, num_steps=3, perturb=True)


@pytest.mark.parametrize("method", always(METHODS[-1:], METHODS))
def test_at_most_the_evaluations_of_torchdiffeq_at_equal_error(method):
    """By straight lines of log(evaluations) over log(error), at tolerances from 1e-3 to 1e-5."""
    theirs = pytest.importorskip("torchdiffeq", reason="needs the extra bench")
    problems = [
        (lambda t, y: torch.stack([y[1], -y[0]]), [1.0, 0.0]),
        (lambda t, y: torch.stack([y[1], 2 * (1 - y[0] ** 2) * y[1] - y[0]]), [2.0, 0.0]),
        (lambda t, y: -2 * y + torch.sin(3 * t), [1.0, 0.5]),
    ]
    t, logs = torch.tensor([0.0, 3.0], dtype=torch.float64), []
    for f, start in problems:
        y0 = torch.tensor(start, dtype=torch.float64)
        with torch.no_grad():
            exact = odeint(f, y0, t, rtol=1e-12, atol=1e-12, method="dopri8")[-1]
            points = []
            for interface in (odeint, theirs.odeint):
                for tolerance in (1e-3, 1e-4, 1e-5):
                    calls = []
                    counted = lambda t, y: (calls.append(1), f(t, y))[1]  # noqa: B023, E731
                    tolerances = {"rtol": tolerance, "atol": tolerance}
                    y = interface(counted, y0, t, method=method, **tolerances)[-1]
                    points.append([math.log(float((y - exact).norm())), math.log(len(calls))])
        x, y = torch.tensor(points, dtype=torch.float64).unbind(1)
        # One slope for both, and the distance of the two lines.
        columns = torch.stack([x, torch.tensor([1.0] * 3 + [0.0] * 3), torch.ones(6)], 1)
        logs.append(float(torch.linalg.lstsq(columns.double(), y[:, None]).solution[1]))
    assert math.exp(sum(logs) / len(logs)) <= 1.02


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grid", [(-0.7, -0.1, 0.25, 0.3, 0.5), (0.5, 1e-2, 1e-4, 1e-6, -0.3)])
def test_steps_are_replayed_by_their_ends_and_not_by_their_sizes(method, grid):
    """Near zero, t + (t_end - t) is not t_end, and only a step after a jump starts from f(y)."""
    assert any(t + (t_end - t) != t_end for t, t_end in itertools.pairwise(grid))
    w = W.clone().requires_grad_()
    y0 = torch.linspace(-1, 1, 6, dtype=torch.float64).view(2, 3)

    def gradient(method_of_gradients):
        solver = Solver(method, step_t=grid, controller="none")
        ends = [grid[0], grid[-1]]
        ys = solve(field, y0, ends, solver, method_of_gradients, args=(w,)).ys
        return torch.autograd.grad(ys[-1].sum(), w)[0]

    expected = gradient("backprop")
    for each in ("discrete", "checkpoint", Checkpoint(1), Discrete(retain_graphs=True)):
        torch.testing.assert_close(gradient(each), expected, rtol=1e-10, atol=1e-12)
