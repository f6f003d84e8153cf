"""The sentences by which tables say whether a claim holds: one wording for each comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..runs.result import LAST
from .rank_test import ordered, standing

__all__ = [
    "epoch_sentence",
    "held",
    "in_brackets",
    "order_verdict",
]


def epoch_sentence(runs: Iterable[Mapping[str, Any]]) -> str:
    """Which epoch the numbers of these runs are of; empty where all are evaluations.

    The epoch is chosen in `runs.result.Findings.reported`.
    """
    chosen = {run["epoch_chosen_by"] for run in runs if run.get("epoch_chosen_by")}
    if not chosen:
        return ""
    if chosen == {LAST}:
        return "Numbers are of the last epoch; there is no validation data."
    if LAST not in chosen:
        return "Numbers are of the best epoch on validation data."
    return "Numbers are of the best epoch on validation data, or of the last where there is none."


def held(count: int, total: int) -> str:
    """How far a claim held that did so in `count` of `total` cases."""
    if count == total:
        return "holds"
    return "holds in part" if count else "does not hold"


def in_brackets(names: Sequence[str]) -> str:
    """Names in brackets, or nothing."""
    return f" ({'; '.join(names)})" if names else ""


def order_verdict(
    where: str, errors: Mapping[str, Sequence[float]], published: Sequence[str]
) -> str:
    """Names from the lowest error to the highest, and whether the published order holds.

    Args:
        errors: By name, one value per seed.
        published: The names, lowest error first.
    """
    theirs = " < ".join(published)
    return (
        f"{where}, from the lowest median error to the highest: {ordered(errors)}; published: "
        f"{theirs}. That order: {standing(errors, published)}."
    )
