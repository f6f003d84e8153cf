"""Grids of cases, of which every run tries as many as show each pair of values together."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import combinations, product
from typing import Any

import pytest


def pairwise(*axes: Iterable[Any]) -> list[Any]:
    """All cases of a grid, for `pytest.mark.parametrize` over several names.

    Those that bring two values of two axes together for the first time run always, the others
    are `thorough`.
    """
    places = [[*enumerate(axis)] for axis in axes]
    met: set[tuple[tuple[int, int], ...]] = set()
    cases = {}
    longest = max(map(len, places))
    # Diagonals first: neighbours in the order of a product share most of their pairs.
    for case in sorted(product(*places), key=lambda case: sum(p for p, _ in case) % longest):
        pairs = {*combinations([(axis, place) for axis, (place, _) in enumerate(case)], 2)}
        first = not pairs <= met
        met |= pairs
        cases[tuple(place for place, _ in case)] = first, [value for _, value in case]
    return [
        pytest.param(*values, marks=() if first else pytest.mark.thorough)
        for _, (first, values) in sorted(cases.items())
    ]


def always(kept: Container[Any], cases: Iterable[Any]) -> list[Any]:
    """All cases, of which those in `kept` run always and the others are `thorough`.

    In `kept` stands a case, or the first value of one that has several.
    """
    values = [case if isinstance(case, tuple) else (case,) for case in cases]
    return [
        pytest.param(*case, marks=() if case[0] in kept else pytest.mark.thorough)
        for case in values
    ]


def by_turns(
    axis: Iterable[Any], others: Sequence[Any], kept: Container[Any] | None = None
) -> list[Any]:
    """All pairs of values of two axes that have nothing to do with each other.

    Each value of the first runs with one of the others, which take turns; the rest is `thorough`.
    So are, where `kept` is given, the values that are not in it.
    """
    return [
        pytest.param(
            value,
            other,
            marks=()
            if place == number % len(others) and (kept is None or value in kept)
            else pytest.mark.thorough,
        )
        for number, value in enumerate(axis)
        for place, other in enumerate(others)
    ]
