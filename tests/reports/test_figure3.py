"""The verdicts on Figure 3 follow the numbers: others turn each of them over."""

import copy

import pytest

from node_experiments.reports.figure3 import verdicts

MEASURED = {
    "tolerances": [1e-1, 1e-2, 1e-3],
    "forward": {
        "dopri5": {
            "evaluations": [10, 20, 40],
            "seconds": [0.1, 0.2, 0.4],
            "error": [1e-2, 1e-3, 1e-4],
            "error_in_tolerances": [0.1, 0.1, 0.1],
        },
    },
    "backward": {"scipy_vode_adams": {"forward": [10, 20, 40], "backward": [5, 10, 20]}},
    "epochs": [{"epoch": 1, "forward": 20.0}, {"epoch": 2, "forward": 26.0}],
}


def told(**changed):
    """The verdicts when some numbers are others; keys are paths, with __ between the parts."""
    measured = copy.deepcopy(MEASURED)
    for path, value in changed.items():
        *parents, last = path.split("__")
        node = measured
        for part in parents:
            node = node[part]
        node[last] = value
    return verdicts(measured)


def test_more_evaluations_with_a_larger_error_are_told_where_others_are_smaller():
    """Of two solves with as many evaluations, the better one does not hide the worse."""
    (a, *_) = told(
        tolerances=[1e-1, 1e-2, 1e-3],
        forward__dopri5__evaluations=[14, 20, 20],
        forward__dopri5__error=[5.8e-4, 9.0e-4, 2.7e-4],
    )
    assert "holds in part" in a
    assert "with exceptions (dopri5 from 1e-01 to 1e-02)" in a


def test_everything_holds():
    a, b, c, d = told()
    assert a.startswith("**(a) The error is controlled: holds.**")
    assert "from 1e-02 with 10 to 1e-04 with 40 (within tolerance)" in a
    assert b.startswith("**(b) Time is proportional to evaluations: holds.**")
    assert "dopri5 1.00 (10 ms an evaluation)" in b
    assert c.startswith("**(c) Half as many evaluations backward as forward: holds.**")
    assert "SciPy's Adams 0.50 (0.50 to 0.50), holds" in c
    assert d == (
        "**(d) Evaluations grow while the network trains: holds.** 20.0 a solve in epoch 1, 26.0 "
        "in epoch 2; most in epoch 2 (26.0)."
    )


@pytest.mark.parametrize(
    ("panel", "changed", "says"),
    [
        (0, {"forward__dopri5__error": [1e-2, 1e-3, 2e-3]}, "controlled: holds in part"),
        (0, {"forward__dopri5__error": [1e-2, 1e-2, 1e-2]}, "controlled: holds in part"),
        (0, {"forward__dopri5__error": [1e-4, 2e-4, 1e-5]}, "(dopri5 from 1e-01 to 1e-02)"),
        (0, {"forward__dopri5__error_in_tolerances": [0.1, 1, 7]}, "up to 7 times 1e-03"),
        (1, {"forward__dopri5__seconds": [0.1, 0.1, 0.1]}, "evaluations: does not hold"),
        (1, {"forward__dopri5__seconds": [0.1, 0.4, 1.6]}, "evaluations: does not hold"),
        (2, {"backward__scipy_vode_adams__backward": [10, 20, 40]}, "forward: does not hold"),
        (
            2,
            {"backward__dopri5": {"forward": [10, 20, 40], "backward": [10, 20, 90]}},
            "forward: holds in part",
        ),
        (3, {"epochs": [{"epoch": 1, "forward": 20}, {"epoch": 2, "forward": 20}]}, "not show"),
        (3, {"epochs": [{"epoch": 1, "forward": 20}, {"epoch": 2, "forward": 14}]}, "not hold"),
        (3, {"epochs": []}, "left no metrics.jsonl"),
        (3, {"epochs": [{"epoch": 1, "forward": 20}]}, "of one epoch"),
    ],
)
def test_other_numbers_say_otherwise(panel, changed, says):
    assert says in told(**changed)[panel]
    for other in {0, 1, 2, 3} - {panel}:
        assert told(**changed)[other] == told()[other]
