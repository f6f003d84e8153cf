"""Rooted trees and the order conditions of Runge-Kutta methods (Hairer, Norsett & Wanner I, II.2).

A tree is the sorted tuple of its root's subtrees; the single vertex is `()`.
"""

from functools import cache
from itertools import combinations_with_replacement, groupby, product

import numpy as np


@cache
def trees(order):
    """All rooted trees with that many vertices."""
    if order == 1:
        return [()]
    found = []
    for sizes in _partitions(order - 1, order - 1):
        choices = [
            list(combinations_with_replacement(trees(size), len(list(group))))
            for size, group in groupby(sizes)
        ]
        found += [tuple(sorted(sum(subtrees, ()))) for subtrees in product(*choices)]
    return found


def order_of(tree):
    return 1 + sum(order_of(subtree) for subtree in tree)


def density(tree):
    """gamma(t): the condition reads sum_i b_i phi_i(t) = 1 / gamma(t)."""
    product_of_subtrees = 1
    for subtree in tree:
        product_of_subtrees *= density(subtree)
    return order_of(tree) * product_of_subtrees


def stage_weights(tree, a):
    """phi(t), one entry a stage, for the matrix of coefficients `a`."""
    weights = np.ones(len(a))
    for subtree in tree:
        weights = weights * (a @ stage_weights(subtree, a))
    return weights


def _partitions(total, largest):
    if total == 0:
        yield ()
        return
    for part in range(min(total, largest), 0, -1):
        for rest in _partitions(total - part, part):
            yield (part, *rest)
