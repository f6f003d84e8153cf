"""Whether one error is below another, by a test over seeds or folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, variance

__all__ = ["LEVEL", "against", "cross_validation_p", "holm", "paired_p", "welch_p"]

LEVEL = 0.05


def paired_p(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Two-sided p of Student's paired t-test; None from differences that do not vary.

    >>> paired_p([1.0], [2.0])
    >>> round(paired_p([1.0, 1.2, 1.1], [2.0, 2.1, 2.2]), 4)
    0.0033
    """
    return paired(ours, theirs, shared=0.0)


def cross_validation_p(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """The same over the folds of a cross-validation, whose training sets overlap.

    The variance of the mean of k differences is that of one times 1/k + 1/(k - 1), the fraction of
    tested to trained samples (Nadeau & Bengio 2003, equation 9): without it too many differences
    would be seen.

    >>> round(cross_validation_p([1.0, 1.2, 1.1], [2.0, 2.1, 2.2]), 4)
    0.0082
    """
    return paired(ours, theirs, shared=1 / (len(ours) - 1) if len(ours) > 1 else 0.0)


def paired(ours: Sequence[float], theirs: Sequence[float], shared: float) -> float | None:
    """Two-sided p of a paired t-test of samples that have data in common.

    Args:
        shared: What that adds to the variance of the mean, in variances of one difference.
    """
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    if len(set(differences)) < 2:
        return None
    from scipy.stats import t

    count = len(differences)
    error = (variance(differences) * (1 / count + shared)) ** 0.5
    return float(2 * t.sf(abs(fmean(differences)) / error, count - 1))


def holm(ps: Sequence[float]) -> list[float]:
    """Each p after the correction for that many tests (Holm 1979).

    >>> holm([0.01, 0.5, 0.02])
    [0.03, 0.5, 0.04]
    """
    corrected, least = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        least = max(least, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = least
    return corrected


def welch_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided p of Welch's t-test, for samples that are not paired and vary unequally.

    >>> round(welch_p([1.0, 1.2, 1.1], [2.0, 2.4, 2.2]), 4)
    0.0037
    """
    from scipy.stats import ttest_ind

    return float(ttest_ind(ours, theirs, equal_var=False).pvalue)


def against(
    ours: Sequence[float],
    theirs: Sequence[float],
    what: str,
    of: str = "seeds",
    test: Callable[[Sequence[float], Sequence[float]], float | None] = paired_p,
) -> str:
    """How our errors compare with others, pair by pair, in plain words.

    >>> against([1.0, 1.2, 1.1], [2.0, 2.1, 2.2], "persistence")
    'better than persistence (lower in 3 of 3 seeds, p = 0.0033)'
    >>> against([2.0], [1.0], "persistence")
    'not tested against persistence (lower in 0 of 1 seeds)'

    Args:
        ours, theirs: Errors, of which lower is better.
        what: What the others are of.
        of: What tells the pairs apart.
        test: What gives p, or None where it cannot.
    """
    p = test(ours, theirs)
    lower = sum(a < b for a, b in zip(ours, theirs, strict=True))
    found = f"lower in {lower} of {len(ours)} {of}"
    if p is None:
        return f"not tested against {what} ({found})"
    found += f", p = {p:.2g}"
    if p >= LEVEL:
        return f"not told apart from {what} ({found})"
    word = "better" if sum(ours) < sum(theirs) else "worse"
    return f"{word} than {what} ({found})"
