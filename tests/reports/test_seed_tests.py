"""Tests over seeds, folds and many cells, beside SciPy's and closed forms."""

import pytest
from scipy.stats import t, ttest_rel

from node_experiments.reports.seed_tests import (
    cross_validation_p,
    describe_comparison,
    holm,
    paired_p,
)

OURS, THEIRS = [1.0, 1.3, 1.1, 0.9, 1.2], [1.2, 1.25, 1.4, 1.3, 1.3]


def test_pairs_are_those_of_scipy():
    assert paired_p(OURS, THEIRS) == pytest.approx(ttest_rel(OURS, THEIRS).pvalue)


def test_folds_share_what_they_trained_on():
    # t shrinks by sqrt(1 + k / (k - 1)), for the k - 1 other folds are trained on.
    k = len(OURS)
    alone = ttest_rel(OURS, THEIRS).statistic
    expected = 2 * t.sf(abs(alone) / (1 + k / (k - 1)) ** 0.5, k - 1)
    assert cross_validation_p(OURS, THEIRS) == pytest.approx(expected)
    assert cross_validation_p(OURS, THEIRS) > paired_p(OURS, THEIRS)


@pytest.mark.parametrize("test", [paired_p, cross_validation_p])
def test_differences_that_do_not_vary_are_not_tested(test):
    """One pair, the same runs twice, or a run copied: no p follows from them."""
    for ours, theirs in (([], []), ([1.0], [2.0]), ([1.0, 2.0], [1.0, 2.0])):
        assert test(ours, theirs) is None
    assert test([1.0, 1.0], [2.0, 2.0]) is None
    words = describe_comparison([1.0, 1.0], [2.0, 2.0], "the rule", test=test)
    assert words == "not tested against the rule (lower in 2 of 2 seeds)"


def test_many_cells_are_corrected_step_by_step():
    # Holm 1979: the smallest p times m, the next times m - 1, and never falling.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
