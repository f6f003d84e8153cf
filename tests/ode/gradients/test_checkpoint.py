from __future__ import annotations

from functools import cache

import pytest
import torch

from node_experiments.ode import (
    Checkpoint,
    Discrete,
    Solver,
)
from node_experiments.ode.gradients.checkpoint import binomial_split
from node_experiments.ode.methods.explicit_tableaus import EXPLICIT_TABLEAUS

from .helpers import largest_relative_difference, saved_bytes

TIMES = torch.linspace(0, 2, 7, dtype=torch.float64)


@pytest.mark.parametrize("checkpoints", [1, 2, 3, 16])
@pytest.mark.parametrize("method", sorted(EXPLICIT_TABLEAUS))
def test_equals_the_discrete_adjoint(example, method, checkpoints):
    t = TIMES.clone().requires_grad_()
    solver = Solver(method, num_steps=23)
    expected, _ = example.gradients(t, solver, Discrete())
    found, _ = example.gradients(t, solver, Checkpoint(checkpoints))
    assert largest_relative_difference(found, expected) < 1e-10


def test_keeps_no_more_states_than_it_may(example):
    def states(num_steps):
        total = saved_bytes(
            lambda: example.solve(TIMES, Solver(num_steps=num_steps), Checkpoint(8))
        )
        without = saved_bytes(lambda: example.solve(TIMES, Solver(num_steps=1), Checkpoint(8)))
        return 1 + (total - without) // example.y0.nbytes

    assert [states(n) for n in (4, 8, 9, 16, 17, 100, 1000)] == [4, 8, 5, 8, 5, 7, 8]


@pytest.mark.parametrize("places", [2, 3, 5])
def test_the_binomial_schedule_needs_the_fewest_steps(places):
    @cache
    def fewest(steps, places):
        if steps == 1:
            return 0
        if places == 1:
            return steps * (steps - 1) // 2
        return min(m + fewest(steps - m, places - 1) + fewest(m, places) for m in range(1, steps))

    def scheduled(steps, places):
        if steps == 1 or places == 1:
            return fewest(steps, places)
        m = binomial_split(steps, places)
        assert 0 < m < steps
        return m + scheduled(steps - m, places - 1) + scheduled(m, places)

    for steps in range(2, 60):
        assert scheduled(steps, places) == fewest(steps, places)


def test_no_checkpoints_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Checkpoint(0)
