"""Adams methods: coefficients, order selection, cost, and the gradient."""

import math

import pytest
import torch

from node_experiments.ode import Solver, solve
from node_experiments.ode.flat_field import FlatField
from node_experiments.ode.methods.adams import VariableAdams
from node_experiments.ode.methods.fixed_adams import integration_weights
from node_experiments.ode.solution import StepCounts
from node_experiments.ode.vector_field import PlainField


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def kepler(t, y):
    """DETEST D1: an orbit of eccentricity 0.1."""
    q, p = y.split(2)
    return torch.cat([p, -q / torch.linalg.vector_norm(q) ** 3])


def kepler_end(t, eccentricity=0.1):
    u = t
    for _ in range(50):
        u = t + eccentricity * math.sin(u)
    width = math.sqrt(1 - eccentricity**2)
    r = 1 - eccentricity * math.cos(u)
    return double(
        math.cos(u) - eccentricity, width * math.sin(u), -math.sin(u) / r, width * math.cos(u) / r
    )


def test_weights_are_those_of_bashforth_and_moulton_on_an_even_grid():
    bashforth = integration_weights([0.0, -1.0, -2.0, -3.0], 0.0, 1.0)
    assert bashforth == pytest.approx([55 / 24, -59 / 24, 37 / 24, -9 / 24])
    moulton = integration_weights([1.0, 0.0, -1.0, -2.0], 0.0, 1.0)
    assert moulton == pytest.approx([9 / 24, 19 / 24, -5 / 24, 1 / 24])


def adams_step(func, max_order=None):
    counts = StepCounts()

    like = torch.zeros(1, dtype=torch.float64)
    field = FlatField(
        PlainField(lambda t, y: func(float(t), y)),
        like,
        counts,
        lambda t: torch.tensor(t, dtype=torch.float64),
    )
    return VariableAdams(field, 1, 1e-6, 1e-6, max_order)


@pytest.mark.parametrize("order", range(1, 13))
def test_the_corrector_of_order_k_integrates_polynomials_of_degree_k_on_an_uneven_grid(order):
    """The corrector uses k + 1 derivatives, so that t^k is integrated without error."""
    step = adams_step(lambda t, y: torch.full_like(y, (t - 0.2) ** order))
    t, y = 0.0, double((-0.2) ** (order + 1) / (order + 1))
    for i in range(16):
        h = 0.1 * (1 + 0.3 * math.sin(5 * i))
        step.order = min(order, i + 1)
        y = step.step(t, h, y)
        step.accept(h)
        t += h
        if i < order:  # the start, of lower order, is replaced by the exact solution
            y = double((t - 0.2) ** (order + 1) / (order + 1))
    assert float(y) == pytest.approx((t - 0.2) ** (order + 1) / (order + 1), rel=1e-10)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
def test_it_follows_an_orbit_with_about_the_evaluations_of_vode(tolerance):
    scipy = pytest.importorskip("scipy.integrate")
    t = double(0.0, 20.0)
    solver = Solver("adams", rtol=tolerance, atol=tolerance)
    solution = solve(kepler, kepler_end(0.0), t, solver)
    error = float((solution.ys[-1] - kepler_end(20.0)).abs().max())
    assert error < 1000 * tolerance
    calls = 0

    def count(t, y):
        nonlocal calls
        calls += 1
        r3 = (y[0] ** 2 + y[1] ** 2) ** 1.5
        return [y[2], y[3], -y[0] / r3, -y[1] / r3]

    vode = scipy.ode(count).set_integrator(
        "vode", method="adams", rtol=tolerance, atol=tolerance, nsteps=10_000
    )
    vode.set_initial_value(kepler_end(0.0).tolist(), 0.0)
    reference = vode.integrate(20.0)
    vode_error = float((double(*reference) - kepler_end(20.0)).abs().max())
    # Two evaluations per step where VODE's corrector often takes one: at most twice as many, for
    # an error that is not larger.
    assert solution.stats.forward.evaluations < 2 * calls
    assert error < 2 * vode_error


def test_the_order_rises_with_smoothness_and_falls_at_a_kink():
    orders = []

    def field(t, y):
        return torch.cos(t) * y if t < 5 else -torch.sign(torch.sin(8 * t)) * torch.ones_like(y)

    original = VariableAdams.accept

    def accept(self, h):
        orders.append((self._t_next, self.order))
        original(self, h)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VariableAdams, "accept", accept)
        solve(field, double(1.0), double(0.0, 8.0), Solver("adams", rtol=1e-8, atol=1e-10))
    assert max(order for t, order in orders if t < 5) >= 7
    assert min(order for t, order in orders if t > 5.5) <= 3


def test_max_order_bounds_it():
    few = solve(kepler, kepler_end(0.0), double(0.0, 5.0), Solver("adams", rtol=1e-8)).stats
    low = solve(
        kepler, kepler_end(0.0), double(0.0, 5.0), Solver("adams", rtol=1e-8, max_order=2)
    ).stats
    assert low.forward.evaluations > 3 * few.forward.evaluations
    with pytest.raises(ValueError, match="max_order=5 must be from 1 to 4"):
        Solver("adams_moulton", num_steps=3, max_order=5)


def test_the_last_shorter_step_of_a_fixed_grid_keeps_the_order():
    def error(step_size):
        solver = Solver("adams_bashforth", step_size=step_size)
        end = solve(kepler, kepler_end(0.0), double(0.0, 1.0), solver).ys[-1]
        return float((end - kepler_end(1.0)).abs().max())

    assert error(0.0098) / error(0.0049) > 2**3.7


def test_backprop_through_fixed_adams_and_refusal_of_the_variable_one():
    y0 = double(0.3).requires_grad_()
    t = double(0.0, 1.0)

    def end(y0):
        solver = Solver("adams_moulton", num_steps=9)
        return solve(lambda t, y: y**2 * torch.cos(t), y0, t, solver, "backprop").ys[-1]

    assert torch.autograd.gradcheck(end, (y0,))
    with pytest.raises(ValueError, match=r"cannot record solver\.method='adams'"):
        solve(lambda t, y: -y, y0, t, "adams", "backprop")
