"""The error of a gradient, as a run reports it."""

import math
from functools import partial

import pytest
import torch
from torch import nn

from node_experiments.chapters.image_classification.ode_block import ODEBlock
from node_experiments.nn.swap_solver import temporary_solver
from node_experiments.ode import Backprop, Discrete, Solver
from node_experiments.training.gradient_error import GradientError
from node_experiments.training.random_state import random_state

EXACT = partial(temporary_solver, solver=Solver("dopri5", 1e-6, 1e-6), gradient=Discrete())


class Decay(nn.Module):
    def __init__(self):
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(1.0))

    def forward(self, t, y):
        return -self.rate * y


class Value:
    """The task of a small value at the end."""

    def loss(self, model, batch, step):
        return model(batch).sum(), {}


class Trainer:
    """What the callback asks of a trainer."""

    def __init__(self, solver, task):
        self.model = ODEBlock(Decay(), solver, Backprop())
        self.data = type("Data", (), {"train": [torch.ones(3)]})
        self.task, self.step, self.metrics = task, 0, {}

    def autocast(self):
        return torch.autocast("cpu", enabled=False)


@pytest.mark.parametrize("steps", [1, 4, 16])
def test_is_that_of_the_closed_form(steps):
    trainer = Trainer(Solver("euler", num_steps=steps), Value())
    GradientError(EXACT).evaluate(trainer)
    # y(1) = exp(-rate) of the solution, (1 - rate / n)^n of the steps.
    found, exact = -((1 - 1 / steps) ** (steps - 1)), -math.exp(-1)
    expected = abs(found - exact) / abs(exact)
    assert trainer.metrics["gradient/error"] == pytest.approx(expected, rel=1e-3)
    assert trainer.model.solver.method == "euler"


class Noisy(Value):
    def loss(self, model, batch, step):
        return (model(batch) * torch.randn(3)).sum(), {}


def test_both_gradients_see_the_same_noise_and_leave_no_trace():
    trainer = Trainer(Solver("dopri5", 1e-6, 1e-6), Noisy())
    before = random_state()["torch"]
    GradientError(EXACT).evaluate(trainer)
    assert trainer.metrics["gradient/error"] < 1e-4
    torch.testing.assert_close(random_state()["torch"], before)
