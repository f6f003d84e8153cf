"""result.json: what is written is read, old files load, odd ones are told apart in one line."""

import json
import math
from pathlib import Path

import pytest

from node_experiments.runs import RunResult
from node_experiments.runs.result import (
    VERSION,
    Best,
    Evaluations,
    Findings,
    Hardware,
    Memory,
    Origin,
    ResultError,
    Seconds,
    read_result,
    write_result,
)

REFERENCE = Path(__file__).parent.parent.parent / "outputs" / "reference"
TAG = "accuracy/validation"

RESULT = RunResult(
    "completed",
    name="net",
    mode="train",
    choices={"model": "mlp", "experiment": None},
    seed=3,
    protocol="quick",
    config_hash="ab",
    found=Findings(
        metrics={"epoch": 4, "accuracy/test": 0.5, "loss/test": math.inf},
        best=Best(TAG, {"epoch": 2, TAG: 0.75, "accuracy/test": 0.7}),
        objective=0.75,
        parameters=12,
        metric="accuracy",
        nfe=Evaluations(8.0, None),
        memory=Memory(100, 200),
        trained=Origin("other", 1, "quick", "cd", "adjoint", {"method": "rk4", "num_steps": None}),
        solver_order=4,
    ),
    hardware=Hardware("a processor", "cpu", 2),
    seconds=Seconds(12.5, 0.1),
)


def test_what_is_written_is_read(tmp_path):
    write_result(tmp_path, RESULT)
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["version"] == VERSION
    assert content["best"] == {"by": TAG, "epoch": 2, TAG: 0.75, "accuracy/test": 0.7}
    assert content["metrics"]["loss/test"] is None, "JSON has no infinity"
    read = read_result(tmp_path)
    assert math.isnan(read.found.metrics.pop("loss/test"))
    assert read.found.metrics.pop("epoch") == 4
    assert read.found.metrics == {"accuracy/test": 0.5}
    read.found.metrics = RESULT.found.metrics
    assert read == RESULT
    assert read_result(tmp_path / "nowhere") is None


def test_every_committed_result_loads_and_keeps_its_content():
    """Also those that were written before there was a version."""
    paths = sorted(REFERENCE.rglob("result.json"))
    assert len(paths) > 280
    for path in paths:
        before = json.loads(path.read_text())
        assert before.pop("version", VERSION) == VERSION
        after = RunResult.from_json(before).to_json()
        assert after.pop("version") == VERSION
        # An evaluation noted the peak of the memory alone.
        before["memory"] = {"saved_bytes": None, "peak_bytes": None, **before.get("memory", {})}
        after.setdefault("memory", {"saved_bytes": None, "peak_bytes": None})
        assert after == before, path


def test_a_result_stands_for_its_best_validation_epoch_else_the_last():
    found = RESULT.found
    assert found.reported["accuracy/test"] == 0.7
    assert found.epoch_chosen_by == TAG
    assert found.epoch_phrase() == "at the best validation epoch (2 of 4)"
    last = Findings(metrics={"epoch": 4, "accuracy/test": 0.5})
    assert last.reported["accuracy/test"] == 0.5
    assert last.epoch_phrase() == "at the last epoch (4 of 4)"
    evaluation = Findings(metrics={"accuracy/test": 0.5})
    assert evaluation.epoch_chosen_by is None
    assert evaluation.epoch_phrase() == ""


ODD = {
    "choices": (5, "choices is 5, not an object"),
    "best": ("x", 'best is "x", not an object'),
    "metrics": (None, "metrics is null, not an object"),
    "metric": (7, "metric is 7, not text"),
    "seed": ("a", 'seed is "a", not a whole number'),
    "parameters": (1.5, "parameters is 1.5, not a whole number"),
    "solver_order": (True, "solver_order is true, not a whole number"),
    "seconds": ({"total": "x"}, 'seconds.total is "x", not a number'),
    "trained": ({"solver": []}, "trained.solver is [], not an object"),
    "hardware": ([1], "hardware is [1], not an object"),
    "config_hash": ({}, "config_hash is {}, not text"),
    "status": ("odd", 'status is "odd"; known: completed'),
    "version": (99, "version is 99, and this package reads up to 1: upgrade it"),
}


@pytest.mark.parametrize("key", ODD)
def test_odd_content_is_named_in_one_line(key):
    value, message = ODD[key]
    with pytest.raises(ResultError) as raised:
        RunResult.from_json({"status": "completed", key: value})
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ({"a/test": "x"}, 'metrics.a/test is "x"'),
        ({"a/test": [1]}, "metrics.a/test is [1]"),
        ({"a/test": 10**400}, "metrics.a/test is 1000"),
    ],
)
def test_odd_numbers_are_named(inside, message):
    with pytest.raises(ResultError, match=message.replace("[", r"\[").replace("]", r"\]")):
        RunResult.from_json({"status": "completed", "metrics": inside})


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"seed": 1']
)
def test_what_is_no_json_object_is_damaged(tmp_path, content):
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(ResultError, match=r"^result\.json is damaged: "):
        read_result(tmp_path)
