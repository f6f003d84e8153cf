"""Whether one error is below another, by a test over seeds or folds."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["LEVEL", "against", "paired_p", "welch_p"]

LEVEL = 0.05


def paired_p(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Two-sided p of Student's paired t-test; None from fewer than two pairs.

    >>> paired_p([1.0], [2.0])
    >>> round(paired_p([1.0, 1.2, 1.1], [2.0, 2.1, 2.2]), 4)
    0.0033
    """
    if len(ours) < 2:
        return None
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    if len(set(differences)) == 1:
        return 0.0 if differences[0] else 1.0
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(differences, 0.0).pvalue)


def welch_p(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Two-sided p of Welch's t-test, for samples that are not paired and vary unequally.

    >>> round(welch_p([1.0, 1.2, 1.1], [2.0, 2.4, 2.2]), 4)
    0.0037
    """
    from scipy.stats import ttest_ind

    return float(ttest_ind(ours, theirs, equal_var=False).pvalue)


def against(ours: Sequence[float], theirs: Sequence[float], what: str, of: str = "seeds") -> str:
    """How our errors compare with others, pair by pair, in plain words.

    >>> against([1.0, 1.2, 1.1], [2.0, 2.1, 2.2], "persistence")
    'better than persistence (lower in 3 of 3 seeds, p = 0.0033)'
    >>> against([2.0], [1.0], "persistence")
    'not tested against persistence: one run'

    Args:
        ours, theirs: Errors, of which lower is better.
        what: What the others are of.
        of: What tells the pairs apart.
    """
    p = paired_p(ours, theirs)
    if p is None:
        return f"not tested against {what}: one run"
    lower = sum(a < b for a, b in zip(ours, theirs, strict=True))
    found = f"lower in {lower} of {len(ours)} {of}, p = {p:.2g}"
    if p >= LEVEL:
        return f"not told apart from {what} ({found})"
    word = "better" if sum(ours) < sum(theirs) else "worse"
    return f"{word} than {what} ({found})"
