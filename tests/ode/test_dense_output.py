"""The solution between its outputs: every method, every kind of state."""

import math
import pickle
import warnings

import pytest
import torch

from node_experiments.ode import Event, Solver, solve
from node_experiments.ode.methods.registry import METHODS
from tests.grids import always

DENSE = [m for m in METHODS.values() if m.family in ("explicit", "reversible", "multistep")]
OFTEN = [m for m in DENSE if not m.name.startswith("reversible_") or m.name.endswith("5")]


def forced(t, y):
    return y**2 * torch.cos(t)


def exact(y0, t):
    return y0 / (1 - y0 * torch.sin(t))


@pytest.mark.parametrize("method", always(OFTEN, DENSE), ids=lambda m: m.name)
def test_interpolation_loses_no_more_than_its_order(method):
    """Between the steps the error shrinks like h^(order + 1) of the interpolant."""
    y0 = torch.tensor([0.3, 0.5], dtype=torch.float64)
    t = torch.tensor([0.0, 3.0], dtype=torch.float64)
    inside = torch.linspace(0, 3, 101, dtype=torch.float64)
    errors = []
    steps = {1: 80, 2: 80, 3: 40, 4: 40, 12: 0}.get(method.order, 12)
    for refine in (1, 2):
        options = {"num_steps": steps * refine} if steps else {"rtol": 1e-4 / 256 ** (refine - 1)}
        solution = solve(forced, y0, t, Solver(method.name, **options), dense=True)
        values = solution.interpolant(inside)
        assert values.shape == (101, 2)
        torch.testing.assert_close(values[-1], solution.ys[-1], rtol=1e-9, atol=1e-9)
        errors.append(float((values - exact(y0, inside.unsqueeze(1))).abs().max()))
    if method.family == "reversible" and method.order > 4:
        expected = 4.0
    else:
        expected = min(method.order, method.dense_order + 1)
    if steps:
        assert math.log2(errors[0] / errors[1]) > expected - 0.6
    else:
        assert errors[1] < errors[0] / 20


@pytest.mark.parametrize("method", ["dopri5", "vern7", "bosh3", "adams", "kvaerno3"])
def test_outputs_are_values_of_the_interpolant(method):
    y0 = torch.tensor([0.3, 0.5], dtype=torch.float64)
    t = torch.linspace(0, 3, 40, dtype=torch.float64)
    solution = solve(forced, y0, t, Solver(method, rtol=1e-6, atol=1e-8), dense=True)
    torch.testing.assert_close(solution.interpolant(t), solution.ys, rtol=1e-9, atol=1e-9)


def test_nested_states_backwards_in_time_and_scalar_times():
    state = {"a": torch.ones(2, 3), "b": torch.zeros(())}

    def field(t, state):
        return {"a": -state["a"], "b": torch.ones(())}

    solution = solve(field, state, torch.tensor([2.0, 1.0]), dense=True)
    middle = solution.interpolant(1.5)
    torch.testing.assert_close(middle["a"], torch.full((2, 3), math.exp(0.5)))
    torch.testing.assert_close(middle["b"], torch.tensor(-0.5))
    assert solution.interpolant(torch.full((4, 5), 1.2))["a"].shape == (4, 5, 2, 3)
    with pytest.raises(ValueError, match=r"known from t=1\.0 to t=2\.0"):
        solution.interpolant(0.5)


def test_it_carries_gradients_when_the_solve_is_recorded():
    y0 = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    solution = solve(forced, y0, t, Solver(rtol=1e-9, atol=1e-9), "backprop", dense=True)
    (grad,) = torch.autograd.grad(solution.interpolant(0.4).sum(), y0)
    assert float(grad) == pytest.approx(1 / (1 - 0.3 * math.sin(0.4)) ** 2, rel=1e-6)


def test_it_ends_at_an_event():
    y0 = torch.tensor([1.0], dtype=torch.float64)
    t = torch.tensor([0.0, 5.0], dtype=torch.float64)
    solution = solve(lambda t, y: -y, y0, t, dense=True, events=[lambda t, y: y - 0.5])
    assert float(solution.interpolant(solution.ts[-1])) == pytest.approx(0.5, abs=1e-6)
    end = float(solution.ts[-1])
    assert solution.interpolant.steps[-1] == end
    for beyond in (end + 1e-9, 1.0):  # also within the step in which the event came
        with pytest.raises(ValueError, match="known from"):
            solution.interpolant(beyond)


def test_methods_without_it_reject():
    with pytest.raises(ValueError, match="cannot take dense"):
        solve(lambda t, y: -y, torch.ones(1), torch.tensor([0.0, 1.0]), "scipy_bdf", dense=True)


@pytest.mark.parametrize(
    ("t", "options"),
    [
        ([2.0, 0.3], {"method": "dopri8"}),
        ([0.0, 0.5], {"jump_t": (0.5,)}),
        ([0.0, 0.7], {"method": "rk4", "step_size": 0.1}),
    ],
)
def test_it_reaches_its_end(t, options):
    times = torch.tensor(t, dtype=torch.float64)
    y0 = torch.ones(1, dtype=torch.float64)
    solution = solve(lambda t, y: -y, y0, times, Solver(**options), dense=True)
    assert solution.interpolant.steps[-1] == t[-1]
    torch.testing.assert_close(solution.interpolant(times), solution.ys, rtol=1e-9, atol=1e-9)


def test_a_solve_that_ends_where_it_starts():
    y0, t = torch.ones(2, 3), torch.tensor([0.0, 1.0])
    event = Event(lambda t, y: y.sum() - 6, at_start=True)
    ended = solve(lambda t, y: -y, y0, t, dense=True, events=[event])
    failed = solve(lambda t, y: y / 0, y0, t, dense=True, throw=False)
    for solution in (ended, failed):
        assert solution.interpolant.steps == [0.0]
        torch.testing.assert_close(solution.interpolant(torch.zeros(2)), torch.stack([y0, y0]))
        with pytest.raises(ValueError, match="known from"):
            solution.interpolant(0.5)


@pytest.mark.parametrize("gradient", ["adjoint", "discrete", "backprop"])
def test_a_gradient_that_its_values_lack_is_said_once(gradient):
    rate = torch.tensor(0.7, requires_grad=True)
    solution = solve(
        lambda t, y: -rate * y, torch.ones(1), [0.0, 1.0], "dopri5", gradient, dense=True
    )
    with torch.no_grad():
        solution.interpolant(0.5)
    if gradient != "backprop":
        with pytest.warns(UserWarning, match="interpolant have no gradient here"):
            assert not solution.interpolant(0.5).requires_grad
    assert solution.interpolant(0.5).requires_grad == (gradient == "backprop")


@pytest.mark.parametrize("shape", [(), (2,)])
def test_times_that_require_a_gradient_which_values_lack_are_said(shape):
    y0, t = torch.ones(1), torch.full(shape, 0.5, requires_grad=True)
    solution = solve(lambda t, y: -y, y0, [0.0, 1.0], gradient="backprop", dense=True)
    with pytest.warns(UserWarning, match="no gradient with respect to the times"):
        solution.interpolant(t)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solution.interpolant(t.detach())
        with torch.no_grad():
            solution.interpolant(t)


def test_no_times_times_of_lower_precision_and_copies():
    y0 = (torch.ones(1).double(), torch.ones(2).double())
    solution = solve(lambda t, y: (-y[0], -y[1]), y0, [0.0, 0.1], "dopri5", dense=True)
    assert [part.shape for part in solution.interpolant(torch.empty(0))] == [(0, 1), (0, 2)]
    at_end = solution.interpolant(torch.tensor(0.1))  # 0.1 in single precision is later
    torch.testing.assert_close(at_end[1], solution.ys[1][-1])
    copy = pickle.loads(pickle.dumps(solution))
    torch.testing.assert_close(copy.interpolant(0.05), solution.interpolant(0.05))


@pytest.mark.parametrize("method", ["trbdf2", "kvaerno3", "kvaerno5"])
def test_inside_long_steps_of_a_stiff_problem(method):
    """Prothero and Robinson 1974: the solution is cos t, and steps are longer than a radian."""

    def field(t, y):
        return -1e6 * (y - torch.cos(t)) - torch.sin(t)

    y0, solver = torch.ones(1).double(), Solver(method, rtol=1e-6, atol=1e-6)
    times = torch.linspace(0, 10, 100).double()
    solution = solve(field, y0, torch.tensor([0.0, 10.0]).double(), solver, dense=True)
    assert solution.stats.forward.largest_step > 1
    found = solution.interpolant(times).squeeze(1)
    assert float((found - torch.cos(times)).abs().max()) < 5e-6
