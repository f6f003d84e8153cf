"""The sentences by which tables say whether a claim holds: one wording for each comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..runs.result import LAST
from .table import Estimate

__all__ = [
    "epoch_sentence",
    "held",
    "in_brackets",
    "interval_verdict",
    "order_verdict",
    "within_two_errors",
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


def interval_verdict(ours: Estimate, theirs: Estimate, what: str) -> str:
    """Where our interval of mean ± standard deviation is, seen from another.

    >>> interval_verdict(Estimate(1.0, 0.1, 3), Estimate(2.0, None, 1), "the paper's 2.0")
    "below the paper's 2.0"
    """
    (low, high), (lower, higher) = ours.interval, theirs.interval
    place = "below" if high < lower else "above" if low > higher else "within the spread of"
    return f"{place} {what}"


def within_two_errors(difference: float, one: Estimate, other: Estimate) -> bool:
    """Whether a difference of means is less than two standard errors, of both together."""
    return abs(difference) < 2 * (one.error**2 + other.error**2) ** 0.5


def order_verdict(where: str, found: Sequence[str], published: Sequence[str]) -> str:
    """Names from the lowest error to the highest, and whether that is the published order."""
    order = " < ".join(found)
    same = list(found) == list(published)
    says = ", as published." if same else f"; published: {' < '.join(published)}."
    return f"{where}, from the lowest error to the highest: {order}{says}"
