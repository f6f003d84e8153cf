"""The exact gradient of implicit methods, by the implicit-function theorem."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from node_experiments.ode import Adjoint, Checkpoint, Discrete, Solver, solve
from node_experiments.ode.gradients import stage_equation
from node_experiments.ode.methods import newton
from node_experiments.ode.methods.implicit_tableaus import IMPLICIT_TABLEAUS
from tests.grids import always, by_turns

from .helpers import largest_relative_difference, saved_bytes

METHODS = sorted(IMPLICIT_TABLEAUS)
TIMES = {
    "ends": torch.tensor([0.0, 2.0], dtype=torch.float64),
    "many inside each step": torch.linspace(0, 2, 12, dtype=torch.float64),
    "backwards": torch.tensor([1.0, 0.6, -0.5, -1.0], dtype=torch.float64),
}
TIGHT = {"rtol": 1e-10, "atol": 1e-10}  # of Newton's method


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("method", "case"),
    by_turns(
        METHODS,
        [*product(TIMES, (Discrete(), Checkpoint(2)))],
        kept=["implicit_euler", "trapezoid", "gl4", "radauIIA3", "sdirk2", "kvaerno3"],
    ),
)
def test_gradcheck_of_state_argument_parameters_and_times(example, method, case):
    times, way = case
    # The grid stretches with the interval; only the times of the outputs move against it.
    solver = Solver(method, num_steps=4, **TIGHT)

    def solution(y0, gain, t, *parameters):
        names = [name for name, _ in example.func.named_parameters()]

        def func(time, y, gain):
            values = dict(zip(names, parameters, strict=True))
            return torch.func.functional_call(example.func, values, (time, y, gain))

        return solve(func, y0, t, solver, way, args=(gain,), parameters=parameters).ys

    inputs = (example.y0, example.gain, TIMES[times].clone().requires_grad_())
    assert torch.autograd.gradcheck(
        solution, (*inputs, *example.parameters), fast_mode=True, rtol=1e-5
    )


def stiff(t, y, rate):
    """Two coupled components, the second pulled to a curve by `rate`, nonlinearly."""
    slow, fast = y
    off = fast - torch.cos(slow + t)
    return torch.stack([-slow * fast, -rate * (1 + torch.sin(slow) / 2) * off])


@pytest.mark.parametrize("method", always(["trapezoid", "kvaerno3", "gl4"], METHODS))
def test_gradcheck_on_a_stiff_problem(method):
    y0, log_rate = double(0.7, 0.75).requires_grad_(), torch.tensor(1e5).double().log()
    times = double(0.0, 1.0).requires_grad_()
    solver = Solver(method, num_steps=8, **TIGHT)

    def solution(y0, log_rate, t):
        # The steps are a thousand times longer than what an explicit method could take.
        return solve(stiff, y0, t, solver, Discrete(), args=(log_rate.exp(),)).ys

    log_rate.requires_grad_()
    assert torch.autograd.gradcheck(
        solution, (y0, log_rate, times), rtol=1e-4, atol=1e-7, fast_mode=True
    )


@pytest.mark.parametrize(
    ("method", "loosest"),
    always(["trbdf2"], [("trbdf2", 1e-5), ("kvaerno3", 1e-5), ("kvaerno5", 1e-6)]),
)
def test_tends_to_the_adjoint_with_the_tolerance(example, method, loosest):
    t = torch.linspace(0, 1, 4, dtype=torch.float64, requires_grad=True)
    exact, _ = example.gradients(t, Solver("dopri5", 1e-11, 1e-11), Adjoint())

    def error(tolerance):
        found, _ = example.gradients(t, Solver(method, tolerance, tolerance), Discrete())
        return largest_relative_difference(found, exact)

    loose, tight = error(loosest), error(1e-3 * loosest)
    assert tight < 1e-4
    assert tight < loose / 50


def test_a_stiff_gradient_is_that_of_the_closed_form():
    rate = torch.tensor(1e3, dtype=torch.float64, requires_grad=True)
    y0 = double(1.0, 2.0).requires_grad_()

    def relax(t, y, rate):
        return -rate * (y - torch.cos(t)) - torch.sin(t)

    t = double(0.0, 2e-3)
    solver = Solver("kvaerno5", rtol=1e-9, atol=1e-11)
    solve(relax, y0, t, solver, Discrete(), args=(rate,)).ys[-1].sum().backward()
    decay = torch.exp(-rate.detach() * 2e-3)
    torch.testing.assert_close(y0.grad, decay.expand(2), rtol=1e-6, atol=0)
    expected = -2e-3 * decay * (y0.detach() - 1).sum()
    torch.testing.assert_close(rate.grad, expected, rtol=1e-5, atol=0)


def test_gmres_and_factorisation_agree(example, monkeypatch):
    t = TIMES["many inside each step"].clone().requires_grad_()
    solver = Solver("kvaerno3", num_steps=4, **TIGHT)
    expected, _ = example.gradients(t, solver, Discrete())
    monkeypatch.setattr(stage_equation, "DENSE_UP_TO", 0)
    found, _ = example.gradients(t, solver, Discrete())
    assert largest_relative_difference(found, expected) < 1e-9


def test_gmres_that_does_not_converge_says_so(example, monkeypatch):
    monkeypatch.setattr(stage_equation, "DENSE_UP_TO", 0)
    monkeypatch.setattr(newton, "RESTARTS", 0)
    with pytest.raises(ArithmeticError, match="take smaller steps"):
        example.gradients(TIMES["ends"], Solver("trapezoid", num_steps=2), Discrete())


@pytest.mark.parametrize("method", ["implicit_euler", "kvaerno3"])
def test_steps_checkpointed_have_the_gradient_of_all_kept(example, method):
    t = TIMES["ends"].clone().requires_grad_()
    solver = Solver(method, num_steps=23, **TIGHT)
    expected, _ = example.gradients(t, solver, Discrete())
    found, _ = example.gradients(t, solver, Checkpoint(3))
    assert largest_relative_difference(found, expected) < 1e-10


def test_the_states_at_the_stages_are_all_that_is_kept(example):
    def kept(num_steps):
        solver = Solver("kvaerno3", num_steps=num_steps)
        return saved_bytes(lambda: example.solve(TIMES["ends"], solver, Discrete()))

    # The last of the four stages is the first one of the next step.
    assert kept(32) - kept(2) == 30 * 3 * example.y0.nbytes


def test_a_jump_of_the_vector_field():
    rate = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    y0 = torch.linspace(1, 2, 3, dtype=torch.float64).requires_grad_()

    def field(t, y, rate):
        return -rate * y if t < 0.9 else rate * torch.sin(y)

    def gradients(method, way, tolerance):
        solver = Solver(method, rtol=tolerance, atol=tolerance, jump_t=(0.9,))
        ys = solve(field, y0, double(0.0, 2.0), solver, way, args=(rate,)).ys
        return torch.autograd.grad(ys[-1].sum(), (y0, rate))

    found = gradients("kvaerno5", Discrete(), 1e-9)
    assert largest_relative_difference(found, gradients("dopri5", Discrete(), 1e-11)) < 1e-6


@pytest.mark.parametrize(
    ("solver", "way", "message"),
    [
        (Solver("kvaerno3", num_steps=2), Discrete(retain_graphs=True), "explicit methods"),
        (Solver("adams"), Discrete(), "the Runge-Kutta methods"),
        (Solver("reversible_heun", num_steps=2), Checkpoint(), "the Runge-Kutta methods"),
    ],
)
def test_what_it_cannot_take_is_rejected_in_one_line(example, solver, way, message):
    with pytest.raises(ValueError, match=message) as caught:
        example.solve(TIMES["ends"], solver, way)
    assert "\n" not in str(caught.value)
