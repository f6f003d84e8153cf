"""Control inputs against closed forms: values, gradients, jumps, and what is rejected."""

from __future__ import annotations

import doctest
import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from node_experiments.ode import ControlInput, Solver, control_inputs, solve

GRADIENTS = ["adjoint", "backprop", "checkpoint", "discrete", "interpolated"]


def vector(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def drained(t: Tensor, y: Tensor, u: ControlInput) -> Tensor:
    """A tank that drains at rate 1 and is filled at rate u."""
    return u(t) - y


def filled(t: Tensor, y: Tensor, u: ControlInput) -> Tensor:
    return u(t).expand_as(y)


def two_doses(requires_grad: bool = False) -> ControlInput:
    """Infusions of two samples that change at different times; the second has one knot less."""
    times = torch.tensor([[0.0, 1.0, 2.5], [0.0, 0.3, math.inf]], dtype=torch.float64)
    values = torch.tensor([[[2.0], [0.0], [1.0]], [[1.0], [3.0], [math.nan]]]).double()
    return ControlInput(times, values.requires_grad_(requires_grad), "constant")


def exact_level(changes: list[float], rates: list[float], end: float) -> float:
    """Level of the drained tank at the end, from level 0: a sum of exponentials."""
    ends = [*changes[1:], end]
    pieces = zip(rates, changes, ends, strict=True)
    return sum(u * (math.exp(b - end) - math.exp(a - end)) for u, a, b in pieces)


def test_each_sample_follows_its_own_infusion():
    u = two_doses()
    assert u.jump_t == (0.3, 1.0, 2.5)
    solver = Solver("dopri5", rtol=1e-8, atol=1e-10, jump_t=u.jump_t)
    y = solve(drained, torch.zeros(2, 1).double(), [0.0, 4.0], solver, args=(u,))
    exact = vector(exact_level([0, 1, 2.5], [2, 0, 1], 4), exact_level([0, 0.3], [1, 3], 4))
    torch.testing.assert_close(y.ys[-1, :, 0], exact, rtol=1e-7, atol=1e-9)
    unaware = solve(drained, torch.zeros(2, 1).double(), [0.0, 4.0], "dopri8", args=(u,))
    assert y.stats.forward.rejected <= 2 < unaware.stats.forward.rejected


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_gradients_of_the_rates_are_those_of_the_closed_form(gradient):
    u = two_doses(requires_grad=True)
    solver = Solver("dopri5", rtol=1e-8, atol=1e-10, jump_t=u.jump_t)
    y = solve(drained, torch.zeros(2, 1).double(), vector(0, 4), solver, gradient, args=(u,))
    (found,) = torch.autograd.grad(y.ys[-1].sum(), u.values)
    ends = [[0, 1, 2.5, 4], [0, 0.3, 4, 4]]
    exact = [[math.exp(b - 4) - math.exp(a - 4) for a, b in pairwise(e)] for e in ends]
    torch.testing.assert_close(found[..., 0], torch.tensor(exact).double(), rtol=1e-6, atol=1e-9)


def test_a_path_that_the_field_holds_gets_the_same_gradient():
    u = two_doses(requires_grad=True)
    solver = Solver("dopri5", rtol=1e-8, atol=1e-10, jump_t=u.jump_t)
    start = torch.zeros(2, 1).double()
    held = solve(lambda t, y: u(t) - y, start, vector(0, 4), solver).ys[-1].sum()
    given = solve(drained, start, vector(0, 4), solver, args=(u,)).ys[-1].sum()
    grads = [torch.autograd.grad(x, u.values)[0] for x in (held, given)]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_linear_path_integrates_to_trapezoids_and_its_times_have_gradients(gradient):
    times = vector(0, 1, 3).requires_grad_()
    values = torch.tensor([[1.0], [4.0], [2.0]], dtype=torch.float64, requires_grad=True)
    u = ControlInput(times, values)
    solver = Solver("dopri5", rtol=1e-9, atol=1e-11, jump_t=u.knots)
    y = solve(filled, torch.zeros(1).double(), vector(0, 3), solver, gradient, args=(u,)).ys[-1, 0]
    assert float(y.detach()) == pytest.approx(0.5 * (1 + 4) + 0.5 * 2 * (4 + 2), rel=1e-8)
    of_values, of_times = torch.autograd.grad(y, (values, times))
    torch.testing.assert_close(of_values[:, 0], vector(0.5, 1.5, 1.0), rtol=1e-6, atol=1e-8)
    # Moving the middle knot trades a trapezoid of mean 2.5 for one of 3; the ends: held values.
    assert float(of_times[1]) == pytest.approx(2.5 - 3.0, rel=1e-5)


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_the_suggested_jumps_make_gradients_of_the_knots_exact(interpolation, gradient):
    values = vector(1, 4, 2, 3).unsqueeze(1)

    def last_state(knots, gradient="backprop"):
        u = ControlInput(knots, values, interpolation)
        solver = Solver("dopri5", rtol=1e-9, atol=1e-11, jump_t=u.jump_t)
        start, t = torch.zeros(1).double(), vector(0, 2)
        solution = solve(lambda t, y, u: u(t) * y.cos() - y, start, t, solver, gradient, args=(u,))
        return solution.ys[-1]

    knots = vector(0, 0.3, 0.8, 1.5).requires_grad_()
    (found,) = torch.autograd.grad(last_state(knots, gradient).sum(), knots)
    for i in (1, 2, 3):  # the first is where the solve starts
        step = 1e-4 * torch.eye(4).double()[i]
        ends = [last_state((knots + s * step).detach().requires_grad_()) for s in (1, -1)]
        difference = float((ends[0] - ends[1]).detach()) / 2e-4
        assert float(found[i]) == pytest.approx(difference, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("solver", [Solver("rk4", num_steps=4), Solver("dopri5")])
@pytest.mark.parametrize("gradient", GRADIENTS)
def test_a_straight_path_has_the_gradients_of_times_of_a_straight_line(gradient, solver):
    u = ControlInput(vector(0, 1, 2), vector(0, 1, 2).unsqueeze(1))

    def gradient_of_times(func, *args):
        t = vector(0, 1, 2).requires_grad_()
        ys = solve(func, torch.ones(1).double(), t, solver, gradient, args=args).ys
        return torch.autograd.grad(ys[-1].sum(), t)[0]

    found, expected = gradient_of_times(drained, u), gradient_of_times(lambda t, y: t - y)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_the_derivative_at_a_knot_is_that_of_a_side(interpolation, dtype):
    def derivative(at):
        t = torch.tensor(at, dtype=dtype, requires_grad=True)
        u = ControlInput(torch.tensor([0.1, 0.3, 0.7], dtype=dtype), values, interpolation)
        return torch.autograd.grad(u(t).sum(), t)[0]

    values = torch.tensor([[0.0], [2.0], [5.0]], dtype=dtype)
    for knot, side in [(0.1, 1e-4), (0.3, 1e-4), (0.7, -1e-4)]:
        torch.testing.assert_close(derivative(knot), derivative(knot + side), rtol=1e-2, atol=0)
    assert derivative(0.75) == derivative(0.05) == 0


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_fixed_steps_that_end_at_the_knots_and_see_their_own_side(gradient):
    knots, values = vector(0, 0.37, 1.1, 2), vector(0, 2, -1, 3).unsqueeze(1)
    grid = torch.linspace(0, 2, 21).tolist()

    def gradient_of_knots(solver, gradient):
        u = ControlInput(knots.clone().requires_grad_(), values)
        solver = solver(u)
        ys = solve(
            lambda t, y, u: u(t) ** 2 - y, torch.zeros(1).double(), [0.0, 2.0], solver, gradient,
            args=(u,),
        ).ys  # fmt: skip
        return torch.autograd.grad(ys[-1].sum(), u.times)[0]

    exact = gradient_of_knots(lambda u: Solver("dopri8", 1e-9, 1e-9, jump_t=u.jump_t), "backprop")
    found = gradient_of_knots(
        lambda u: Solver("rk4", step_t=[*grid, *u.knots], perturb=True), gradient
    )
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-4)


def test_a_continuous_path_suggests_no_jumps_unless_its_times_need_gradients():
    times, values = vector(0, 1, 3), vector(1, 4, 2).unsqueeze(1)
    assert ControlInput(times, values).jump_t == ()
    assert ControlInput(times.requires_grad_(), values).jump_t == (0.0, 1.0, 3.0)


def test_hermite_polynomials_reproduce_a_cubic():
    knots = vector(0, 0.7, 1.0, 2.0)
    u = ControlInput(
        knots, (knots**3 - knots).unsqueeze(1), "cubic", slopes=(3 * knots**2 - 1).unsqueeze(1)
    )
    for t in (0.0, 0.35, 0.7, 0.9, 1.5, 2.0):
        assert float(u(t)) == pytest.approx(t**3 - t, abs=1e-12)


def test_a_cubic_path_without_slopes_is_smooth_and_looks_one_knot_ahead():
    times, values = vector(0, 1, 2, 4), vector(0, 1, 0, 5).unsqueeze(1)
    u = ControlInput(times, values, "cubic")
    for t, value in zip(times.tolist(), values.tolist(), strict=True):
        assert u(t).tolist() == pytest.approx(value, abs=1e-12)
    for knot in (1.0, 2.0):
        left, right = (u(knot) - u(knot - 1e-6)) / 1e-6, (u(knot + 1e-6) - u(knot)) / 1e-6
        assert float(left) == pytest.approx(float(right), abs=1e-4)
    later = ControlInput(times, vector(0, 1, 0, -9).unsqueeze(1), "cubic")
    assert u(1.9).equal(later(1.9))
    straight = ControlInput(times, (2 * times + 1).unsqueeze(1), "cubic")
    assert float(straight(3.3)) == pytest.approx(7.6, abs=1e-12)


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "constant"])
def test_padding_changes_nothing_neither_values_nor_gradients(interpolation):
    short = vector(0, 1, 2)
    padded = torch.stack([vector(0, 1, 2, math.inf, math.inf), vector(0, 1, 2, 3, 4)])
    values = torch.randn(2, 5, 2, dtype=torch.float64)
    values[0, 3:] = math.nan
    values.requires_grad_()
    alone = values[0, :3].detach().requires_grad_()
    together = ControlInput(padded, values, interpolation)
    single = ControlInput(short, alone, interpolation)
    for t in (-1.0, 0.0, 0.4, 1.0, 1.7, 2.0, 2.5, 9.0):
        torch.testing.assert_close(together(t)[0], single(t))
    both = sum(together(t)[0].square().sum() for t in (0.4, 1.7, 2.5))
    (found,) = torch.autograd.grad(both, values)
    (exact,) = torch.autograd.grad(sum(single(t).square().sum() for t in (0.4, 1.7, 2.5)), alone)
    torch.testing.assert_close(found[0, :3], exact)
    assert not found[0, 3:].any()
    assert not found[1].any()


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_paths_are_differentiable_in_values_times_and_t(interpolation):
    times, values = vector(0, 0.5, 1.5, 2).requires_grad_(), torch.randn(2, 4, 3).double()

    def path(times: Tensor, values: Tensor, t: Tensor) -> Tensor:
        return ControlInput(times, values, interpolation)(t)

    assert gradcheck(path, (times, values.requires_grad_(), vector(0.8)[0].requires_grad_()))


def test_ends_are_held():
    u = ControlInput(vector(1, 2), vector(3, 5).unsqueeze(1))
    assert [float(u(t)) for t in (0.0, 1.0, 2.0, 7.0)] == [3, 3, 5, 5]
    held = ControlInput(vector(1), vector(3).unsqueeze(1), "constant")
    assert [float(held(t)) for t in (0.0, 1.0, 2.0)] == [3, 3, 3]


def test_a_jump_in_single_precision_is_seen_from_its_own_side():
    times = torch.tensor([0.0, 0.1, 0.7], dtype=torch.float64)
    u = ControlInput(times, torch.tensor([[1.0], [100.0], [0.0]]), "constant")
    solver = Solver("dopri5", rtol=1e-5, atol=1e-7, jump_t=u.jump_t)
    y = solve(filled, torch.zeros(1), [0.0, 1.0], solver, args=(u,))
    assert float(y.ys[-1]) == pytest.approx(0.1 + 60, rel=1e-5)
    assert y.stats.forward.rejected == 0


def test_per_sample_steps_take_a_shared_path_and_no_other():
    solver, start = Solver("dopri5", batching="independent"), vector(0, 1).unsqueeze(1)
    shared = ControlInput(vector(0, 3), vector(2, 2).unsqueeze(1))
    y = solve(drained, start, [0.0, 3.0], solver, "backprop", args=(shared,)).ys[-1, :, 0]
    exact = vector(2 - 2 * math.exp(-3), 2 - math.exp(-3))
    torch.testing.assert_close(y, exact, rtol=1e-5, atol=0)
    each = ControlInput(vector(0, 3), torch.ones(3, 2, 1).double())
    with pytest.raises(ValueError, match="paths for 3 samples"):
        each(vector(0, 1).unsqueeze(1))


def test_paths_move_with_their_samples():
    u = two_doses().to(torch.float32)
    assert u(0.5).dtype == torch.float32
    assert u.interpolation == "constant"


@pytest.mark.parametrize(
    ("times", "values", "interpolation", "message"),
    [
        (vector(0, 1), torch.ones(3, 1), "linear", r"values \(3, 1\) and times \(2,\)"),
        (vector(0, 1), torch.ones(2), "linear", "shape"),
        ([0.0, 1.0], torch.ones(2, 1), "linear", "times must be a tensor; found list"),
        (vector(0, 1, 1), torch.ones(3, 1), "linear", "increase"),
        (vector(0, 2, 1), torch.ones(3, 1), "constant", "increase"),
        (vector(0, math.inf, 1), torch.ones(3, 1), "linear", "increase"),
        (vector(math.inf), torch.ones(1, 1), "constant", "increase"),
        (vector(0, math.nan), torch.ones(2, 1), "linear", "increase"),
        (vector(-math.inf, 0), torch.ones(2, 1), "linear", "increase"),
        (vector(math.inf, math.inf), torch.ones(2, 1), "linear", "increase"),
        (vector(0, 1), torch.tensor([[1.0], [math.nan]]), "linear", "finite"),
        (vector(0, 2), torch.tensor([[0], [1]]), "linear", r"values .* floating.* torch.int64"),
        (vector(0, 2), torch.ones(2, 1).bool(), "constant", r"values .* floating.* torch.bool"),
        (vector(0, 2), torch.ones(2, 1) * 1j, "cubic", r"values .* real .* torch.complex64"),
        (vector(0), torch.ones(1, 1), "cubic", "at least 2 knots"),
        (vector(0, 1), torch.ones(2, 1), "quadratic", "linear, cubic, constant"),
        (vector(0, 1).requires_grad_(), torch.ones(2, 1), "constant", "no gradient"),
    ],
)
def test_bad_paths_are_rejected(times, values, interpolation, message):
    with pytest.raises(ValueError, match=message):
        ControlInput(times, values, interpolation)


def test_slopes_are_those_of_cubic_paths():
    with pytest.raises(ValueError, match="slopes must be a tensor; found list"):
        ControlInput(vector(0, 1), torch.ones(2, 1), "cubic", slopes=[[1.0], [1.0]])
    with pytest.raises(ValueError, match="slopes must be real floating-point"):
        ControlInput(vector(0, 1), torch.ones(2, 1), "cubic", slopes=torch.ones(2, 1).int())
    assert ControlInput(torch.tensor([0, 2]), torch.tensor([[0.0], [1.0]]))(1.0) == 0.5
    with pytest.raises(ValueError, match="slopes are for"):
        ControlInput(vector(0, 1), torch.ones(2, 1), "linear", slopes=torch.ones(2, 1))
    with pytest.raises(ValueError, match="slopes"):
        ControlInput(vector(0, 1), torch.ones(2, 1), "cubic", slopes=torch.ones(2))


def test_the_documented_example_runs():
    assert doctest.testmod(control_inputs) == (0, 6)
