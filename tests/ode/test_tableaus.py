"""Every tableau is checked as data: a wrong digit fails here before it slows a solve down."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest

from node_experiments.ode.methods.explicit_tableaus import TABLEAUS
from node_experiments.ode.methods.order_conditions import density, stage_weights, trees


def matrix(tableau, with_dense_stages=False):
    rows = [*tableau.matrix, *(tableau.dense_a if with_dense_stages else ())]
    a = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        a[i, : len(row)] = row
    return a


def residuals(weights, a, order):
    return [abs(weights @ stage_weights(tree, a) - 1 / density(tree)) for tree in trees(order)]


def test_there_are_as_many_rooted_trees_as_there_should_be():
    assert [len(trees(order)) for order in range(1, 9)] == [1, 1, 2, 4, 9, 20, 48, 115]


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=lambda t: t.name)
def test_shapes_and_row_sums(tableau):
    assert [len(row) for row in tableau.a] == (
        [0, *[tableau.stages] * (tableau.stages - 1)]
        if tableau.coupled
        else list(range(tableau.stages))
    )
    assert tableau.c[0] == 0
    dense_rows = [len(row) for row in tableau.dense_a]
    assert dense_rows == [tableau.stages + i for i in range(len(dense_rows))]
    nodes = (*tableau.c, *tableau.dense_c)
    np.testing.assert_allclose(matrix(tableau, True).sum(1), nodes, atol=2e-14)
    assert (tableau.b_error is not None) == (tableau.embedded_order is not None)
    if tableau.diagonal is not None:
        assert len({d for d in tableau.diagonal if d}) == 1


@pytest.mark.parametrize("tableau", TABLEAUS.values(), ids=lambda t: t.name)
def test_order_conditions_hold_up_to_the_order_and_not_beyond(tableau):
    a, b = matrix(tableau), np.array(tableau.b)
    for order in range(1, tableau.order + 1):
        assert max(residuals(b, a, order)) < 1e-13
    assert max(residuals(b, a, tableau.order + 1)) > 1e-6


@pytest.mark.parametrize(
    "tableau", [t for t in TABLEAUS.values() if t.b_error is not None], ids=lambda t: t.name
)
def test_the_embedded_solution_has_its_order_and_not_more(tableau):
    a, b_hat = matrix(tableau), np.array(tableau.b) - np.array(tableau.b_error)
    for order in range(1, tableau.embedded_order + 1):
        assert max(residuals(b_hat, a, order)) < 1e-13
    assert max(residuals(b_hat, a, tableau.embedded_order + 1)) > 1e-6


@pytest.mark.parametrize(
    "tableau", [t for t in TABLEAUS.values() if t.dense], ids=lambda t: t.name
)
def test_the_interpolant_has_its_order_at_every_point_and_ends_at_the_solution(tableau):
    a, dense = matrix(tableau, True), np.array(tableau.dense)
    b = np.zeros(len(dense))
    b[: tableau.stages] = tableau.b
    np.testing.assert_allclose(dense.sum(1), b, atol=2e-12)
    for order in range(1, tableau.dense_order + 2):
        wanted = np.zeros(dense.shape[1])
        worst = 0.0
        for tree in trees(order):
            wanted[:] = 0
            if order <= len(wanted):
                wanted[order - 1] = 1 / density(tree)
            worst = max(worst, abs(dense.T @ stage_weights(tree, a) - wanted).max())
        if order <= tableau.dense_order:
            assert worst < 4e-12
        else:
            assert worst > 1e-6


def test_a_traced_solve_finds_all_that_follows_from_a_tableau():
    for tableau in TABLEAUS.values():
        kind = type(tableau)
        names = [name for name, each in vars(kind).items() if isinstance(each, cached_property)]
        assert len(names) > 10
        assert set(names) <= set(vars(replace(tableau)))
