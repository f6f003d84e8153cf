"""Verdicts follow from exact tests over seeds."""

import itertools
from math import comb, nan

import pytest
from scipy.stats import mannwhitneyu

from node_experiments.reports.rank_test import UNDECIDED, compare, order_text, order_verdict


@pytest.mark.parametrize(("one", "other"), [(5, 5), (3, 5), (4, 4), (2, 6), (3, 3), (1, 1)])
def test_samples_apart_have_the_least_p(one, other):
    found = compare(range(one), range(100, 100 + other))
    assert found.p == pytest.approx(2 / comb(one + other, one) if one + other > 2 else 1.0)
    assert found.p == pytest.approx(found.smallest_p)
    assert found.verdict == ("lower" if found.p < 0.05 else UNDECIDED)


def test_p_is_that_of_scipy():
    values = [0.3, 1.7, 0.2, 2.5, 0.9, 1.1, 4.0, 0.7]
    for chosen in itertools.islice(itertools.combinations(values, 4), 20):
        others = [value for value in values if value not in chosen]
        expected = mannwhitneyu(chosen, others, method="exact").pvalue
        assert compare(chosen, others).p == pytest.approx(expected)


def test_equal_values_share_their_ranks():
    assert compare([1, 1, 1], [1, 1, 1]).p == 1
    # 1 1 | 1 2: half of the six ways to deal {1, 1, 1, 2} have the 2 on the same side.
    assert compare([1, 1], [1, 2]).p == 1


def test_seen_from_the_other_side():
    one, other = [1, 2, 3, 4, 6], [5, 7, 8, 9, 10]
    there, back = compare(one, other), compare(other, one)
    assert (there.verdict, back.verdict) == ("lower", "higher")
    assert there.p == pytest.approx(back.p)


def test_what_is_no_number_shows_nothing():
    assert compare([nan, 1, 2, 3, 4], [5, 6, 7, 8, 9]).verdict == UNDECIDED
    with pytest.raises(ValueError, match="a value of each"):
        compare([], [1])


def test_many_seeds():
    assert compare(range(30), range(100, 130)).p < 1e-6
    assert compare(range(0, 60, 2), range(1, 61, 2)).p > 0.5


def test_neighbours_are_told_apart_by_the_test_alone():
    four = {"a": [1, 1.01, 1.02, 1.03], "b": [1.04, 1.05, 1.06, 1.07]}
    assert order_text(four) == "a < b", "small, and sure"
    assert order_text({"a": [1, 2, 3, 4], "b": [2.5, 4.5, 5, 6]}) == "a ~ b"
    assert order_text({"a": [0.5], "b": [0.1], "c": [0.228]}) == "b, c, a", "one seed each"
    assert order_text({"a": [7, 8, 9], "b": [1, 2, 3]}) == "b, a", "three decide nothing"
    negative = {name: [-x for x in values] for name, values in four.items()}
    assert order_text(negative) == "b < a"


def test_the_direction_is_that_of_the_ranks():
    ours, theirs = [1, 1, 1, 5, 5, 5, 5], [5, 5, 5, 5, 9, 9, 9]
    found = compare(ours, theirs)
    assert found.ours == found.theirs == 5
    assert found.p < 0.05
    assert found.verdict == "lower"
    assert compare(theirs, ours).verdict == "higher"


def test_too_few_seeds_are_said_in_place_of_a_p():
    assert str(compare([1, 2, 3], [4, 5, 6])) == f"{UNDECIDED} (3 and 3 are too few)"
    assert str(compare([1, 2, 3, 4], [2, 3, 4, 5])).startswith(f"{UNDECIDED} (p = 0.")


def test_where_a_published_order_stands():
    sure = {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8], "c": [9, 10, 11, 12]}
    assert order_verdict(sure, "abc") == "holds"
    assert order_verdict(sure, "cba") == "does not hold"
    assert order_verdict(sure, "acb") == "holds in part (2 of 3 pairs; 1 are the other way round)"
    assert order_verdict({name: runs[:1] for name, runs in sure.items()}, "abc") == UNDECIDED
