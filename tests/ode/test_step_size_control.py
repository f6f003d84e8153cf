"""Error norms and step sizes by their formulas."""

import math
from types import SimpleNamespace

import pytest
import torch

from node_experiments.ode import Solver, solve
from node_experiments.ode.norms import ErrorRatio, rms_norm
from node_experiments.ode.step_size_control import AdaptiveControl


def test_the_norm_is_the_root_of_the_mean_square():
    x = torch.tensor([[3.0, 4.0], [6.0, 8.0]], dtype=torch.float64)
    assert float(rms_norm(x[0])) == pytest.approx((25 / 2) ** 0.5)
    assert rms_norm(x, dim=1).tolist() == pytest.approx([(25 / 2) ** 0.5, 50**0.5])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rtol", [0.1, [0.1, 0.2]])
def test_errors_are_measured_by_the_larger_end_of_the_step(dtype, rtol):
    error, y0, y1 = (torch.tensor(x, dtype=dtype) for x in ([0.5, 1.0], [1.0, -8.0], [-4.0, 2.0]))
    tolerances = torch.tensor(rtol, dtype=torch.float64).expand(2)
    scaled = [0.5 / (0.5 + tolerances[0] * 4), 1.0 / (0.5 + tolerances[1] * 8)]
    expected = (sum(float(x) ** 2 for x in scaled) / 2) ** 0.5
    stepper = SimpleNamespace(error=error, chooses_order=False)
    given = rtol if isinstance(rtol, float) else torch.tensor(rtol, dtype=dtype)
    ratio = ErrorRatio(stepper, y0, given, 0.5)
    assert ratio(1.0, y0, y1) == pytest.approx(expected, rel=1e-2 if dtype.itemsize < 4 else 1e-6)


def sizes(controller, ratios, **options):
    """The size of the first step and of those after steps with these errors, of order 4."""
    solver = Solver("dopri5", controller=controller, safety=0.9, **options)
    control = AdaptiveControl(0.0, 1e6, 1.0, 4, solver)
    found = [control.t_next - control.t]
    for ratio in ratios:
        control.judge(control.t_next - control.t, ratio)
        found.append(control.t_next - control.t)
    return found


def test_each_controller_has_its_gains():
    """Gustafsson 1991, Soderlind 2003: exponents by the error order, on the last three errors."""
    ratios = (0.5, 0.25, 0.8)
    for name, (a, b, c) in {
        "i": (1.0, 0.0, 0.0), "pi": (0.7, -0.4, 0.0), "pid": (0.49, -0.34, 0.10),
    }.items():  # fmt: skip
        expected, before, earlier = [1.0], 1.0, 1.0
        for ratio in ratios:
            factor = 0.9 * ratio ** (-a / 4) * before ** (-b / 4) * earlier ** (-c / 4)
            expected.append(expected[-1] * factor)
            before, earlier = ratio, before
        assert sizes(name, ratios) == pytest.approx(expected, rel=1e-9), name


def test_a_step_does_not_grow_right_after_a_rejection():
    first, shrunk, same, grown = sizes("i", (16.0, 1e-6, 1e-6))
    assert shrunk == pytest.approx(0.9 / 16**0.25 * first)
    assert same == pytest.approx(shrunk)
    assert grown == pytest.approx(10 * same), "by the largest factor"


def test_factors_are_bounded_and_a_rejected_step_shrinks():
    assert sizes("i", (1e9,), min_factor=0.3)[1] == pytest.approx(0.3)
    assert sizes("i", (1e-9,), max_factor=3.0)[1] == pytest.approx(3.0)
    assert sizes("i", (1.001,))[1] == pytest.approx(0.9 / 1.001**0.25, rel=1e-9)
    assert sizes("i", (float("nan"),))[1] == pytest.approx(0.2)
    assert sizes("i", (1e-9,), max_step=1.5)[1] == pytest.approx(1.5)


@pytest.mark.parametrize("start", [0.0, 1e9, -1e9, 1e15])
@pytest.mark.parametrize("method", ["dopri5", "bosh3", "kvaerno3", "adams", "reversible_heun"])
def test_a_first_step_is_one_that_the_precision_of_the_time_allows(start, method):
    """From a state of zero, whose size says nothing about the scale of the time."""
    span = max(1.0, 0.1 * abs(start))
    t = torch.tensor([start, start + span], dtype=torch.float64)
    y0 = torch.zeros(2, dtype=torch.float64)
    solution = solve(lambda t, y: (1 - y) / span, y0, t, Solver(method, rtol=1e-6, atol=1e-6))
    assert solution.ys[-1] == pytest.approx(1 - math.exp(-1), rel=1e-3)
