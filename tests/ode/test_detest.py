"""DETEST: global error in proportion to the tolerance, and the evaluations that others need."""

import functools
import statistics

import numpy as np
import pytest
import torch
from scipy import integrate

from node_experiments.ode import Solver, solve
from tests.grids import always

from .detest import END, PROBLEMS

T = torch.tensor([0.0, END], dtype=torch.float64)


@functools.cache
def reference(index):
    problem = PROBLEMS[index]
    y0 = torch.tensor(problem.y0, dtype=torch.float64)
    return solve(problem.field, y0, T, Solver("dopri8", rtol=1e-13, atol=1e-13)).ys[-1]


@functools.cache
def run(index, method, tolerance):
    problem = PROBLEMS[index]
    y0 = torch.tensor(problem.y0, dtype=torch.float64)
    solution = solve(problem.field, y0, T, Solver(method, rtol=tolerance, atol=tolerance))
    error = float(torch.linalg.vector_norm(solution.ys[-1] - reference(index)))
    return error / (1 + float(reference(index).norm())), solution.stats.forward.evaluations


# Errors of the period of an orbit add up over the revolutions, most so when it is eccentric.
GROWTH = {"D1": 5e3, "D2": 5e3, "D3": 5e3, "D4": 1e4, "D5": 2e4}
INDICES = range(len(PROBLEMS))


def test_all_problems_are_there():
    wanted = [f"{letter}{number}" for letter in "ABCDE" for number in range(1, 6)]
    assert [problem.name for problem in PROBLEMS] == wanted


@pytest.mark.parametrize("index", always(INDICES[::4], INDICES))
def test_the_reference_is_scipys(index):
    problem = PROBLEMS[index]
    field = scipy_field(problem)
    other = integrate.solve_ivp(field, (0, END), problem.y0, "DOP853", rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(reference(index).numpy(), other.y[:, -1], rtol=2e-9, atol=2e-9)


def test_the_outer_planets_end_where_enright_and_pryce_say():
    """Jupiter at t = 20; a wrong constant would show."""
    index = [problem.name for problem in PROBLEMS].index("C5")
    published = [-4.792730224323733, -2.420550725448973, -0.9212509306014886]
    np.testing.assert_allclose(reference(index)[:3].numpy(), published, rtol=1e-9)


METHODS = ["bosh3", "ralston3", "dopri5", "tsit5", "vern7", "dopri8", "adams"]


def in_turn():
    """Every problem by every method, most of them thorough: every second one has another."""
    for index, problem in enumerate(PROBLEMS):
        for place, method in enumerate(METHODS):
            own = index % 2 == 0 and (index // 2 + place) % len(METHODS) == 0
            marks = () if own else pytest.mark.thorough
            yield pytest.param(index, method, marks=marks, id=f"{problem.name}-{method}")


@pytest.mark.parametrize(("index", "method"), [*in_turn()])
def test_the_error_follows_the_tolerance(index, method):
    tolerances = (1e-3, 1e-5) if method in ("bosh3", "ralston3") else (1e-4, 1e-8)
    errors = [run(index, method, tolerance)[0] for tolerance in tolerances]
    for error, tolerance in zip(errors, tolerances, strict=True):
        growth = GROWTH.get(PROBLEMS[index].name, 300)
        assert error < growth * tolerance
    if errors[0] > 10 * tolerances[1]:
        assert errors[1] < errors[0]


@pytest.mark.parametrize(
    ("method", "name"),
    always(["dopri5", "dopri8"], [("bosh3", "RK23"), ("dopri5", "RK45"), ("dopri8", "DOP853")]),
)
@pytest.mark.parametrize("tolerance", always([1e-5], [1e-4, 1e-5, 1e-7]))
def test_evaluations_are_at_most_1_2_times_scipys(method, name, tolerance):
    """On every problem; in the geometric mean for DOP853, another method of the same order."""
    if method == "bosh3" and tolerance < 1e-5:
        tolerance = 1e-5
    ratios = []
    for index, problem in enumerate(PROBLEMS):
        _, ours = run(index, method, tolerance)
        theirs = integrate.solve_ivp(
            scipy_field(problem), (0, END), problem.y0, name, rtol=tolerance, atol=tolerance
        ).nfev
        ratios.append(ours / theirs)
    if name == "DOP853":
        assert statistics.geometric_mean(ratios) < 1.2
    else:
        assert max(ratios) < 1.2


def scipy_field(problem):
    return lambda t, y: problem.field(t, torch.from_numpy(y.copy())).numpy()
