"""What a plain solve costs beside the vector field, counted: Python frames, files, rounding."""

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import node_experiments.ode
from node_experiments.ode import Solver, solve
from node_experiments.ode.torchdiffeq import odeint

PACKAGE = str(Path(node_experiments.ode.__file__).parent)


def sine(t, y):
    return torch.sin(y)


def profile(run):
    """Code objects of all Python frames of the second of two runs."""
    run()
    frames = []
    sys.setprofile(lambda frame, event, _: event == "call" and frames.append(frame.f_code))
    try:
        run()
    finally:
        sys.setprofile(None)
    return [code for code in frames if code is not sine.__code__]


def frames_of_a_step(solver_of, needs_gradient):
    """Frames outside the vector field that further steps cost, each."""
    y0 = torch.linspace(0, 1, 8, requires_grad=needs_gradient)
    found = []
    for n in (5, 35):
        solver, t = solver_of(n)
        solutions = []
        frames = profile(lambda: solutions.append(solve(sine, y0, t, solver, "backprop")))  # noqa: B023
        counts = solutions[-1].stats.forward
        found.append((len(frames), counts.accepted + counts.rejected))
    (few, first), (many, second) = found
    return (many - few) / (second - first)


@pytest.mark.parametrize("needs_gradient", [False, True])
@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4", "rk38", "dopri5"])
def test_a_fixed_step_costs_two_python_frames(method, needs_gradient):
    def solver_of(n):
        return Solver(method, num_steps=n), torch.tensor([0.0, 1.0])

    assert frames_of_a_step(solver_of, needs_gradient) <= 2


@pytest.mark.parametrize("needs_gradient", [False, True])
def test_a_step_between_outputs_costs_no_frame_more(needs_gradient):
    def solver_of(n):
        t = torch.linspace(0, 1, n + 1)
        return Solver("rk4", step_t=t.tolist()), t

    assert frames_of_a_step(solver_of, needs_gradient) <= 2


@pytest.mark.parametrize("needs_gradient", [False, True])
@pytest.mark.parametrize("method", ["bosh3", "dopri5", "tsit5", "dopri8"])
def test_an_adaptive_step_costs_three_python_frames(method, needs_gradient):
    def solver_of(n):
        return Solver(method, rtol=1e-5, atol=1e-5), torch.tensor([0.0, float(n)])

    assert frames_of_a_step(solver_of, needs_gradient) <= 3


def test_the_start_of_a_solve_costs_few_frames():
    solver, y0, t = Solver("euler", num_steps=1), torch.ones(2), torch.tensor([0.0, 1.0])
    with torch.no_grad():
        assert len(profile(lambda: solve(sine, y0, t, solver))) <= 75
        assert len(profile(lambda: odeint(sine, y0, t, method="euler"))) <= 95


@pytest.mark.parametrize(("method", "reads"), [("euler", 2), ("rk4", 3), ("dopri5", 3)])
def test_states_of_random_numbers_are_read_before_after_and_once_between(method, reads):
    """A read is a copy of 5 kB; between them a solve of one evaluation has nothing to look at."""
    y0, t = torch.ones(2), torch.tensor([0.0, 1.0])
    with torch.no_grad():
        codes = profile(lambda: odeint(sine, y0, t, method=method))
    assert sum(code.co_name == "get_rng_state" for code in codes) == reads


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.ones(2))

    def forward(self, t, y):
        return self.rate * y


def files(run):
    names = {code.co_filename for code in profile(run)}
    return sorted(name for name in names if name.startswith(PACKAGE))


def test_a_solve_enters_twelve_files_and_fifteen_with_the_adjoint():
    y0, t, field = torch.ones(2), torch.tensor([0.0, 1.0]), Field()
    forward = files(lambda: solve(sine, y0, t, "dopri5"))
    assert len(forward) <= 12, forward
    both = files(lambda: solve(field, y0, t, "dopri5", "adjoint").ys.sum().backward())
    assert len(both) <= 15, both


def summed_increments(f, y, steps):
    """The 3/8 rule as torchdiffeq computes it: one sum of increments for each step."""
    h = 1 / steps
    for _ in range(steps):
        k1 = f(y)
        k2 = f(y + h * k1 / 3)
        k3 = f(y + h * (k2 - k1 / 3))
        k4 = f(y + h * (k1 - k2 + k3))
        y = y + (k1 + 3 * (k2 + k3) + k4) * h * 0.125
    return y


@pytest.mark.parametrize("gradient", [None, "backprop"])
def test_single_precision_rounds_no_more_than_summed_increments(gradient):
    """Increments added to the state one by one would round five to eight times as much."""
    torch.manual_seed(0)
    steps = 500
    double = nn.Sequential(nn.Linear(4, 20), nn.Tanh(), nn.Linear(20, 4)).double()
    y0 = torch.randn(200, 4, dtype=torch.float64)
    with torch.no_grad():
        exact = summed_increments(double, y0, steps)
        single = double.float()
        expected = (summed_increments(single, y0.float(), steps) - exact).norm()
    y = y0.float().requires_grad_(gradient is not None)
    solver = Solver("rk38", num_steps=steps)
    found = solve(
        lambda t, y: single(y), y, torch.tensor([0.0, 1.0]), solver, gradient or "adjoint"
    )
    assert (found.ys[-1].detach() - exact).norm() <= 1.2 * expected


def test_a_vector_field_is_watched_in_every_evaluation():
    """Steps call it directly, and look at what it returns."""
    t, solver = torch.tensor([0.0, 1.0]), Solver("rk4", num_steps=3)

    def late(wrong):
        calls = []

        def field(t, y):
            calls.append(t)
            return wrong(t, y) if len(calls) > 6 else -y

        return field

    y0 = torch.ones(2, 2)
    for wrong, message in (
        (lambda t, y: -y[:1], "must return a derivative like its state"),
        (lambda t, y: -y.double(), "must return a derivative like its state"),
        (lambda t, y: None, "must return a derivative like its state"),
        (lambda t, y: y.mul_(-1), "changed the state in place"),
        (lambda t, y: t.add_(1) * y, "changed the time in place"),
    ):
        for needs_gradient in (False, True):
            y = y0.clone().requires_grad_(needs_gradient)
            with pytest.raises(ValueError, match=message):
                solve(late(wrong), y, t, solver, "backprop")
    y = y0.clone().requires_grad_()
    with pytest.raises(ValueError, match="in no graph"):
        solve(late(lambda t, y: -y.detach()), y, t, solver, "backprop")


@pytest.mark.parametrize("method", ["euler", "rk4", "bosh3", "dopri5", "vern7"])
@pytest.mark.parametrize("kind", ["kept", "view", "numpy"])
def test_a_buffer_that_is_written_again_is_not_read_again(method, kind):
    y0, t = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.3, 1.0])
    kept = torch.empty(3, 2)
    buffer = {"kept": kept[0].clone(), "view": kept[1], "numpy": kept[2]}[kind]
    if kind == "numpy":
        array = buffer.clone().numpy()

    def field(t, y):
        if kind == "numpy":
            array[:] = (-y).numpy()
            return torch.from_numpy(array)
        if kind == "view":
            kept[1] = -y
            return kept[1]
        return torch.neg(y, out=buffer)

    solver = Solver(method, num_steps=4)
    with torch.no_grad():
        found = solve(field, y0, t, solver)
    expected = solve(lambda t, y: -y, y0, t, solver)
    torch.testing.assert_close(found.ys, expected.ys, rtol=0, atol=0)


def through_numpy(t, y):
    y.detach().numpy()[...] *= 0.9
    return -y


def through_data(t, y):
    y.data[0] = 0.5
    return -y


@pytest.mark.parametrize("func", [through_numpy, through_data])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("needs_gradient", [False, True])
def test_a_field_that_changes_its_state_unseen_by_torch_is_rejected(func, nested, needs_gradient):
    y0 = torch.ones(2, requires_grad=needs_gradient)
    state, field = (y0, func) if not nested else ((y0,), lambda t, y: (func(t, y[0]),))
    with pytest.raises(ValueError, match="changed the state in place"):
        solve(field, state, [0.0, 1.0])
    with torch.no_grad():
        with pytest.raises(ValueError, match="changed the state in place"):
            solve(field, state, [0.0, 1.0])
        # A state that is not a number is no change.
        solve(lambda t, y: torch.zeros_like(y), torch.tensor([math.nan]), [0.0, 1.0], throw=False)
    assert y0.eq(1).all()
