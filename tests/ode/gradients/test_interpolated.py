from __future__ import annotations

import cmath
import gc
import math
import warnings
import weakref

import pytest
import torch

from node_experiments.ode import Adjoint, Backprop, Interpolated, Solver, solve
from node_experiments.ode.gradients.adjoint_over_interpolants import StoredSolution
from tests.grids import always

from .helpers import largest_relative_difference, saved_bytes

TIMES = torch.linspace(0, 2, 4, dtype=torch.float64)


@pytest.mark.parametrize("method", always(["dopri5", "tsit5"], ["dopri5", "bosh3", "tsit5"]))
def test_converges_to_the_gradient_at_the_rate_of_the_tolerance(example, method):
    t = TIMES.clone().requires_grad_()
    expected, _ = example.gradients(t, Solver("dopri5", 1e-12, 1e-12), Backprop())
    errors = []
    for tolerance in (1e-4, 1e-6, 1e-8):
        solver = Solver(method, tolerance, tolerance)
        found, _ = example.gradients(t, solver, Interpolated())
        errors.append(largest_relative_difference(found, expected))
    rate = math.log10(errors[0] / errors[2]) / 4
    assert 0.6 < rate < 1.5
    assert errors[2] < 1e-5


def test_backwards_in_time(example):
    times = torch.tensor([1.0, 0.2, -1.0], dtype=torch.float64)
    expected, _ = example.gradients(times, Solver("dopri5", 1e-12, 1e-12), Backprop())
    found, _ = example.gradients(times, Solver("dopri5", 1e-9, 1e-9), Interpolated())
    assert largest_relative_difference(found, expected) < 1e-6


def test_more_quadrature_points_integrate_better(example):
    # Few long backward steps: the state is accurate, and the integral needs its points.
    solver = Solver("dopri5", num_steps=5)
    expected, _ = example.gradients(TIMES[[0, -1]], Solver("dopri5", 1e-12, 1e-12), Backprop())
    errors = []
    for points in (1, 2, 3):
        found, _ = example.gradients(
            TIMES[[0, -1]], solver, Interpolated(quadrature_points=points)
        )
        errors.append(largest_relative_difference(found[2:], expected[2:]))
    assert errors[0] > 3 * errors[1] > 3 * errors[2]


def test_keeps_the_stages_of_the_accepted_steps(example):
    def kept(num_steps):
        solver = Solver("dopri5", num_steps=num_steps)
        return saved_bytes(lambda: example.solve(TIMES, solver, Interpolated()))

    per_step = (kept(64) - kept(4)) / 60
    assert 7 * example.y0.nbytes <= per_step <= 9 * example.y0.nbytes


def test_what_cannot_be_interpolated_is_rejected(example):
    with pytest.raises(ValueError, match="interpolants"):
        example.solve(TIMES, Solver("scipy_lsoda"), Interpolated())
    with pytest.raises(ValueError, match="at least 1"):
        Interpolated(quadrature_points=0)


def test_the_interpolants_are_gone_with_the_way_back(example, monkeypatch):
    alive = []
    make = StoredSolution.__init__

    def remember(self, *args):
        make(self, *args)
        alive.append(weakref.ref(self))

    monkeypatch.setattr(StoredSolution, "__init__", remember)
    gc.disable()
    try:
        example.gradients(torch.linspace(0, 1, 3).double(), Solver("dopri5"), "interpolated")
        assert [reference() for reference in alive] == [None]
    finally:
        gc.enable()


END = 10.0
# Rate of a decay, frequency of a force w cos(frequency t), and w.
FORCED = {
    "a field of zero": (0.0, 3, 0.0),
    "a weak force beside a decay": (1.0, 20, 1e-6),
    "a fast force alone": (0.0, 20, 1.0),
    "a fast force beside a slow decay": (0.1, 20, 1.0),
}


@pytest.mark.parametrize(
    "gradient", [Adjoint(), Interpolated(), Interpolated(quadrature_points=5)]
)
@pytest.mark.parametrize("case", FORCED)
def test_parameters_that_neither_state_nor_adjoint_tells_of(case, gradient):
    """df/dw changes faster than what controls the steps of the backward solve."""
    rate, frequency, value = FORCED[case]
    w = torch.tensor(value, dtype=torch.float64, requires_grad=True)
    y0, solver = torch.ones(1, dtype=torch.float64), Solver("dopri5", 1e-6, 1e-6)

    def field(t, y, w):
        return w * torch.cos(frequency * t) - rate * y

    with warnings.catch_warnings():
        # The slow decay cannot be solved backwards over so long a time to this accuracy.
        warnings.filterwarnings("ignore", "the adjoint method solved y backwards")
        solve(field, y0, [0.0, END], solver, gradient, args=(w,)).ys[-1].sum().backward()
    # The integral of exp(-rate (END - s)) cos(frequency s).
    ends = cmath.exp(1j * frequency * END) - cmath.exp(-rate * END)
    assert float(w.grad) == pytest.approx((ends / (rate + 1j * frequency)).real, abs=2e-4)


def test_a_quadrature_costs_no_more_where_the_adjoint_is_as_fast(example):
    """Three evaluations for each backward step, beside six of the adjoint."""
    _, solution = example.gradients(TIMES[[0, -1]], Solver("dopri5", 1e-6, 1e-6), Interpolated())
    backward = solution.stats.backward
    assert backward.evaluations <= 9 * (backward.accepted + 1) + 7 * backward.rejected


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e-3, 1e3, 1e8])
@pytest.mark.parametrize("unit", [1e-8, 1.0, 1e6])
@pytest.mark.parametrize("outputs", [2, 30])
def test_the_gradient_is_proportional_to_the_loss(scale, unit, outputs):
    """Also where dL/dy is far below the tolerance of the state, as in a mean over many samples."""
    tolerance = 1e-4
    solver = Solver("dopri5", rtol=tolerance, atol=tolerance * unit)
    weight = 4 * torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double()
    y0 = torch.linspace(-1, 1, 4, dtype=torch.float64)

    def gradient_of(factor, gradient):
        w = weight.clone().requires_grad_()
        y = (unit * y0).requires_grad_()

        def field(t, y):
            return unit * 3 * torch.tanh(y / unit @ w) - y * torch.cos(3 * t)

        solution = solve(field, y, torch.linspace(0, 3, outputs), solver, gradient)
        (factor * solution.ys / unit).sum().backward()
        return w.grad / factor, y.grad * unit / factor

    found = gradient_of(scale, "interpolated")
    plain = gradient_of(1.0, "interpolated")
    exact = gradient_of(1.0, "discrete")
    for each, alike, expected in zip(found, plain, exact, strict=True):
        torch.testing.assert_close(each, alike, rtol=1e-6, atol=1e-9 * float(alike.abs().max()))
        torch.testing.assert_close(each, expected, rtol=0, atol=0.02 * float(expected.norm()))


def test_gradients_of_zero_and_a_state_of_zero_are_solved():
    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    for y0, factor, atol in (
        (0.0, 1.0, 1e-6),
        (1.0, 0.0, 1e-6),
        (0.0, 0.0, 1e-6),
        (1.0, 1.0, 0.0),
    ):
        y = torch.tensor([y0], dtype=torch.float64, requires_grad=True)
        solver = Solver("dopri5", rtol=1e-6, atol=atol)
        solution = solve(lambda t, y: -w * y, y, [0.0, 1.0], solver, "interpolated")
        (factor * solution.ys[-1]).sum().backward()
        assert float(y.grad) == pytest.approx(factor * math.exp(-1), rel=1e-3)
