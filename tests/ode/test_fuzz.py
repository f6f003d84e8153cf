"""The random problems of `scripts/fuzz_solvers.py`: 200 of them, and its own judgement."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from tests.grids import always

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz_solvers.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz_solvers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_solvers"] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fuzz_solvers"]


@pytest.mark.parametrize("first", always([0], range(0, 400, 50)))
def test_no_problem_is_wrong_crashes_or_hangs(fuzz, first, capsys):
    failed = fuzz.main(["--first", str(first), "--problems", "50"])
    assert not failed, capsys.readouterr().out


def test_a_problem_is_that_of_its_seed(fuzz):
    first, second = fuzz.draw(7), fuzz.draw(7)
    assert str(first) == str(second)
    assert torch.equal(first.matrix, second.matrix)
    assert str(first) != str(fuzz.draw(8))


def test_a_wrong_value_is_seen(fuzz, monkeypatch, capsys):
    exact = fuzz.exact
    monkeypatch.setattr(fuzz, "exact", lambda *inputs: exact(*inputs) + 1)
    assert fuzz.main(["--problems", "10"]) == 1
    printed = capsys.readouterr().out
    assert "values off by" in printed
    assert "python scripts/fuzz_solvers.py --only" in printed


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("one line"), "rejected"),
        (ValueError("two\nlines"), "crash"),
        (RuntimeError("x"), "crash"),
        (TimeoutError(), "hang"),
    ],
)
def test_errors_are_told_apart(fuzz, monkeypatch, error, kind):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(fuzz, "solve", fail)
    assert fuzz.run(fuzz.draw(0)).kind == kind


def test_every_method_is_drawn(fuzz):
    drawn = {fuzz.draw(seed).solver.method for seed in range(2000)}
    assert drawn == set(fuzz.METHODS)
