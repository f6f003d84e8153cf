from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from node_experiments.ode import Adjoint, Backprop, Discrete, Solver, Status, solve

from .helpers import largest_relative_difference, saved_bytes

TIMES = torch.linspace(0, 2, 4, dtype=torch.float64)


def test_converges_to_the_gradient_at_the_rate_of_the_tolerance(example):
    expected, _ = example.gradients(TIMES, Solver("dopri5", 1e-12, 1e-12), Backprop())
    errors = []
    for tolerance in (1e-4, 1e-6, 1e-8):
        found, _ = example.gradients(TIMES, Solver("dopri5", tolerance, tolerance), Adjoint())
        errors.append(largest_relative_difference(found, expected))
    rate = math.log10(errors[0] / errors[2]) / 4
    assert 0.7 < rate < 1.3
    assert errors[2] < 1e-6


def test_few_evaluations_between_many_outputs():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 20), nn.ELU(), nn.Linear(20, 20), nn.ELU(), nn.Linear(20, 4))
    y0 = torch.randn(50, 4, requires_grad=True)
    times = torch.linspace(0, 1, 100)
    solver = Solver("dopri5", 1e-3, 1e-3)
    solution = solve(lambda t, y: net(y), y0, times, solver, Adjoint())
    solution.ys.square().sum().backward()
    assert solution.stats.backward.evaluations <= 3.2 * 99
    assert solution.stats.backward.rejected == 0


def test_low_order_is_left_where_one_of_its_steps_is_not_enough(example):
    times = torch.linspace(0, 1, 20, dtype=torch.float64)
    solver = Solver("dopri5", 1e-10, 1e-10)
    _, chosen = example.gradients(times, solver, Adjoint(method="dopri5"))
    _, by_itself = example.gradients(times, solver, Adjoint())
    _, low_order = example.gradients(times, solver, Adjoint(method="ralston3"))
    assert low_order.stats.backward.evaluations > 4 * chosen.stats.backward.evaluations
    # It learns that from the first two intervals.
    spent_on_learning = low_order.stats.backward.evaluations * 3 / 19
    found = by_itself.stats.backward.evaluations
    assert found < chosen.stats.backward.evaluations + spent_on_learning


def test_the_way_back_has_a_method_and_tolerances_of_its_own(example):
    solver = Solver("dopri5", 1e-8, 1e-8)
    _, loose = example.gradients(TIMES, solver, Adjoint(rtol=1e-3, atol=1e-3))
    _, tight = example.gradients(TIMES, solver, Adjoint())
    _, other = example.gradients(TIMES, solver, Adjoint(method="tsit5"))
    assert loose.stats.forward == tight.stats.forward
    assert loose.stats.backward.evaluations < tight.stats.backward.evaluations / 2
    assert other.stats.backward.evaluations != tight.stats.backward.evaluations


def test_seminorm_needs_fewer_evaluations():
    torch.manual_seed(0)
    layers = [nn.GroupNorm(8, 16), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1)]
    net = nn.Sequential(*layers, *layers, nn.GroupNorm(8, 16))
    y0 = torch.randn(4, 16, 5, 5, requires_grad=True)
    weights = torch.randn_like(y0)

    def evaluations(seminorm):
        solver = Solver("dopri5", 1e-2, 1e-2)
        times = torch.tensor([0.0, 1.0])
        solution = solve(lambda t, y: net(y), y0, times, solver, Adjoint(seminorm=seminorm))
        (solution.ys[-1] * weights).sum().backward()
        return solution.stats.backward.evaluations

    assert evaluations(True) <= 0.7 * evaluations(False)


def test_the_papers_identities_for_the_times(example):
    t = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64, requires_grad=True)
    solver = Solver("dopri5", 1e-11, 1e-11)
    ys = solve(example.func, example.y0, t, solver, Adjoint(), args=(example.gain,)).ys
    a_start, a_end, grad_t = torch.autograd.grad(
        ys[-1].square().sum(), [example.y0, ys, t], allow_unused=True
    )
    f_start = example.func(t[0], ys[0], example.gain)
    f_end = example.func(t[-1], ys[-1], example.gain)
    torch.testing.assert_close(grad_t[0], -(a_start * f_start).sum(), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(grad_t[-1], (a_end[-1] * f_end).sum(), rtol=1e-7, atol=1e-7)


def test_memory_does_not_grow_with_the_steps(example):
    def kept(num_steps):
        solver = Solver("rk4", num_steps=num_steps)
        return saved_bytes(lambda: example.solve(TIMES, solver, Adjoint()))

    assert kept(64) <= 1.05 * kept(4)


def test_an_unknown_method_is_rejected():
    with pytest.raises(ValueError, match=r"gradient.method='rk5' is unknown; did you mean 'rk4'"):
        Adjoint(method="rk5")


def test_the_part_of_a_solve_that_was_reached_has_a_gradient():
    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)
    times = torch.linspace(0, 1, 9, dtype=torch.float64)
    solver = Solver("dopri5", rtol=1e-9, atol=1e-9, first_step=0.1, max_steps=4)
    solution = solve(lambda t, y: -y, y0, times, solver, Adjoint(), throw=False)
    assert solution.status is Status.MAX_STEPS
    (found,) = torch.autograd.grad(solution.ys[-1].sum(), y0)
    torch.testing.assert_close(found, solution.ys[-1].detach(), rtol=1e-5, atol=0)
    solver = Solver("dopri5", rtol=1e-9, atol=1e-9, max_steps=1)
    solution = solve(lambda t, y: -y, y0, times[::8], solver, Adjoint(), throw=False)
    (found,) = torch.autograd.grad(solution.ys[-1].sum(), y0)
    torch.testing.assert_close(found, torch.ones_like(y0))


def stiff_gradient(way):
    """Of the rates at which components forget their past; backwards in time they explode."""
    rates = torch.logspace(0, 2.5, 5, dtype=torch.float64).requires_grad_()
    y0, t = torch.linspace(1, 2, 5).double(), torch.tensor([0.0, 0.1], dtype=torch.float64)
    solver = Solver("kvaerno5", rtol=1e-6, atol=1e-6)

    def relax(t, y, rates):
        return -rates * (y - torch.cos(t))

    ys = solve(relax, y0, t, solver, way, args=(rates,)).ys
    return torch.autograd.grad(ys[-1].sum(), rates)[0]


def test_a_state_that_was_not_found_again_backwards_is_said():
    with pytest.warns(UserWarning, match=r"solved y backwards with a relative error .*'discrete'"):
        stiff_gradient(Adjoint())
    stiff_gradient(Discrete())  # and no warning


def test_every_interval_of_the_backward_solve_is_judged():
    """The bad one is solved first, and the good one after it says nothing against it."""
    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)

    def decays_late(t, y):
        return torch.where(t > 1, -15 * y, -0.1 * y)

    t = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    ys = solve(decays_late, y0, t, Solver("dopri5", 1e-4, 1e-4, jump_t=(1.0,)), Adjoint()).ys
    with pytest.warns(UserWarning, match="solved y backwards with a relative error"):
        ys[-1].sum().backward()


def test_the_backward_solve_starts_again_from_every_output():
    """Of a decay that cannot be solved backwards over the whole time, but between its outputs."""
    y0 = torch.ones(1, dtype=torch.float64, requires_grad=True)
    t = torch.linspace(0, 4, 33, dtype=torch.float64)
    ys = solve(lambda t, y: -5 * y * y.abs().sqrt() - 4 * y, y0, t, "dopri5", Adjoint()).ys
    (found,) = torch.autograd.grad(ys.sum(), y0)
    ys = solve(lambda t, y: -5 * y * y.abs().sqrt() - 4 * y, y0, t, "dopri5", Discrete()).ys
    (expected,) = torch.autograd.grad(ys.sum(), y0)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_solve_that_is_found_again_says_nothing(example):
    t = torch.linspace(0, 1, 4, dtype=torch.float64)
    example.gradients(t, Solver("dopri5", 1e-6, 1e-6), Adjoint(state_tolerance=1e-4))
    with pytest.raises(ValueError, match="state_tolerance=-1 must be"):
        Adjoint(state_tolerance=-1)


@pytest.mark.parametrize(
    ("solver", "weightless"),
    [
        (Solver("midpoint", num_steps=4), 1),
        (Solver("rk4", num_steps=4), 0),
        (Solver("dopri5"), 1),
        (Solver("tsit5"), 0),
        (Solver("dopri8"), 4),
    ],
)
@pytest.mark.parametrize("seminorm", [True, False])
def test_parameter_gradients_of_weight_zero_are_not_computed(solver, weightless, seminorm):
    """Each costs as much as an evaluation, and the second stage of dopri5 has none to give."""
    net, y0 = nn.Linear(3, 3).double(), torch.randn(2, 3, dtype=torch.float64)
    computed, way = [], Adjoint(seminorm=seminorm)

    def field(t, y):
        weight = net.weight.view_as(net.weight)
        if weight.requires_grad and torch.is_grad_enabled():
            weight.register_hook(lambda grad: computed.append(grad))
        return torch.tanh(nn.functional.linear(y, weight, net.bias))

    solution = solve(field, y0, TIMES[[0, -1]], solver, way)
    solution.ys[-1].sum().backward()
    counts = solution.stats.backward
    of_initial_step = 0 if solver.fixed_steps else 1
    skipped = weightless * (counts.accepted + counts.rejected) + of_initial_step
    assert len(computed) == counts.evaluations - skipped


@pytest.mark.parametrize("gradient", ["adjoint", "interpolated", "discrete", "backprop"])
@pytest.mark.parametrize("first", [0, 1, 2])
def test_complex_parameters_beside_real_ones(gradient, first):
    """Of any number of real ones before them: y' = -(k.sum() + Re c) y."""
    k = torch.full((first,), 0.5, dtype=torch.float64, requires_grad=True)
    c = torch.tensor([0.5 + 1j], requires_grad=True)
    y0, t = torch.ones(1, dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    rate = 0.5 * first + 0.5
    solver = Solver("dopri5", rtol=1e-8)
    solution = solve(
        lambda t, y: -(k.sum() + c.real.double()) * y, y0, t, solver, gradient, parameters=[k, c]
    )
    solution.ys[-1].sum().backward()
    assert c.grad.item().real == pytest.approx(-math.exp(-rate), rel=1e-5)
    assert k.grad.tolist() == pytest.approx([-math.exp(-rate)] * first, rel=1e-5)


def test_two_solutions_that_part_on_the_way_back_are_said():
    """From an equilibrium the forward solve shows nothing; the adjoint decays backwards."""
    y0 = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([0.0, 20.0], dtype=torch.float64)
    solution = solve(lambda t, y: -2 * y, y0, t, "reversible_dopri5", "adjoint")
    with pytest.warns(UserWarning, match="two solutions of reversible_dopri5 are"):
        solution.ys[-1].sum().backward()
