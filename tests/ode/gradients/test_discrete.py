from __future__ import annotations

import math
from itertools import product

import pytest
import torch

from node_experiments.ode import Backprop, Discrete, Solver, solve
from node_experiments.ode.methods.explicit_tableaus import EXPLICIT_TABLEAUS
from tests.grids import by_turns

from .helpers import largest_relative_difference, saved_bytes

TIMES = {
    "ends": torch.tensor([0.0, 2.0], dtype=torch.float64),
    "many inside each step": torch.linspace(0, 2, 60, dtype=torch.float64),
    "backwards": torch.tensor([1.0, 0.6, 0.5, -1.0], dtype=torch.float64),
}
METHODS = sorted(EXPLICIT_TABLEAUS)


def solvers(method):
    yield Solver(method, num_steps=5)
    if EXPLICIT_TABLEAUS[method].b_error is not None:
        yield Solver(method, rtol=1e-4, atol=1e-4)


CASES = [*product(TIMES, (False, True))]


OFTEN = ["euler", "rk4", "adaptive_heun", "bosh3", "dopri5", "vern7"]


def grid(cases, kept=None):
    return pytest.mark.parametrize(("method", "case"), by_turns(METHODS, cases, kept))


@grid(CASES)
def test_equals_backpropagation_through_the_same_steps(example, method, case):
    times, retain_graphs = case
    for solver in solvers(method):
        t = TIMES[times].clone().requires_grad_()
        expected, reference = example.gradients(t, solver, Backprop())
        found, solution = example.gradients(t, solver, Discrete(retain_graphs))
        # Adaptive steps differ by the rounding of their error estimates.
        tolerance = 1e-10 if solver.fixed_steps else 1e-8
        assert largest_relative_difference(found, expected) < tolerance
        torch.testing.assert_close(solution.ys, reference.ys, rtol=tolerance, atol=tolerance)
        # Only backpropagation lets an output between two steps move along a curve.
        between = times == "backwards" and solver.fixed_steps
        forward, further = solution.stats.forward, reference.stats.forward
        assert further.evaluations - forward.evaluations == between


@grid(CASES[::-1], OFTEN)
def test_gradcheck_of_state_argument_parameters_and_times(example, method, case):
    times, retain_graphs = case
    # The grid of a fixed number of steps stretches with the interval, so finite differences see
    # the same frozen grid. A time near a grid point would have a kink within their reach.
    solver = Solver(method, num_steps=4)

    def solution(y0, gain, t, *parameters):
        names = [name for name, _ in example.func.named_parameters()]

        def func(time, y, gain):
            values = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(example.func, values, (time, y, gain))

        gradient = Discrete(retain_graphs)
        return solve(func, y0, t, solver, gradient, args=(gain,), parameters=parameters).ys[
            :: max(1, len(t) // 5)
        ]

    inputs = (example.y0, example.gain, TIMES[times].clone().requires_grad_())
    assert torch.autograd.gradcheck(
        solution, (*inputs, *example.parameters), fast_mode=True, rtol=1e-5
    )


def test_second_backward_of_kept_graphs_replays_the_steps(example):
    ys = example.solve(TIMES["ends"], Solver(rtol=1e-4, atol=1e-4), Discrete(True)).ys
    loss = example.loss(ys)
    first = torch.autograd.grad(loss, example.parameters, retain_graph=True)
    second = torch.autograd.grad(loss, example.parameters)
    assert largest_relative_difference(second, first) < 1e-14


def test_one_product_a_stage_whatever_the_number_of_outputs(example):
    solver = Solver(rtol=1e-4, atol=1e-4)
    for times in (TIMES["ends"], TIMES["many inside each step"]):
        _, solution = example.gradients(times, solver, Discrete())
        stats = solution.stats
        shared = 1 if len(times) > 2 else 0
        assert stats.backward.evaluations == 6 * stats.forward.accepted + shared


def test_states_of_accepted_steps_are_all_that_is_kept(example):
    def kept(num_steps):
        solver = Solver(num_steps=num_steps)
        return saved_bytes(lambda: example.solve(TIMES["ends"], solver, Discrete()))

    few, many = kept(4), kept(64)
    assert many - few == 60 * example.y0.nbytes


def test_parameters_changed_before_backward_are_rejected(example):
    loss = example.loss(example.solve(TIMES["ends"], Solver(num_steps=2), Discrete()).ys)
    with torch.no_grad():
        example.func.hidden.weight.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_parameters_that_the_vector_field_does_not_use_get_no_gradient(example):
    example.func.unused = torch.nn.Parameter(torch.ones(2))
    example.loss(example.solve(TIMES["ends"], Solver(num_steps=2), Discrete()).ys).backward()
    assert example.func.unused.grad is None
    assert example.func.hidden.weight.grad is not None


def test_a_vector_field_without_any_graph_has_the_gradient_of_the_identity():
    y0 = torch.ones(3, requires_grad=True)
    solver = Solver("rk4", num_steps=3)
    solve(lambda t, y: torch.ones(3), y0, torch.tensor([0.0, 1.0]), solver, Discrete()).ys[
        -1
    ].sum().backward()
    torch.testing.assert_close(y0.grad, torch.ones(3))


@pytest.mark.parametrize("retain_graphs", [False, True])
@pytest.mark.parametrize("method", ["dopri5", "bosh3", "vern7"])
def test_steps_that_end_at_a_jump_of_the_vector_field(method, retain_graphs):
    rate = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    y0 = torch.linspace(1, 2, 3, dtype=torch.float64).requires_grad_()
    times = torch.linspace(0, 2, 23, dtype=torch.float64).requires_grad_()

    def field(t, y, rate):
        return -rate * y if t < 0.9 else rate * torch.sin(y)

    def gradients(way):
        solver = Solver(method, rtol=1e-6, atol=1e-6, jump_t=(0.9,))
        ys = solve(field, y0, times, solver, way, args=(rate,)).ys
        weights = torch.linspace(-1, 1, ys.numel(), dtype=ys.dtype).view_as(ys)
        return torch.autograd.grad((ys * weights).sum(), (y0, rate, times))

    found, expected = gradients(Discrete(retain_graphs)), gradients(Backprop())
    assert largest_relative_difference(found, expected) < 1e-8


@pytest.mark.parametrize("way", [Discrete(), Discrete(retain_graphs=True)], ids=str)
def test_gradients_up_to_an_event(way):
    rate = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    times = torch.linspace(0, 9, 5, dtype=torch.float64)
    solution = solve(
        lambda t, y, rate: -rate * y,
        y0,
        times,
        Solver(rtol=1e-10, atol=1e-10),
        way,
        args=(rate,),
        events=[lambda t, y, rate: y[0] - 0.25],
    )
    # y_0 = exp(-rate t) is a quarter at t = log(4) / rate.
    (found,) = torch.autograd.grad(solution.ts[-1], rate)
    torch.testing.assert_close(found, -math.log(4) / rate.detach() ** 2, rtol=1e-8, atol=1e-8)
