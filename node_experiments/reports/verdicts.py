"""Sentences in which tables say whether a claim holds, with one wording per comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..runs.result import LAST
from .rank_test import order_text, order_verdict

__all__ = [
    "claim_verdict",
    "epoch_sentence",
    "in_brackets",
    "order_sentence",
]


def epoch_sentence(runs: Iterable[Mapping[str, Any]]) -> str:
    """Sentence on the epoch of the numbers of these runs; empty if all are evaluations.

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


def claim_verdict(count: int, total: int) -> str:
    """Verdict on a claim that held in `count` of `total` cases."""
    if count == total:
        return "holds"
    return "holds in part" if count else "does not hold"


def in_brackets(names: Sequence[str]) -> str:
    """Names in brackets, or an empty text if there are none."""
    return f" ({'; '.join(names)})" if names else ""


def order_sentence(
    where: str, errors: Mapping[str, Sequence[float]], published: Sequence[str]
) -> str:
    """Sentence with the names by rising error, and whether the published order holds.

    Args:
        errors: By name, one value per seed.
        published: The names, lowest error first.
    """
    theirs = " < ".join(published)
    return (
        f"{where}, from the lowest median error to the highest: {order_text(errors)}; published: "
        f"{theirs}. That order: {order_verdict(errors, published)}."
    )
