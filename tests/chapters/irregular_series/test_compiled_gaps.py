"""Compiled steps between observations, of which ever fewer series are left."""

from weakref import WeakKeyDictionary

import pytest
import torch

from node_experiments.chapters.irregular_series.gap_dynamics import GapFlow
from node_experiments.nn.regularizers import Regularizer
from node_experiments.ode import Backprop, Solver
from node_experiments.ode.compiled import capture, compilation

ROWS = range(1, 70)


@pytest.fixture
def shapes(monkeypatch):
    """Shapes of the states that steps are compiled for; the functions are called as they are."""
    found = set()

    def lower(function, examples):
        found.add(tuple(examples[0].shape))

        def call(inputs):
            with torch.no_grad():
                return function(*inputs)

        return call

    monkeypatch.setattr(compilation, "lowering", lambda device: lower)
    monkeypatch.setattr(capture, "_CAPTURES", WeakKeyDictionary())
    return found


def result(rows, solver, augment=0):
    """States after the gaps, and the gradients of states and weights."""
    torch.manual_seed(rows)
    net = torch.nn.Sequential(torch.nn.Linear(2 + augment, 2 + augment), torch.nn.Tanh()).double()
    flow = GapFlow(net, solver, Backprop(), span=1.0, augment=augment)
    state = torch.randn(rows, 4, dtype=torch.double, requires_grad=True)
    after = flow(state, torch.rand(rows, dtype=torch.double))
    return after, *torch.autograd.grad(after.sin().sum(), (state, *net.parameters()))


@pytest.mark.parametrize("augment", [0, 1])
@pytest.mark.parametrize("steps", [1, 9])
def test_all_numbers_of_rows_share_three_shapes_and_nothing_changes(steps, augment, shapes):
    for rows in ROWS:
        plain = Solver("euler", num_steps=steps)
        compiled = Solver("euler", num_steps=steps, compile=True)
        for found, expected in zip(
            result(rows, compiled, augment), result(rows, plain, augment), strict=True
        ):
            torch.testing.assert_close(found, expected)
    assert shapes == {(n, 2 + augment) for n in (32, 64, 128)}


def test_one_flow_reads_batches_of_all_sizes_without_a_warning(shapes):
    net = torch.nn.Linear(2, 2)
    flow = GapFlow(net, Solver("euler", num_steps=4, compile=True), Backprop(), span=1.0)
    for rows in ROWS:
        flow(torch.randn(rows, 4), torch.rand(rows))
    assert shapes == {(n, 2) for n in (32, 64, 128)}


def test_adaptive_steps_keep_their_norm(shapes):
    for found, expected in zip(
        result(5, Solver("dopri5", compile=True)), result(5, Solver("dopri5")), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_rows_that_were_filled_up_add_no_penalty(shapes):
    penalties = []
    for compile in (False, True):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh()).double()
        solver = Solver("euler", num_steps=4, compile=compile)
        flow = GapFlow(net, solver, Backprop(), span=1.0)
        flow.regularize(Regularizer(kinetic=1.0))
        flow.start_pass(5)
        flow(torch.randn(5, 4).double(), torch.rand(5).double())
        penalties.append(torch.stack([p.integral for p in flow.penalties.values()]))
    torch.testing.assert_close(*penalties)
