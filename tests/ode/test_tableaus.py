"""Every tableau is checked as data: a wrong digit fails here before it slows a solve down."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest

from node_experiments.ode.methods.explicit_tableaus import TABLEAUS

from .rooted_trees import density, stage_weights, trees


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


def test_a_traced_solve_finds_all_that_follows_from_a_tableau():
    for tableau in TABLEAUS.values():
        kind = type(tableau)
        names = [name for name, each in vars(kind).items() if isinstance(each, cached_property)]
        assert len(names) > 10
        assert set(names) <= set(vars(replace(tableau)))
