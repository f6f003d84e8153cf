"""Observed order of convergence of every method, in float64, with fixed steps."""

import math

import pytest
import torch

from node_experiments.ode import Solver, solve
from node_experiments.ode.flat_field import FlatField
from node_experiments.ode.methods.registry import METHODS
from node_experiments.ode.methods.reversible import REVERSIBLE as COUPLED
from node_experiments.ode.methods.reversible import ReversibleRungeKutta
from node_experiments.ode.solution import StepCounts
from node_experiments.ode.vector_field import PlainField
from tests.grids import by_turns

# Steps of the coarsest grid, by order.
STEPS = {1: 160, 2: 80, 3: 80, 4: 80, 5: 40, 6: 20, 7: 10, 8: 10}
REVERSIBLE_STEPS = {1: 320, 2: 80, 3: 160, 4: 80, 5: 48, 7: 12, 8: 12}
ROUNDING = 2e-13  # errors below say nothing about the order
FIXED = [
    m
    for m in METHODS.values()
    if m.family in ("explicit", "implicit", "multistep") and m.name != "adams"
]
REVERSIBLE = [m for m in METHODS.values() if m.family == "reversible"]
END = 4.0


def whirl(t, y):
    """Autonomous: a rotation whose speed grows with the radius."""
    a, b = y.unbind(-1)
    return torch.stack([-b, a], -1) * (4 * a**2 + 4 * b**2).unsqueeze(-1)


def whirl_end(y0, t):
    a, b = y0.unbind(-1)
    angle = 4 * (a**2 + b**2) * t
    sin, cos = torch.sin(angle), torch.cos(angle)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1)


def forced(t, y):
    """Not autonomous, and nonlinear."""
    return y**2 * torch.cos(t)


def forced_end(y0, t):
    return y0 / (1 - y0 * math.sin(t))


Y0 = torch.tensor([[0.3, 0.2], [0.5, 0.1]], dtype=torch.float64)


def error(method, func, exact, steps, order=None, end=END):
    t = torch.tensor([0.0, end], dtype=torch.float64)
    solver = Solver(method, num_steps=steps, rtol=1e-13, atol=1e-14, max_order=order)
    return float(torch.linalg.vector_norm(solve(func, Y0, t, solver).ys[-1] - exact(Y0, end)))


def observed_order(method, func, exact, steps, order=None):
    """From the finest two grids whose errors stand out from rounding; at most 4 times `steps`."""
    slope, coarse = math.nan, error(method, func, exact, steps, order)
    for n in (2 * steps, 4 * steps):
        fine = error(method, func, exact, n, order)
        if not fine > ROUNDING:
            break
        slope, coarse = math.log2(coarse / fine), fine
    return slope


PROBLEMS = {"whirl": (whirl, whirl_end), "forced": (forced, forced_end)}


def problems_in_turn():
    """Each method on one problem, and of the implicit ones, which take their time, a few.

    The order of all of them is also that of their tableaus.
    """
    slow = {"kvaerno5", "trbdf2", "radauIIA3", "implicit_midpoint", "gl6", "implicit_euler"}
    for place, method in enumerate(FIXED):
        for other, name in enumerate(PROBLEMS):
            now = place % 2 == other and method.name not in slow
            marks = () if now else pytest.mark.thorough
            yield pytest.param(method, PROBLEMS[name], marks=marks, id=f"{method.name}-{name}")


@pytest.mark.parametrize(("method", "problem"), [*problems_in_turn()])
def test_observed_order(method, problem):
    steps = STEPS[method.order] // (2 if method.family == "implicit" and method.order < 5 else 1)
    observed = observed_order(method.name, *problem, steps)
    # That no method is of higher order is shown by the order conditions.
    assert observed > method.order - 0.2


@pytest.mark.parametrize(
    ("name", "problem"),
    # At t = 4 the leading error of several methods on `forced` all but vanishes.
    by_turns(
        [m.name for m in REVERSIBLE],
        [("whirl", 4.0), ("forced", 2.0)],
        kept=[m.name for m in REVERSIBLE][::2],
    ),
)
def test_observed_order_of_reversible_methods(name, problem, monkeypatch):
    """In n steps the coupling c damps the distance of the two solutions, of order h^p, by c^n.

    The error is therefore C(c^n) h^p, and between two grids the rate is p where c^n is the same.
    With one c on both grids the constant changes too, which blurs the rate by more than 0.2.
    """

    method, (field, end) = METHODS[name], problem

    def at(steps):
        if isinstance(COUPLED[method.name], ReversibleRungeKutta):
            monkeypatch.setattr(COUPLED[method.name], "coupling", 0.9 ** (1 / steps))
        return error(method.name, *PROBLEMS[field], steps, end=end)

    steps = REVERSIBLE_STEPS[method.order]
    observed = math.log2(at(steps) / at(2 * steps))
    # Of an odd order only the distance is; see below.
    highest = method.order + method.order % 2
    assert method.order - 0.2 < observed < highest + 0.2


def test_a_coupled_method_of_odd_order_is_one_better_in_the_mean_of_its_two_solutions():
    """One moves by the method and one by the inverse of its step backwards, its adjoint.

    Their leading errors are opposite when the order is odd. What remains of them is the distance
    of the two solutions, half of which is an error of the first. On `whirl` its constant is small.
    """
    method = ReversibleRungeKutta(COUPLED["reversible_fehlberg45"].tableau)

    def flat(t, y):
        return whirl(t, y.view(2, 2)).reshape(-1)

    start = Y0.reshape(-1)
    field = FlatField(PlainField(flat), start, StepCounts(), lambda t: start.new_tensor(t))

    def errors(steps):
        method.coupling = 0.9 ** (1 / steps)
        state = method.start(field, 0.0, start)
        for _ in range(steps):
            state, _ = method.advance(field, 0.0, END / steps, state)
        y, z = state
        mean = (y + z) / 2 - whirl_end(Y0, END).reshape(-1)
        return float(torch.linalg.vector_norm(y - z)), float(torch.linalg.vector_norm(mean))

    (distance, mean), (finer_distance, finer_mean) = errors(96), errors(192)
    assert math.log2(distance / finer_distance) == pytest.approx(5, abs=0.2)
    assert math.log2(mean / finer_mean) == pytest.approx(6, abs=0.2)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("method", ["adams_bashforth", "adams_moulton"])
def test_observed_order_of_the_adams_methods_of_every_order(method, order):
    observed = observed_order(method, forced, forced_end, STEPS[order], order)
    assert observed == pytest.approx(order, abs=0.2)


def test_observed_order_of_leapfrog_on_a_separable_system():
    def pendulum(t, state):
        q, p = state
        return p, -torch.sin(q) + 0.3 * torch.cos(t)

    start = (torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    t = torch.tensor([0.0, 4.0], dtype=torch.float64)
    reference = solve(pendulum, start, t, Solver("dopri8", rtol=1e-13, atol=1e-13)).ys[0][-1]
    errors = [
        abs(
            float(solve(pendulum, start, t, Solver("leapfrog", num_steps=n)).ys[0][-1] - reference)
        )
        for n in (100, 200)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_leapfrog_keeps_the_energy_of_a_pendulum_over_many_periods():
    def pendulum(t, state):
        q, p = state
        return p, -torch.sin(q)

    def energies(method):
        start = (torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
        t = torch.linspace(0, 200, 101, dtype=torch.float64)
        q, p = solve(pendulum, start, t, Solver(method, num_steps=2000)).ys
        return p**2 / 2 - torch.cos(q)

    def drift_of(energy):
        return float((energy - energy[0]).abs().max())

    drift = {method: drift_of(energies(method)) for method in ("leapfrog", "heun")}
    assert drift["leapfrog"] < 2e-3
    assert drift["heun"] > 5 * drift["leapfrog"]


@pytest.mark.parametrize(
    "method", [m for m in METHODS.values() if m.adaptive], ids=lambda m: m.name
)
def test_tolerances_are_kept_within_a_factor(method):
    """Adaptive solves of every method, SciPy's too, end near the closed form."""
    tolerance = 1e-4 if method.order <= 2 else 1e-6
    t = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    solution = solve(forced, Y0, t, Solver(method.name, rtol=tolerance, atol=tolerance))
    assert float((solution.ys[-1] - forced_end(Y0, 2.0)).abs().max()) < 50 * tolerance
    assert len(solution.ys) == 3
