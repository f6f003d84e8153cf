"""What a compiled step costs beside its compiled code, counted."""

import sys

import pytest
import torch
from torch import nn

from node_experiments.ode import Solver, solve
from node_experiments.ode.compiled import compilation


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.ones(2))

    def forward(self, t, y):
        return -self.rate * y


@pytest.fixture
def silent(monkeypatch, lowered):
    """Compiled code returns what it did at first, and its frames are not counted."""

    def lower(function, examples):
        outputs = tuple(x.detach() for x in function(*examples))
        return lambda inputs: outputs

    monkeypatch.setattr(compilation, "lowering", lambda device: lower)


def frames(run):
    """Python frames of the third of three runs, without those of the compiled code.

    In the second one, caches of torch and of abstract base classes may still be filled.
    """
    run()
    run()
    found = []
    sys.setprofile(lambda frame, event, _: event == "call" and found.append(frame.f_code))
    try:
        run()
    finally:
        sys.setprofile(None)
    return len([code for code in found if "test_costs" not in code.co_filename])


def frames_of_steps(method, backward):
    """Frames that further steps cost, each."""
    field, y0, counts = Field(), torch.ones(2), []
    for n in (10, 30):
        t = torch.linspace(0, 1, n + 1)
        solver = Solver(method, num_steps=n, compile=True)

        def run(solver=solver, t=t):
            with torch.set_grad_enabled(backward):
                ys = solve(field, y0, t, solver, "discrete").ys
            if backward:
                ys.sum().backward()

        counts.append(frames(run))
    return (counts[1] - counts[0]) / 20


@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5"])
def test_a_fixed_step_costs_no_frame_beside_its_graph(method, silent):
    assert frames_of_steps(method, backward=False) == 0


@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5"])
def test_the_gradient_of_a_fixed_step_costs_three_frames(method, silent):
    """One of the iteration over steps, one of the step's record, and one that takes it back."""
    assert frames_of_steps(method, backward=True) <= 3


def test_an_adaptive_step_is_one_call_of_compiled_code_and_its_start_two(lowered):
    field, counts = Field(), []
    for end in (2.0, 12.0):
        t = torch.tensor([0.0, end])
        steps = []

        def run(t=t, steps=steps):
            with torch.no_grad():
                stats = solve(field, torch.ones(2), t, Solver(rtol=1e-5, compile=True)).stats
            steps.append(stats.forward.accepted + stats.forward.rejected)

        calls = lowered.calls
        run()
        before = lowered.calls
        run()
        assert before - calls == lowered.calls - before == steps[-1] + 2
        counts.append(steps[-1])
    assert counts[1] > counts[0]


def test_few_functions_are_compiled(lowered):
    y0, t = torch.ones(2), torch.tensor([0.0, 1.0])
    for solver, most in ((Solver("rk4", num_steps=3), 2), (Solver(rtol=1e-3), 5)):
        lowered.functions.clear()
        field = Field()
        for _ in range(2):
            compiled = Solver(solver.method, solver.rtol, num_steps=solver.num_steps, compile=True)
            solve(field, y0, t, compiled, "discrete").ys.sum().backward()
        assert len(lowered.functions) == most
