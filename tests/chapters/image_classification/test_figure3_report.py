"""The verdicts on Figure 3 follow the numbers: others turn each of them over."""

import copy
import json
import math

import pytest
import yaml

from node_experiments.chapters.image_classification.figure3_report import figure3, panels
from node_experiments.chapters.image_classification.figure3_verdicts import verdicts
from node_experiments.cli.report import main
from node_experiments.runs import load_runs
from tests.written import markdown

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
    assert "from 1e-02 with 10 evaluations to 1e-04 with 40" in a
    assert "to the power 1.00, at most 0.1 tolerances" in a
    assert "never rises and is within 10 tolerances" in a
    assert "Criterion: a power from 0.85 to 1.15." in b
    assert "a median from 0.35 to 0.65." in c
    assert b.startswith("**(b) Time is proportional to evaluations: holds.**")
    assert "dopri5 1.00 (10 ms per evaluation)" in b
    assert c.startswith("**(c) Half as many evaluations backward as forward: holds.**")
    assert "SciPy's Adams 0.50 (0.50 to 0.50), holds" in c
    assert d == (
        "**(d) Evaluations grow while the network trains: holds.** 20.0 per solve in epoch 1, "
        "26.0 in epoch 2; most in epoch 2 (26.0). Criterion: growth of more than 5%."
    )


def test_a_rising_error_with_as_many_evaluations_is_named():
    (a, *_) = told(
        forward__dopri5__evaluations=[20, 20, 40], forward__dopri5__error=[1e-3, 2e-3, 1e-4]
    )
    assert "holds in part" in a
    assert "dopri5 from 1e-01 to 1e-02 with no more evaluations" in a


PANELS = {0: "error is controlled", 1: "Time", 2: "Half as many", 3: "Evaluations grow"}


@pytest.mark.parametrize(
    ("changed", "unknown"),
    [
        ({"forward__dopri5__evaluations": [20, 20, 20]}, {1}),
        ({"forward__dopri5__seconds": [0.0, 0.0, 0.0]}, {1}),
        ({"backward__scipy_vode_adams__forward": [0, 0, 0]}, {2}),
        ({"forward": None}, {0, 1}),
        ({"forward__dopri5": {}}, {0, 1}),
        ({"backward": None}, {2}),
        ({"epochs": None}, {3}),
        ({"epochs": [{"epoch": 1, "forward": 0}, {"epoch": 2, "forward": 20}]}, {3}),
        ({"tolerances": None}, {0}),
    ],
)
def test_what_is_missing_is_not_known(changed, unknown):
    says = told(**changed)
    assert {panel for panel in PANELS if ": not known.**" in says[panel]} == unknown


def write(folder, measured, **config):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"mode": "figure3", **config}))
    (folder / "result.json").write_text('{"status": "completed", "name": "net"}')
    (folder / "figure3.json").write_text(json.dumps(measured))


def test_a_file_that_lacks_everything(tmp_path, capsys):
    write(tmp_path / "run", {"images": 3})
    report = markdown(figure3, tmp_path)
    assert report.count("not known") == 6
    assert main(["figure", "figure3", str(tmp_path)]) == 2
    assert "lacks numbers" in capsys.readouterr().err


def test_two_trainings_of_one_network_are_told_apart(tmp_path):
    """Both are `mnist_odenet` with seed 0 in the committed runs."""
    trained = {
        "name": "net", "seed": 0, "protocol": "quick", "solver": {"method": "rk4", "rtol": 0.1},
    }  # fmt: skip
    what = {"reference": {"method": "vern7", "tolerance": 1e-9}, "reference_error": 1e-8}
    how = {"clock": "cpu", "threads": 1, "images": 3, "precision": "float64", "repetitions": 3}
    measured = {**MEASURED, **what, **how, "trained": trained}
    for name, epochs, size in (("long", 60, 12_000), ("short", 10, None)):
        dataset = {"name": "mnist", "train_size": size}
        write(tmp_path / name, measured, dataset=dataset, trainer={"epochs": epochs})
    report = markdown(figure3, tmp_path)
    assert "with rk4 at 0.1 for 60 epochs of 12,000 images; 3 test images of mnist" in report
    assert "with rk4 at 0.1 for 10 epochs; 3 test images of mnist" in report


def test_the_last_of_two_runs_is_drawn(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "node_experiments.chapters.image_classification.figure3_draw.block_solves_figure",
        lambda measured, title: drawn.append(title),
    )
    for name in ("first", "last"):
        write(tmp_path / name, {"trained": {"name": name}})
    panels(load_runs(tmp_path), "")
    assert drawn == ["last"]


def test_figure3_is_no_row_of_a_table(tmp_path, capsys):
    write(tmp_path / "outputs" / "figure3" / "one", MEASURED)
    ask = ["--outputs", str(tmp_path / "outputs"), "table", "net", "--format", "md"]
    assert main(ask) == 2
    assert "node-report figure3" in capsys.readouterr().err
    write(tmp_path / "outputs" / "net" / "two", {}, **{"mode": "train"})
    assert main(ask) == 0
    assert "| 1 |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("panel", "changed", "says"),
    [
        (0, {"forward__dopri5__error": [1e-2, 1e-3, 2e-3]}, "controlled: holds in part"),
        (0, {"forward__dopri5__error": [1e-2, 1e-2, 1e-2]}, "controlled: does not hold"),
        (0, {"forward__dopri5__error": [1e-4, 2e-4, 1e-5]}, "(dopri5 from 1e-01 to 1e-02)"),
        (
            0,
            {"forward__dopri5__error_in_tolerances": [0.1, 7, 1]},
            "at most 7 tolerances (at 1e-02)",
        ),
        (0, {"forward__dopri5__error_in_tolerances": [0.1, 11, 1]}, "controlled: holds in part"),
        (0, {"forward__dopri5__error": [1e-2, math.nan, 1e-4]}, "controlled: not known"),
        (0, {"forward__dopri5__error": [1e-2, None, 1e-4]}, "controlled: not known"),
        (0, {"forward__dopri5__error": [1e-4, 1e-3, 1e-2]}, "controlled: does not hold"),
        (0, {"reference_error": 2e-5}, "reference's: dopri5 at 1e-03"),
        (0, {"reference_error": 1.0}, "controlled: not known"),
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
