from __future__ import annotations

from functools import cache

import pytest
import torch

from node_experiments.ode import Checkpoint, Discrete, Solver
from node_experiments.ode.gradients.checkpointed_steps import binomial_split
from node_experiments.ode.methods.explicit_tableaus import EXPLICIT_TABLEAUS
from tests.grids import by_turns

from .helpers import largest_relative_difference, saved_bytes

TIMES = torch.linspace(0, 2, 7, dtype=torch.float64)
OFTEN = ["euler", "rk4", "adaptive_heun", "bosh3", "dopri5", "dopri8"]


@pytest.mark.parametrize(
    ("method", "checkpoints"), by_turns(sorted(EXPLICIT_TABLEAUS), [1, 2, 3, 16], OFTEN)
)
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


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_the_binomial_schedule_needs_the_fewest_steps(slots):
    @cache
    def fewest(steps, slots):
        if steps == 1:
            return 0
        if slots == 1:
            return steps * (steps - 1) // 2
        return min(m + fewest(steps - m, slots - 1) + fewest(m, slots) for m in range(1, steps))

    def scheduled(steps, slots):
        if steps == 1 or slots == 1:
            return fewest(steps, slots)
        m = binomial_split(steps, slots)
        assert 0 < m < steps
        return m + scheduled(steps - m, slots - 1) + scheduled(m, slots)

    for steps in range(2, 60):
        assert scheduled(steps, slots) == fewest(steps, slots)


@pytest.mark.parametrize("slots", [2, 3, 5])
def test_a_solve_evaluates_no_more_than_the_schedule_asks_for(example, slots):
    """All slots are in use: as many steps are made again as the binomial schedule has."""

    @cache
    def repeated(steps, slots):
        if steps == 1:
            return 0
        if slots == 1:
            return steps * (steps - 1) // 2
        m = binomial_split(steps, slots)
        return m + repeated(steps - m, slots - 1) + repeated(m, slots)

    # So many that a stride is of several steps, which a free slot shortens.
    steps = 8 * slots - 3
    evaluations = {}
    for count in (slots, 1):
        _, solution = example.gradients(
            TIMES[[0, -1]], Solver("rk4", num_steps=steps), Checkpoint(count)
        )
        evaluations[count] = solution.stats.backward.evaluations
    assert evaluations[1] - evaluations[slots] == 4 * (
        repeated(steps, 1) - thinned(steps, slots, repeated)
    )


def thinned(steps, slots, repeated):
    """Steps that are made again from the states that the forward solve keeps."""
    stride = 1
    while -(-steps // stride) > slots:
        stride *= 2
    starts = list(range(0, steps, stride))
    total, end = 0, steps
    for held, start in reversed(list(enumerate(starts))):
        total += repeated(end - start, slots - held)
        end = start
    return total


def test_no_checkpoints_are_rejected():
    with pytest.raises(ValueError, match="at least 1"):
        Checkpoint(0)
