"""mode=figure3: the figure and its numbers from a checkpoint, and what has none."""

import json
import signal
from functools import partial

import pytest

from node_experiments.chapters.image_classification import figure3_measure as block_solves
from node_experiments.chapters.image_classification import figure3_run as figure3
from node_experiments.chapters.image_classification.figure3_report import figure3 as report
from node_experiments.cli.report import main
from node_experiments.ode import Solver
from node_experiments.runner import evaluate
from tests.written import markdown

SMALL = ("model.channels=8", "trainer.epochs=2")


@pytest.fixture(autouse=True)
def _fewer_solves(monkeypatch):
    few = partial(block_solves.block_solves, tolerances=(1e-1, 1e-3), repetitions=1)
    monkeypatch.setattr(figure3, "block_solves", few)
    monkeypatch.setattr(figure3, "IMAGES", 3)
    monkeypatch.setattr(block_solves, "REFERENCE", Solver("dopri5", rtol=1e-5, atol=1e-5))
    second = (Solver("vern7", rtol=1e-5, atol=1e-5),)
    monkeypatch.setattr(block_solves, "SECOND_OPINIONS", second)


@pytest.fixture
def trained(made_once, tiny):
    return made_once("experiment=mnist_odenet", *SMALL, *tiny)


def measure(node_run, checkpoint, *arguments):
    result = node_run("mode=figure3", f"checkpoint={checkpoint}", *arguments)
    return result, [folder for folder in result.folders if folder.parent.name == "figure3"]


@pytest.mark.figures
def test_a_run_leaves_numbers_and_a_figure(node_run, trained, capsys):
    result, (folder,) = measure(node_run, trained, "dataset.test_size=8")
    assert result.code == 0, result.err
    for name in ("config.yaml", "run_info.json", "figures/figure3.png"):
        assert (folder / name).stat().st_size > 0
    found = json.loads((folder / "result.json").read_text())
    assert (found["status"], found["mode"]) == ("completed", "figure3")
    measured = json.loads((folder / "figure3.json").read_text())
    assert measured["images"] == 3
    assert measured["trained"]["solver"]["method"] == "dopri5"
    lines = (trained / "metrics.jsonl").read_text().splitlines()
    own = [json.loads(line)["nfe/forward"] for line in lines]
    assert [row["forward"] for row in measured["epochs"]] == own
    assert [row["epoch"] for row in measured["epochs"]] == [1, 2]
    assert "tolerance 1e-03: " in result.out
    assert result.out.splitlines()[-1].endswith(f"node-report --outputs {folder} figure3")

    (folder / "figures" / "figure3.png").unlink()
    assert main(["figure3", "--format", "md"]) == 0
    text = capsys.readouterr().out
    assert text == markdown(report, folder)
    assert all(f"**({letter})" in text for letter in "abcd")
    assert main(["figure", "figure3", str(folder), "--to", "again.png"]) == 0
    (folder / "figure3.json").write_text("{")
    assert markdown(report, folder) == "- mnist_odenet: completed: no whole figure3.json.\n"


def test_a_run_without_metrics_has_three_panels(node_run, trained):
    (trained / "metrics.jsonl").unlink()
    result, (folder,) = measure(
        node_run, trained / "checkpoints" / "last.pt", "dataset.test_size=8"
    )
    assert result.code == 0, result.err
    assert "not known.** The run of the checkpoint left no metrics.jsonl" in markdown(
        report, folder
    )


@pytest.mark.parametrize("size", ["experiment=mnist_mlp", "experiment=mnist_resnet_1block"])
def test_a_model_without_an_ode_block_has_none(node_run, tiny, size):
    small = "model.hidden=4" if "mlp" in size else "model.channels=8"
    (folder,) = node_run(size, small, *tiny).folders
    result, made = measure(node_run, folder)
    assert result.code == 2
    assert "mode=figure3 needs a model with an ODE block" in result.err
    assert "allowed: odenet" in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not made
    assert not list(folder.parent.parent.glob("figure3/*")), "no folder is left behind"


@pytest.mark.parametrize("override", ["solver=rk4", "solver.rtol=1e-5", "model.channels=16"])
def test_its_solvers_are_its_own(node_run, trained, override):
    result, made = measure(node_run, trained, override)
    assert result.code == 2
    assert "changeable: dataset, trainer" in result.err
    assert not made


def test_without_a_checkpoint(node_run):
    result = node_run("mode=figure3")
    assert result.code == 2
    assert "mode=figure3 needs checkpoint=" in result.err


def test_a_failed_run_is_marked(node_run, trained, monkeypatch, tmp_path):
    def fail(*arguments):
        raise ValueError("no luck")

    monkeypatch.setattr(figure3, "block_solves", fail)
    result, (folder,) = measure(node_run, trained)
    assert result.code == 1
    assert markdown(report, tmp_path) == "- mnist_odenet: failed: ValueError: no luck.\n"
    assert main(["figure", "figure3", str(folder)]) == 2
    assert "No run of mode=figure3" in markdown(report, tmp_path / "outputs" / "mnist_odenet")


@pytest.mark.parametrize("mode", ["figure3", "eval"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_once(node_run, trained, monkeypatch, mode, number):
    def stopped(*arguments):
        signal.raise_signal(number)
        raise AssertionError("went on after the signal")

    monkeypatch.setattr(evaluate, "run_mode" if mode == "figure3" else "evaluate", stopped)
    result = node_run(f"mode={mode}", f"checkpoint={trained}")
    assert result.code == (144 if number == signal.SIGTERM else 130)
    assert "interrupted at once; run the same command again" in result.out
    assert "resume=" not in result.out
    (folder,) = (folder for folder in result.folders if folder != trained)
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"


def test_data_that_are_no_images_have_none(node_run, trained):
    result, made = measure(node_run, trained, "dataset=spirals")
    assert result.code == 2
    assert "model.name='odenet' does not fit dataset.name='spirals'" in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not made
