"""The methods of SciPy: the same numbers as SciPy, and gradients by the adjoint."""

import math

import numpy as np
import pytest
import torch

from node_experiments.ode import Adjoint, SolveError, Solver, Status, solve
from tests.grids import by_turns

METHODS = [
    "scipy_lsoda",
    "scipy_vode_adams",
    "scipy_rk23",
    "scipy_rk45",
    "scipy_dop853",
    "scipy_bdf",
    "scipy_radau",
]


def field(t, y):
    return torch.stack([y[1], -torch.sin(y[0]) + 0.1 * torch.cos(t)])


def host(t, y):
    return np.array([y[1], -np.sin(y[0]) + 0.1 * np.cos(t)])


T = torch.linspace(0, 5, 6, dtype=torch.float64)


@pytest.mark.parametrize(
    ("method", "name"), [("lsoda", "LSODA"), ("bdf", "BDF"), ("radau", "Radau")]
)
def test_they_are_scipys_own_numbers(method, name):
    integrate = pytest.importorskip("scipy.integrate")
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    solution = solve(field, y0, T, Solver(f"scipy_{method}", rtol=1e-6, atol=1e-8))
    expected = integrate.solve_ivp(
        host,
        (0, 5),
        [1.0, 0.0],
        name,
        t_eval=T.numpy(),
        jac=lambda t, y: np.array([[0, 1], [-np.cos(y[0]), 0]]),
        rtol=1e-6,
        atol=1e-8,
    )
    np.testing.assert_allclose(solution.ys.numpy(), expected.y.T, rtol=1e-9, atol=1e-11)
    assert solution.stats.forward.evaluations >= expected.nfev


@pytest.mark.parametrize(("method", "seminorm"), by_turns(METHODS, [True, False]))
def test_the_adjoint_gives_their_gradients(method, seminorm):
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 3, dtype=torch.float64)
    y0 = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    inputs = (y0, *layer.parameters())

    def gradients(solver, gradient):
        ys = solve(
            lambda t, y: torch.tanh(layer(y)) - y * t,
            y0,
            t,
            solver,
            gradient,
            parameters=inputs[1:],
        ).ys
        return torch.autograd.grad(ys.square().sum(), inputs)

    found = gradients(Solver(method, rtol=1e-7, atol=1e-9), Adjoint(seminorm=seminorm))
    expected = gradients(Solver("dopri8", rtol=1e-10, atol=1e-10), "backprop")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_failures_are_statuses(method):
    def explode(t, y):
        return y**2

    t = torch.tensor([0.0, 2.0], dtype=torch.float64)
    with pytest.raises(SolveError) as caught:
        solve(explode, torch.ones(1, dtype=torch.float64), t, Solver(method, max_steps=300))
    assert not caught.value.solution.status.ok
    with pytest.raises(SolveError) as caught:
        solve(field, torch.ones(2), T.float(), Solver(method, max_steps=2))
    assert caught.value.solution.status is Status.MAX_STEPS


@pytest.mark.parametrize("gradient", ["backprop", "discrete", "checkpoint", "reversible"])
def test_other_gradients_are_rejected(gradient):
    y0 = torch.ones(2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"adjoint|reversible methods"):
        solve(field, y0, T, "scipy_bdf", gradient)


@pytest.mark.parametrize(
    ("method", "name"), [("rk23", "RK23"), ("rk45", "RK45"), ("dop853", "DOP853")]
)
def test_the_explicit_ones_are_scipys_own_numbers(method, name):
    integrate = pytest.importorskip("scipy.integrate")
    y0 = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = solve(field, y0, T, Solver(f"scipy_{method}", rtol=1e-6, atol=1e-8)).ys
    options = {"t_eval": T.numpy(), "rtol": 1e-6, "atol": 1e-8}
    expected = integrate.solve_ivp(host, (0, 5), [1.0, 0.0], name, **options).y.T
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("method", [*METHODS, "adams"])
def test_backprop_solves_where_nothing_needs_a_gradient(method):
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    y0 = torch.ones(2, dtype=torch.float64)
    ys = solve(lambda t, y: -y, y0, t, Solver(method, rtol=1e-8, atol=1e-8), "backprop").ys
    assert not ys.requires_grad
    np.testing.assert_allclose(ys[-1].numpy(), np.exp(-1), rtol=1e-6)
    rate = torch.ones(2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match="gradient='adjoint'"):
        solve(lambda t, y: -rate * y, y0, t, method, "backprop")


def van_der_pol(t, y):
    return torch.stack([y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]])


RELAXED = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2000.0])


@pytest.fixture(scope="module")
def relaxed():
    integrate = pytest.importorskip("scipy.integrate")
    y0, t = (part.double().numpy() for part in RELAXED)

    def host(t, y):
        return [y[1], 1000 * (1 - y[0] ** 2) * y[1] - y[0]]

    found = integrate.solve_ivp(host, t, y0, "Radau", rtol=1e-7, atol=1e-9)
    return torch.from_numpy(found.y[:, -1])


@pytest.mark.parametrize("method", ["scipy_radau", "scipy_bdf"])
def test_stiff_problems_in_float32(method, relaxed):
    solution = solve(van_der_pol, *RELAXED, Solver(method, rtol=1e-4, atol=1e-6))
    # Differences of a float32 field took 4142 (BDF) and 39843 (Radau).
    assert solution.stats.forward.evaluations < 3500
    torch.testing.assert_close(solution.ys[-1].double(), relaxed, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("method", ["scipy_radau", "scipy_bdf"])
def test_robertson_in_float32(method):
    def robertson(t, y):
        slow, fast, middle = 0.04 * y[0], 3e7 * y[1] ** 2, 1e4 * y[1] * y[2]
        return torch.stack([middle - slow, slow - middle - fast, fast])

    y0, t = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1e11])
    solution = solve(robertson, y0, t, Solver(method, rtol=1e-3, atol=1e-8, max_steps=3000))
    # Differences of a float32 field took 1322 (BDF), or did not get there (Radau).
    assert solution.stats.forward.evaluations < 1100
    torch.testing.assert_close(solution.ys[-1], torch.tensor([0.0, 0, 1]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemError, SystemExit, ZeroDivisionError])
def test_an_error_of_the_field_is_not_lost(method, error):
    """Whatever C code between the field and the caller makes of it."""
    times = []

    def field(t, y):
        times.append(float(t))
        if 0 < t < 1:
            raise error("no luck")
        return -y

    with pytest.raises(error, match="no luck"):
        solve(field, torch.ones(2), torch.tensor([0.0, 1.0]), Solver(method))
    assert sum(0 < t < 1 for t in times) == 1, "the field is not asked again"


@pytest.fixture(params=[False, True], ids=["", "subnormal numbers are 0"])
def _subnormal(request):
    torch.set_flush_denormal(request.param)
    yield
    torch.set_flush_denormal(False)


@pytest.mark.usefixtures("_subnormal")
@pytest.mark.parametrize(
    ("method", "case"), by_turns(METHODS, [(math.nan, 0), (math.inf, 0), (math.nan, 0.5)])
)
def test_a_derivative_that_is_not_finite_ends_the_solve(method, case):
    """However short the step becomes: at time 0, no number is too small for one."""
    value, start = case
    y0, t = torch.ones(2), torch.tensor([0.0, 1.0])
    field = lambda t, y: y * value if t > start else -y  # noqa: E731
    solution = solve(field, y0, t, Solver(method), throw=False)
    assert solution.status is Status.NON_FINITE
    assert solution.stats.forward.evaluations < 5000


@pytest.mark.parametrize("method", ["scipy_radau", "scipy_bdf", "scipy_lsoda"])
def test_an_error_of_the_jacobian_is_not_lost(method):
    def field(t, y):
        if y.requires_grad:
            raise OSError("no luck")
        return -1e3 * (y - t.cos())

    with pytest.raises(OSError, match="no luck"):
        solve(field, torch.ones(2), torch.tensor([0.0, 10.0]), Solver(method))


def test_steps_are_bounded_from_below():
    y0, t = torch.ones(2), torch.tensor([0.0, 10.0])

    def evaluations(**bounds):
        solver = Solver("scipy_vode_adams", **bounds)
        return solve(field, y0, t, solver, throw=False).stats.forward.evaluations

    assert evaluations(min_step=0.5) < evaluations() / 3


@pytest.mark.parametrize(
    ("method", "option"),
    [
        ("scipy_rk45", {"min_step": 0.1}),
        ("scipy_bdf", {"min_step": 0.1}),
        ("scipy_lsoda", {"safety": 0.5}),
        ("scipy_radau", {"controller": "pi"}),
        ("scipy_vode_adams", {"interpolation": "linear"}),
        ("scipy_dop853", {"max_steps_between_outputs": 3}),
    ],
)
def test_what_scipy_has_not_is_rejected(method, option):
    (name,) = option
    with pytest.raises(ValueError, match=rf"solver\.{name}=.* has no effect on .*{method}"):
        Solver(method, **option)
