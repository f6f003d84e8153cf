from __future__ import annotations

import warnings

import pytest
import torch

from node_experiments.ode import Backprop, Reversible, Solver, solve
from node_experiments.ode.methods.reversible import REVERSIBLE
from tests.grids import by_turns

from .helpers import largest_relative_difference, saved_bytes

ENDS = torch.tensor([0.0, 1.0], dtype=torch.float64)
MANY = torch.linspace(1, -1, 9, dtype=torch.float64)
METHODS = sorted(name for name in REVERSIBLE if name != "leapfrog")


@pytest.mark.parametrize(("method", "times"), by_turns(METHODS, [MANY, ENDS]))
def test_equals_backpropagation_through_the_same_steps(example, method, times):
    solver = Solver(method, num_steps=6)
    expected, reference = example.gradients(times, solver, Backprop())
    found, solution = example.gradients(times, solver, Reversible())
    assert largest_relative_difference(found, expected) < 1e-10
    torch.testing.assert_close(solution.ys, reference.ys)


@pytest.mark.parametrize(
    ("method", "times"),
    by_turns(METHODS, [[0.0, 1.0], [1.0, 0.7, 0.5, -0.1, -0.15, -1.0]], kept=METHODS[::3]),
)
def test_gradcheck_of_state_argument_parameters_and_times(example, method, times):
    # Of four steps over the second interval one ends at an output, others have some inside. Values
    # of methods of high order, made by shorter steps, have no derivative across the end of a step.
    times = [t for t in times if t != 0.5 or REVERSIBLE[method].order <= 4]
    solver = Solver(method, num_steps=4)

    def solution(y0, gain, t, *parameters):
        names = [name for name, _ in example.func.named_parameters()]

        def func(time, y, gain):
            values = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(example.func, values, (time, y, gain))

        return solve(func, y0, t, solver, Reversible(), args=(gain,), parameters=parameters).ys

    t = torch.tensor(times, dtype=torch.float64, requires_grad=True)
    inputs = (example.y0, example.gain, t, *example.parameters)
    assert torch.autograd.gradcheck(solution, inputs, fast_mode=True)


def test_adaptive_steps_are_undone_as_they_were_accepted(example):
    solver = Solver("reversible_dopri5", rtol=1e-5, atol=1e-5)
    expected, reference = example.gradients(MANY, solver, Backprop())
    found, solution = example.gradients(MANY, solver, Reversible())
    assert solution.stats.forward.accepted == reference.stats.forward.accepted
    assert largest_relative_difference(found, expected) < 1e-8


def test_leapfrog_on_a_separable_system():
    y0 = torch.randn(8, dtype=torch.float64, requires_grad=True)
    stiffness = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)

    def oscillators(t, y, stiffness):
        q, p = y.chunk(2)
        return torch.cat([p, -stiffness * torch.sin(q)])

    def gradients(way):
        solver = Solver("leapfrog", num_steps=50)
        ys = solve(oscillators, y0, ENDS, solver, way, args=(stiffness,)).ys
        return torch.autograd.grad(ys[-1].square().sum(), (y0, stiffness))

    assert largest_relative_difference(gradients(Reversible()), gradients(Backprop())) < 1e-10


@pytest.mark.parametrize("method", ["reversible_heun", "reversible_rk4"])
def test_memory_does_not_grow_with_the_steps(example, method):
    def kept(num_steps):
        solver = Solver(method, num_steps=num_steps)
        return saved_bytes(lambda: example.solve(ENDS, solver, Reversible()))

    assert kept(64) <= 1.05 * kept(4)


def test_an_inexact_reconstruction_is_said():
    y0 = torch.ones(3, requires_grad=True)
    solver = Solver("asynchronous_leapfrog", num_steps=40)
    times = torch.tensor([0.0, 20.0])
    ys = solve(lambda t, y: -2.0 * y, y0, times, solver, Reversible(1e-6)).ys
    with pytest.warns(UserWarning, match=r"undone with a relative error of .* above 1.0e-06"):
        ys[-1].sum().backward()


@pytest.mark.parametrize(("factor", "warns"), [(0.9, True), (1.1, False)])
def test_a_reconstruction_is_judged_by_its_tolerance(factor, warns):
    def warnings_of(tolerance):
        y0 = torch.ones(3, requires_grad=True)
        solver = Solver("asynchronous_leapfrog", num_steps=40)
        times = torch.tensor([0.0, 4.0])
        ys = solve(lambda t, y: -2.0 * y, y0, times, solver, Reversible(tolerance)).ys
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ys[-1].sum().backward()
        return [str(warning.message) for warning in caught]

    (found,) = warnings_of(1e-9)
    error = float(found.partition("relative error of ")[2].split()[0])
    assert bool(warnings_of(factor * error)) is warns


def test_an_explicit_method_is_made_reversible(example):
    expected, _ = example.gradients(MANY, Solver("reversible_rk4", num_steps=6), Reversible())
    found, solution = example.gradients(MANY, Solver("rk4", num_steps=6), Reversible())
    assert largest_relative_difference(found, expected) < 1e-14
    assert solution.stats.backward.evaluations > 0


def test_other_methods_are_rejected(example):
    with pytest.raises(ValueError, match=r"for reversible methods; found .*adams_bashforth"):
        example.solve(ENDS, Solver("adams_bashforth", num_steps=2), Reversible())


def test_a_start_at_zero_is_no_reason_to_warn():
    y0 = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    solve(lambda t, y: 1 - y, y0, times, "dopri5", "reversible").ys[-1].sum().backward()
