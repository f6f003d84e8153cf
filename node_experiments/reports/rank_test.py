"""Which of two models has the lower error, by a test over their seeds.

>>> from node_experiments.reports.rank_test import compare
>>> compare([0.12, 0.10, 0.07, 0.40, 0.13], [0.060, 0.066, 0.063, 0.067, 0.062]).verdict
'higher'
>>> compare([0.1], [0.2]).verdict
'not decided by these seeds'
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["JOINED", "NOISE", "SURE", "UNDECIDED", "Comparison", "compare", "ordered", "standing"]

SURE = 0.05  # a difference is one below this probability
# Without enough seeds for a test, medians closer than this are joined: seeds of one setting differ
# by some 6 % (standard deviation) in the tables of irregular series.
NOISE = 0.10
UNDECIDED = "not decided by these seeds"

JOINED = (
    f"`~` joins neighbours within noise: a rank test over seeds (Mann & Whitney, p < {SURE:g}) "
    "does not tell them apart or, where there are too few seeds for it, their medians are within "
    f"{NOISE:.0%}. Whether an order holds follows from the test of each pair alone."
)


@dataclass(frozen=True)
class Comparison:
    """Errors of one model seen from another.

    Attributes:
        ours, theirs: Medians.
        p: Two-sided probability of ranks at least as far apart if both were alike.
        least: The smallest that so many seeds can give.
    """

    ours: float
    theirs: float
    p: float
    least: float

    @property
    def verdict(self) -> str:
        """Whether ours is `lower`, `higher`, or neither is shown."""
        if self.p >= SURE:
            return UNDECIDED
        return "lower" if self.ours < self.theirs else "higher"

    def __str__(self) -> str:
        """The verdict with its p; with the smallest possible one, where that is not enough."""
        p = f"p = {self.p:.2g}"
        if self.least >= SURE:
            p += ", the least that so few seeds can give" if self.p <= self.least else ""
        return f"{self.verdict} ({p})"


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """The exact test of Mann & Whitney 1947, one value per seed and model.

    Raises:
        ValueError: One of them has no value.
    """
    if not ours or not theirs:
        raise ValueError("a comparison needs a value of each model")
    count = math.comb(len(ours) + len(theirs), len(ours))
    if count > 200_000 or any(math.isnan(value) for value in (*ours, *theirs)):
        p = asymptotic(ours, theirs)
    else:
        p = exact(ours, theirs)
    least = min(1.0, 2 / count)
    return Comparison(statistics.median(ours), statistics.median(theirs), p, least)


def exact(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Over all ways to deal the ranks; equal values share theirs."""
    values = [*ours, *theirs]
    ranks = [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]
    middle = len(ours) * (len(values) + 1) / 2
    found = abs(sum(ranks[: len(ours)]) - middle)
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, len(ours))]
    return sum(abs(each - middle) >= found - 1e-9 for each in sums) / len(sums)


def asymptotic(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """SciPy's, for many seeds; 1 where a value is NaN: nothing is shown by it."""
    from scipy.stats import mannwhitneyu

    if any(math.isnan(value) for value in (*ours, *theirs)):
        return 1.0
    return float(mannwhitneyu(ours, theirs, method="asymptotic").pvalue)


def apart(ours: Sequence[float], theirs: Sequence[float]) -> bool:
    """Whether two neighbours of an order are told apart: by the test, or by a wide gap."""
    found = compare(ours, theirs)
    if found.least < SURE:
        return found.p < SURE
    low, high = sorted((found.ours, found.theirs))
    overlap = max(min(ours), min(theirs)) <= min(max(ours), max(theirs))
    return not overlap and high > (1 + NOISE) * low


def ordered(errors: Mapping[str, Sequence[float]]) -> str:
    """Names by rising median; `~` between neighbours that are not told apart.

    >>> ordered({"a": [1.0], "b": [3.0], "c": [1.05]})
    'a ~ c < b'
    """
    names = sorted(errors, key=lambda name: statistics.median(errors[name]))
    text = names[0] if names else ""
    for one, other in itertools.pairwise(names):
        text += f" {'<' if apart(errors[one], errors[other]) else '~'} {other}"
    return text


def standing(errors: Mapping[str, Sequence[float]], published: Sequence[str]) -> str:
    """Whether a published order of errors, lowest first, holds here by the test of each pair.

    >>> few = {"a": [1.0, 1.1, 1.2], "b": [2.0, 2.1, 2.2]}
    >>> standing(few, ["a", "b"])
    'not decided by these seeds'
    >>> standing({name: [*seeds, seeds[0] + 0.05] for name, seeds in few.items()}, ["b", "a"])
    'does not hold'
    """
    found = list(verdicts(errors, published))
    agree, against = found.count("lower"), found.count("higher")
    if agree == len(found):
        return "holds" if found else UNDECIDED
    if agree:
        return f"holds in part ({agree} of {len(found)} pairs; {against} are the other way round)"
    return "does not hold" if against else UNDECIDED


def verdicts(errors: Mapping[str, Sequence[float]], published: Sequence[str]) -> Iterator[str]:
    """Of each pair in its published order."""
    for better, worse in itertools.combinations(published, 2):
        yield compare(errors[better], errors[worse]).verdict
