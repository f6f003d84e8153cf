"""Tests, over seeds or folds, of whether one error is below another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, variance

from .rank_test import SIGNIFICANCE_LEVEL

__all__ = [
    "comparison",
    "cross_validation_p",
    "describe_comparison",
    "holm",
    "paired_p",
    "welch_p",
]


def paired_p(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Two-sided p of Student's paired t-test; None if the differences do not vary.

    >>> paired_p([1.0], [2.0])
    >>> round(paired_p([1.0, 1.2, 1.1], [2.0, 2.1, 2.2]), 4)
    0.0033
    """
    return paired(ours, theirs, shared=0.0)


def cross_validation_p(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The same over the folds of a cross-validation, whose training sets overlap.

    The variance of the mean of k differences is that of one difference times 1/k + 1/(k - 1), of
    which 1/(k - 1) is the ratio of test to training samples (Nadeau & Bengio 2003, equation 9).
    Without that term the test would find too many differences.

    >>> round(cross_validation_p([1.0, 1.2, 1.1], [2.0, 2.1, 2.2]), 4)
    0.0082
    """
    return paired(ours, theirs, shared=1 / (len(ours) - 1) if len(ours) > 1 else 0.0)


def paired(ours: Sequence[float], theirs: Sequence[float], shared: float) -> float | None:
    """Two-sided p of a paired t-test of samples that have data in common.

    Args:
        shared: What the common data add to the variance of the mean, in units of the variance of
            one difference.
    """
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    if len(set(differences)) < 2:
        return None
    from scipy.stats import t

    count = len(differences)
    error = (variance(differences) * (1 / count + shared)) ** 0.5
    return float(2 * t.sf(abs(fmean(differences)) / error, count - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values, corrected for multiple testing (Holm 1979).

    >>> holm([0.01, 0.5, 0.02])
    [0.03, 0.5, 0.04]
    """
    corrected, least = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = least
    return corrected


def welch_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided p of Welch's t-test, for unpaired samples with unequal variances.

    >>> round(welch_p([1.0, 1.2, 1.1], [2.0, 2.4, 2.2]), 4)
    0.0037
    """
    from scipy.stats import ttest_ind

    return float(ttest_ind(ours, theirs, equal_var=False).pvalue)


def describe_comparison(
    ours: Sequence[float],
    theirs: Sequence[float],
    what: str,
    of: str = "seeds",
    test: Callable[[Sequence[float], Sequence[float]], float | None] = paired_p,
) -> str:
    """Description of how our errors compare with others, pair by pair, in plain words.

    >>> describe_comparison([1.0, 1.2, 1.1], [2.0, 2.1, 2.2], "persistence")
    'better than persistence (lower in 3 of 3 seeds, p = 0.0033)'
    >>> describe_comparison([2.0], [1.0], "persistence")
    'not tested against persistence (lower in 0 of 1 seeds)'

    Args:
        ours, theirs: Errors, of which lower is better.
        what: Name of the method with the other errors.
        of: Plural noun for the pairs.
        test: Returns p, or None if it cannot be computed.
    """
    verdict, evidence = comparison(ours, theirs, of, test)
    links = {"not tested": "against", "not told apart": "from"}
    return f"{verdict} {links.get(verdict, 'than')} {what} ({evidence})"


def comparison(
    ours: Sequence[float],
    theirs: Sequence[float],
    of: str = "seeds",
    test: Callable[[Sequence[float], Sequence[float]], float | None] = paired_p,
) -> tuple[str, str]:
    """The verdict and the evidence of `describe_comparison`.

    >>> comparison([1.0, 1.2, 1.1], [2.0, 2.1, 2.2])
    ('better', 'lower in 3 of 3 seeds, p = 0.0033')
    """
    p = test(ours, theirs)
    lower = sum(a < b for a, b in zip(ours, theirs, strict=True))
    evidence = f"lower in {lower} of {len(ours)} {of}"
    if p is None:
        return "not tested", evidence
    evidence += f", p = {p:.2g}"
    if p >= SIGNIFICANCE_LEVEL:
        return "not told apart", evidence
    return ("better" if sum(ours) < sum(theirs) else "worse"), evidence
