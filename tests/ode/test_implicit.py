"""Implicit methods on stiff problems, and their Newton iterations."""

import pytest
import torch

from node_experiments.ode import Adjoint, SolveError, Solver, Status, solve
from node_experiments.ode.methods.base import StepFailed
from node_experiments.ode.methods.newton import AugmentedLinearization, Linearization, gmres

ADAPTIVE = ["trbdf2", "kvaerno3", "kvaerno5"]


def van_der_pol(t, y):
    a, b = y.unbind(-1)
    return torch.stack([b, 1000 * (1 - a**2) * b - a], -1)


def robertson(t, y):
    a, b, c = y.unbind(-1)
    slow, fast, middle = 0.04 * a, 3e7 * b**2, 1e4 * b * c
    return torch.stack([-slow + middle, slow - middle - fast, fast], -1)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("method", ADAPTIVE)
def test_van_der_pol_with_mu_1000(method):
    scipy = pytest.importorskip("scipy.integrate")
    solution = solve(
        van_der_pol, double(2.0, 0.0), double(0.0, 600.0), Solver(method, rtol=1e-5, atol=1e-7)
    )
    reference = scipy.solve_ivp(
        lambda t, y: [y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]],
        (0, 600),
        [2.0, 0.0],
        "Radau",
        rtol=1e-10,
        atol=1e-12,
    ).y[:, -1]
    torch.testing.assert_close(solution.ys[-1], double(*reference), rtol=1e-3, atol=1e-5)
    assert solution.stats.forward.evaluations < 3000


@pytest.mark.parametrize("method", ADAPTIVE)
def test_robertson_over_eleven_decades(method):
    solver = Solver(method, rtol=1e-5, atol=(1e-10))
    solution = solve(robertson, double(1.0, 0.0, 0.0), double(0.0, 1e11), solver)
    # Hairer & Wanner II, section IV.10, problem ROBER.
    expected = double(0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050)
    assert float((solution.ys[-1] - expected).abs().max()) < 1e-7
    assert float(solution.ys[-1].sum()) == pytest.approx(1, abs=1e-9)
    assert solution.stats.forward.accepted < 1500


@pytest.mark.parametrize("method", [*ADAPTIVE, "implicit_euler"])
def test_a_linear_problem_with_an_eigenvalue_of_minus_a_million(method):
    def relax(t, y):
        return -1e6 * (y - torch.cos(t)) - torch.sin(t)

    options = {"num_steps": 50} if method == "implicit_euler" else {"rtol": 1e-6, "atol": 1e-8}
    t = double(0.0, 1.0, 2.0)
    solution = solve(relax, double(1.5, -2.0), t, Solver(method, **options))
    torch.testing.assert_close(
        solution.ys[1:], torch.cos(t[1:]).unsqueeze(1).expand(2, 2), rtol=0, atol=1e-4
    )
    assert solution.stats.forward.evaluations < 2000


def test_an_explicit_method_needs_far_more_evaluations():
    def relax(t, y):
        return -1000 * (y - torch.cos(t))

    def evaluations(method):
        solver = Solver(method, rtol=1e-4, atol=1e-6)
        solution = solve(relax, double(1.0), double(0.0, 3.0), solver)
        return solution.stats.forward.evaluations

    assert evaluations("kvaerno3") < evaluations("dopri5") / 5


def test_large_states_are_solved_without_a_dense_jacobian():
    n = 200  # heat equation; the stiffest mode decays with 4 n^2
    x = torch.linspace(0, 1, n + 2, dtype=torch.float64)[1:-1]

    def heat(t, u):
        padded = torch.nn.functional.pad(u, (1, 1))
        return (padded[2:] - 2 * u + padded[:-2]) * (n + 1) ** 2

    u0 = torch.sin(torch.pi * x)
    solution = solve(heat, u0, double(0.0, 0.1), Solver("kvaerno3", rtol=1e-5, atol=1e-7))
    h = 1 / (n + 1)
    rate = 4 / h**2 * torch.sin(double(torch.pi * h / 2)) ** 2
    torch.testing.assert_close(solution.ys[-1], u0 * torch.exp(-rate * 0.1), rtol=1e-3, atol=1e-5)
    assert solution.stats.forward.accepted < 100


def test_a_newton_iteration_that_cannot_converge_ends_with_its_status():
    def no_root(t, y):
        return 1 + y**2  # y = y0 + h (1 + y^2) has no solution for h > 1/2

    solver = Solver("implicit_euler", num_steps=1)
    with pytest.raises(SolveError, match="Newton") as caught:
        solve(no_root, double(0.0), double(0.0, 10.0), solver)
    assert caught.value.solution.status is Status.NOT_CONVERGED


def test_the_adjoint_of_a_stiff_problem_has_the_gradient_of_the_closed_form():
    rate = torch.tensor(1e3, dtype=torch.float64, requires_grad=True)
    y0 = double(1.0, 2.0).requires_grad_()

    def relax(t, y, rate):
        return -rate * (y - torch.cos(t)) - torch.sin(t)

    t = double(0.0, 2e-3)
    solver = Solver("kvaerno5", rtol=1e-8, atol=1e-10)
    ys = solve(relax, y0, t, solver, Adjoint(), args=(rate,)).ys
    ys[-1].sum().backward()
    decay = torch.exp(-rate.detach() * 2e-3)
    torch.testing.assert_close(y0.grad, decay.expand(2), rtol=1e-5, atol=0)
    expected = -2e-3 * decay * (y0.detach() - 1).sum()
    torch.testing.assert_close(rate.grad, expected, rtol=1e-4, atol=1e-9)


def test_products_with_the_jacobian_agree_with_the_whole_one():
    torch.manual_seed(0)
    layer = torch.nn.Linear(7, 7, dtype=torch.float64)
    y = torch.randn(7, dtype=torch.float64)
    linearization = Linearization(lambda y: torch.tanh(layer(y)) * y, y)
    expected = torch.autograd.functional.jacobian(lambda y: torch.tanh(layer(y)) * y, y)
    torch.testing.assert_close(linearization.dense(), expected.detach())
    v = torch.randn(7, dtype=torch.float64)
    torch.testing.assert_close(linearization.times(v), expected.detach() @ v)
    torch.testing.assert_close(linearization.transposed_times(v), expected.detach().t() @ v)


def test_gmres_solves_a_linear_system():
    torch.manual_seed(0)
    matrix = torch.randn(40, 40, dtype=torch.float64) / 10 + torch.eye(40, dtype=torch.float64)
    b = torch.randn(40, dtype=torch.float64)
    x = gmres(lambda v: matrix @ v, b, 1e-10)
    torch.testing.assert_close(matrix @ x, b, rtol=0, atol=1e-8)


@pytest.mark.parametrize("n", [20, 140])
def test_the_adjoint_does_not_see_the_size_of_the_state(n):
    rates = torch.logspace(0, 3, n, dtype=torch.float64)
    jacobian = Linearization(lambda y: -rates * y, torch.ones(n, dtype=torch.float64))
    b = torch.randn(2 * n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    b[:n] *= 1e8
    ha = torch.tensor([[-5e-4]], dtype=torch.float64)
    x = AugmentedLinearization(jacobian).solver(ha)(b.unsqueeze(0)).squeeze(0)
    residual = x[n:] * (1 + 5e-4 * rates) - b[n:]
    assert float(residual.norm() / b[n:].norm()) <= 1e-3


def test_gmres_says_when_it_did_not_converge():
    rates = torch.logspace(0, 8, 200, dtype=torch.float64)
    with pytest.raises(StepFailed, match="GMRES did not converge in 50 iterations"):
        gmres(lambda v: rates * v, torch.ones(200, dtype=torch.float64), 1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("method", ["implicit_euler", "kvaerno3"])
def test_states_in_half_precision(method, dtype):
    y0 = torch.ones(3, dtype=dtype)
    solver = Solver(method, num_steps=20)
    solution = solve(lambda t, y: -y, y0, torch.tensor([0.0, 1.0]), solver)
    assert solution.ys.dtype == dtype
    assert float(solution.ys[-1, 0]) == pytest.approx(0.37, abs=0.05)


@pytest.mark.parametrize(
    "solver", [Solver("implicit_euler", num_steps=10), Solver("kvaerno3")], ids=lambda s: s.method
)
def test_in_inference_mode_as_without_gradients(solver):
    """Newton's method needs the derivatives of a vector field that autograd records nothing of."""
    net = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.eye_(net.weight)
    t = torch.tensor([0.0, 1.0])

    def ys(y0, scale):
        return solve(lambda t, y, s: -1000 * t * s * net(y), y0, t, solver, args=(scale,)).ys

    with torch.no_grad():
        expected = ys(torch.ones(2), torch.ones(2))
    with torch.inference_mode():
        torch.testing.assert_close(ys(torch.ones(2), torch.ones(2)), expected)
