"""Order conditions of Runge-Kutta methods (Hairer, Norsett & Wanner I, section II.2).

A method has order p if sum_i b_i phi_i(tree) = 1 / gamma(tree) for every rooted tree with at most
p vertices. A tree is the sorted tuple of its root's subtrees; the single vertex is `()`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations_with_replacement, groupby, product
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from .butcher_tableau import Rows, Tableau

import torch

__all__ = ["Tree", "check_tableau", "density", "highest_order", "stage_weights", "trees"]

Tree: TypeAlias = "tuple[Tree, ...]"
TOLERANCE = 1e-8  # of the conditions, for coefficients that were rounded to ten digits or so


@cache
def trees(order: int) -> list[Tree]:
    """All rooted trees with that many vertices."""
    if order == 1:
        return [()]
    grown: list[Tree] = []
    for sizes in partitions(order - 1, order - 1):
        choices = [
            list(combinations_with_replacement(trees(size), len(list(group))))
            for size, group in groupby(sizes)
        ]
        for subtrees in product(*choices):
            grown.append(tuple(sorted(subtree for group in subtrees for subtree in group)))
    return grown


def partitions(total: int, largest: int) -> Iterator[tuple[int, ...]]:
    """The ways to write `total` as a sum of falling positive numbers up to `largest`."""
    if total == 0:
        yield ()
        return
    for part in range(min(total, largest), 0, -1):
        for rest in partitions(total - part, part):
            yield (part, *rest)


def vertices(tree: Tree) -> int:
    return 1 + sum(map(vertices, tree))


def density(tree: Tree) -> int:
    """The density gamma of a tree."""
    return vertices(tree) * math.prod(map(density, tree))


def stage_weights(tree: Tree, a: Rows) -> list[float]:
    """The elementary weight phi of a tree at every stage, for the matrix of coefficients `a`."""
    weights = [1.0] * len(a)
    for subtree in tree:
        inner = stage_weights(subtree, a)
        weights = [w * dot(row, inner) for w, row in zip(weights, a, strict=True)]
    return weights


def dot(x: Sequence[float], y: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(x, y, strict=True))


def highest_order(b: Sequence[float], a: Rows, limit: int) -> int:
    """The order of the method with weights `b`, or `limit` if the order is at least that."""
    for order in range(1, limit + 1):
        errors = (abs(dot(b, stage_weights(tree, a)) - 1 / density(tree)) for tree in trees(order))
        if not max(errors) <= TOLERANCE:  # also NaN
            return order - 1
    return limit


def check_tableau(tableau: Tableau) -> None:
    """Check that a method has the nodes and the orders that its tableau states.

    Raises:
        ValueError: It does not.

    Example:
        >>> from node_experiments.ode import Tableau
        >>> heun = Tableau("my_heun", 3, a=((), (1.0,)), b=(0.5, 0.5), c=(0.0, 1.0))
        >>> check_tableau(heun)
        Traceback (most recent call last):
        ...
        ValueError: the tableau 'my_heun' states order 3 and has order 2; correct it
    """
    name = f"the tableau {tableau.name!r}"
    if tableau.c[0] != 0 or (tableau.diagonal is not None and tableau.diagonal[0] != 0):
        raise ValueError(
            f"{name} must begin with the stage at the start of the step: c[0] = 0, and weight "
            "b[0] = 0 if an implicit method does not use it"
        )
    for i, (row, node) in enumerate(zip(tableau.matrix, tableau.c, strict=True)):
        if not abs(math.fsum(row) - node) <= TOLERANCE:
            raise ValueError(
                f"{name} has c[{i}] = {node}, and row {i} of a adds up to {math.fsum(row)}; the "
                "two must be equal"
            )
    if (tableau.b_error is None) != (tableau.embedded_order is None):
        raise ValueError(f"{name} needs both b_error and embedded_order, or neither")
    check_stage_equations(name, tableau)
    check_order(f"{name} states order", tableau.b, tableau.matrix, tableau.order)
    if tableau.b_error is not None and tableau.embedded_order is not None:
        b_hat = [b - error for b, error in zip(tableau.b, tableau.b_error, strict=True)]
        stated = f"the embedded solution of {name}, b - b_error, states order"
        check_order(stated, b_hat, tableau.matrix, tableau.embedded_order)

    if tableau.dense is not None:
        check_dense_output(name, tableau, tableau.dense)


def check_order(stated: str, b: Sequence[float], a: Rows, order: int) -> None:
    found = highest_order(b, a, order) if isinstance(order, int) else 0
    if found != order or order < 1:
        raise ValueError(f"{stated} {order} and has order {found}; correct it")


def check_stage_equations(name: str, tableau: Tableau) -> None:
    """Check that Newton's method can solve the stages of an implicit method.

    Raises:
        ValueError: It cannot, or one factorisation does not serve all stages.
    """
    later = {*(tableau.diagonal or (0.0, 1.0))[1:]}
    if len(later) != 1 or 0 in later:
        raise ValueError(
            f"{name} has the diagonal {tableau.diagonal}; after a leading 0, its entries must be "
            "equal, and not 0"
        )
    if tableau.coupled:
        block = torch.tensor([row[1:] for row in tableau.matrix[1:]], dtype=torch.float64)
        if not abs(float(torch.linalg.det(block))) > TOLERANCE:
            raise ValueError(f"{name} has coupled stages whose matrix a cannot be inverted")


def check_dense_output(name: str, tableau: Tableau, dense: Rows) -> None:
    """Check the order of dense output at every position in a step.

    Raises:
        ValueError: Rows do not fit together, it has not the order that is stated, or it does not
            end at the solution.
    """
    inner, size = tableau.stages, tableau.stages + len(tableau.dense_a)
    lengths = [len(row) for row in tableau.dense_a]
    fits = len({len(row) for row in dense}) == 1 and len(tableau.dense_c) == len(lengths)
    if len(dense) != size or lengths != list(range(inner, size)) or not fits:
        raise ValueError(
            f"{name} needs a row of `dense` for each of its {size} stages, all of one length, and "
            f"rows of `dense_a` with {list(range(inner, size))} coefficients"
        )
    rows = (*tableau.matrix, *tableau.dense_a)
    a = tuple((*row, *(0.0,) * (size - len(row))) for row in rows)
    for row, node in zip(a[inner:], tableau.dense_c, strict=True):
        if not abs(math.fsum(row) - node) <= TOLERANCE:
            raise ValueError(f"{name} has a row of `dense_a` whose sum is not its node {node}")
    ends = [
        abs(math.fsum(row) - b)
        for row, b in zip(dense, (*tableau.b, *(0.0,) * (size - inner)), strict=True)
    ]
    if not max(ends) <= TOLERANCE:
        raise ValueError(f"the dense output of {name} does not end at its solution; correct it")
    powers = list(zip(*dense, strict=True))  # the weights of theta, theta^2, ...
    for order in range(1, tableau.dense_order + 1):
        for tree in trees(order):
            phi = stage_weights(tree, a)
            for power, weights in enumerate(powers, 1):
                wanted = 1 / density(tree) if power == order else 0.0
                if not abs(dot(weights, phi) - wanted) <= TOLERANCE:
                    raise ValueError(
                        f"the dense output of {name} states order {tableau.dense_order} and has "
                        f"order {order - 1}; correct it"
                    )
