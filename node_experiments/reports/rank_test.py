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

__all__ = ["JOINED", "SURE", "UNDECIDED", "Comparison", "compare", "ordered", "standing"]

SURE = 0.05  # a difference is one below this probability
UNDECIDED = "not decided by these seeds"

JOINED = (
    f"`<` stands between neighbours that a rank test over seeds (Mann & Whitney, p < {SURE:g}) "
    "tells apart, `~` where it does not, and a comma where there are too few seeds for it. "
    "Whether an order holds follows from the test of each pair alone."
)


@dataclass(frozen=True)
class Comparison:
    """Errors of one model seen from another.

    Attributes:
        ours, theirs: Medians.
        seeds: Numbers of values of both.
        shift: Mean rank of ours less that of theirs; negative where ours tend to be lower.
        p: Two-sided probability of ranks at least as far apart if both were alike.
    """

    ours: float
    theirs: float
    seeds: tuple[int, int]
    shift: float
    p: float

    @property
    def least(self) -> float:
        """The smallest p that so many seeds can give."""
        return min(1.0, 2 / math.comb(sum(self.seeds), self.seeds[0]))

    @property
    def verdict(self) -> str:
        """Whether ours is `lower`, `higher`, or neither is shown."""
        if self.p >= SURE:
            return UNDECIDED
        return "lower" if self.shift < 0 else "higher"

    def __str__(self) -> str:
        """The verdict with its p, or that there are too few seeds for one.

        >>> print(compare([1.0, 1.1, 1.2], [2.0, 2.1, 2.2]))
        not decided by these seeds (3 and 3 are too few)
        """
        ours, theirs = self.seeds
        few = f"{ours} and {theirs} are too few"
        return f"{self.verdict} ({f'p = {self.p:.2g}' if self.least < SURE else few})"


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """The exact test of Mann & Whitney 1947, one value per seed and model.

    Raises:
        ValueError: One of them has no value.
    """
    if not ours or not theirs:
        raise ValueError("a comparison needs a value of each model")
    ranks = ranked([*ours, *theirs])
    count = math.comb(len(ranks), len(ours))
    if count > 200_000 or any(math.isnan(value) for value in (*ours, *theirs)):
        p = asymptotic(ours, theirs)
    else:
        p = exact(ranks, len(ours))
    medians = statistics.median(ours), statistics.median(theirs)
    shift = statistics.fmean(ranks[: len(ours)]) - statistics.fmean(ranks[len(ours) :])
    return Comparison(*medians, (len(ours), len(theirs)), shift, p)


def ranked(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def exact(ranks: Sequence[float], count: int) -> float:
    """Two-sided p of the first `count` ranks, over all ways to deal them."""
    middle = count * (len(ranks) + 1) / 2
    found = abs(sum(ranks[:count]) - middle)
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, count)]
    return sum(abs(each - middle) >= found - 1e-9 for each in sums) / len(sums)


def asymptotic(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """SciPy's, for many seeds; 1 where a value is NaN: nothing is shown by it."""
    from scipy.stats import mannwhitneyu

    if any(math.isnan(value) for value in (*ours, *theirs)):
        return 1.0
    return float(mannwhitneyu(ours, theirs, method="asymptotic").pvalue)


def ordered(errors: Mapping[str, Sequence[float]]) -> str:
    """Names by rising median, and between neighbours whether the test tells them apart.

    >>> ordered({"a": [1.0, 1.1, 1.2, 1.3], "b": [2.0, 2.1, 2.2, 2.3], "c": [3.0]})
    'a < b, c'
    """
    names = sorted(errors, key=lambda name: statistics.median(errors[name]))
    text = names[0] if names else ""
    for one, other in itertools.pairwise(names):
        found = compare(errors[one], errors[other])
        sign = " <" if found.p < SURE else " ~"
        text += f"{sign if found.least < SURE else ','} {other}"
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
