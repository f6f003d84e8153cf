"""Rank test over seeds of which of two models has the lower error.

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

__all__ = [
    "ORDER_LEGEND",
    "SIGNIFICANCE_LEVEL",
    "UNDECIDED",
    "Comparison",
    "compare",
    "order_text",
    "order_verdict",
]

SIGNIFICANCE_LEVEL = 0.05  # a difference is significant if p is below this
UNDECIDED = "not decided by these seeds"

ORDER_LEGEND = (
    "`<` stands between neighbours that a rank test over seeds (Mann & Whitney, p < "
    f"{SIGNIFICANCE_LEVEL:g}) tells apart, `~` where it does not, and a comma where there are too "
    "few seeds for it. Whether an order holds follows from the test of each pair alone, not "
    "corrected for the number of pairs."
)


@dataclass(frozen=True)
class Comparison:
    """Comparison of the errors of two models.

    Attributes:
        ours, theirs: Medians.
        seeds: Number of values of each model.
        shift: Mean rank of ours minus that of theirs; negative if ours tend to be lower.
        p: Two-sided probability of ranks at least as far apart if both models were alike.
    """

    ours: float
    theirs: float
    seeds: tuple[int, int]
    shift: float
    p: float

    @property
    def smallest_p(self) -> float:
        """The smallest p that this number of seeds can give."""
        return min(1.0, 2 / math.comb(sum(self.seeds), self.seeds[0]))

    @property
    def verdict(self) -> str:
        """`lower` or `higher` if the test shows that ours is, else `UNDECIDED`."""
        if self.p >= SIGNIFICANCE_LEVEL:
            return UNDECIDED
        return "lower" if self.shift < 0 else "higher"

    def __str__(self) -> str:
        """The verdict with its p, or that there are too few seeds for one.

        >>> print(compare([1.0, 1.1, 1.2], [2.0, 2.1, 2.2]))
        not decided by these seeds (3 and 3 are too few)
        """
        ours, theirs = self.seeds
        can_decide = self.smallest_p < SIGNIFICANCE_LEVEL
        detail = f"p = {self.p:.2g}" if can_decide else f"{ours} and {theirs} are too few"
        return f"{self.verdict} ({detail})"


def compare(ours: Sequence[float], theirs: Sequence[float]) -> Comparison:
    """Test of Mann & Whitney 1947, exact for few seeds, with one value per seed and model.

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
    """Ranks from 1; equal values have their mean rank."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def exact(ranks: Sequence[float], count: int) -> float:
    """Two-sided p of the sum of the first `count` ranks, over all ways to choose that many."""
    middle = count * (len(ranks) + 1) / 2
    found = abs(sum(ranks[:count]) - middle)
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, count)]
    return sum(abs(each - middle) >= found - 1e-9 for each in sums) / len(sums)


def asymptotic(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """SciPy's asymptotic p, for many seeds; 1 if a value is NaN, which shows nothing."""
    from scipy.stats import mannwhitneyu

    if any(math.isnan(value) for value in (*ours, *theirs)):
        return 1.0
    return float(mannwhitneyu(ours, theirs, method="asymptotic").pvalue)


def order_text(errors: Mapping[str, Sequence[float]]) -> str:
    """Names by rising median, with signs that say whether the test tells neighbours apart.

    >>> order_text({"a": [1.0, 1.1, 1.2, 1.3], "b": [2.0, 2.1, 2.2, 2.3], "c": [3.0]})
    'a < b, c'
    """
    names = sorted(errors, key=lambda name: statistics.median(errors[name]))
    text = names[0] if names else ""
    for one, other in itertools.pairwise(names):
        found = compare(errors[one], errors[other])
        sign = " <" if found.p < SIGNIFICANCE_LEVEL else " ~"
        text += f"{sign if found.smallest_p < SIGNIFICANCE_LEVEL else ','} {other}"
    return text


def order_verdict(errors: Mapping[str, Sequence[float]], published: Sequence[str]) -> str:
    """Verdict on a published order of errors, lowest first, by the test of each pair.

    >>> few = {"a": [1.0, 1.1, 1.2], "b": [2.0, 2.1, 2.2]}
    >>> order_verdict(few, ["a", "b"])
    'not decided by these seeds'
    >>> order_verdict({name: [*seeds, seeds[0] + 0.05] for name, seeds in few.items()}, ["b", "a"])
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
    """Yield the verdict on each pair, in the published order."""
    for better, worse in itertools.combinations(published, 2):
        yield compare(errors[better], errors[worse]).verdict
