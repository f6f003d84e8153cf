"""One command of each experiment that no other test runs; what takes seconds to draw is not."""

import json

import pytest

from node_experiments.chapters.gallery.kinetics import RATES
from node_experiments.chapters.normalizing_flows import grid
from node_experiments.tracking.animation import Film
from node_experiments.tracking.arrays import Arrays
from tests.grids import always


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    for callback in (Film, Arrays):
        monkeypatch.setattr(callback, "epoch_end", lambda self, trainer: None)
    monkeypatch.setattr(grid, "POINTS", 40)


def run(node_run, *arguments):
    result = node_run(*arguments, "protocol=smoke", "trainer.threads=1")
    assert result.code == 0, result.err
    (folder,) = result.folders
    return folder, json.loads((folder / "result.json").read_text())["metrics"]


def test_rate_constants_are_fitted(node_run):
    _, metrics = run(node_run, "experiment=stiff_kinetics")
    assert metrics["rate_error/test"] > 0
    for k, true in enumerate(RATES, 1):
        assert 0.1 * true < metrics[f"k{k}/test"] < 10 * true
    assert metrics["nfe/forward"] > 20


def test_points_are_matched_and_scored(node_run):
    folder, metrics = run(
        node_run,
        "experiment=two_moons_flow_matching",
        "model.pairs=optimal_transport",
        "trainer.epochs=1",
        "dataset.test_size=64",
    )
    gap = metrics["log_likelihood_true/test"] - metrics["log_likelihood/test"]
    assert metrics["gap/test"] == pytest.approx(gap)
    assert metrics["evaluations/test"] > 10
    rows = json.loads((folder / "solver_errors.json").read_text())
    assert {row["solver"] for row in rows} >= {"euler", "reversible_heun", "dopri5", "dopri8"}
    errors = {row["nfe"]: row["error"] for row in rows if row["solver"] == "rk4"}
    assert errors[max(errors)] < errors[min(errors)]


def test_digits_come_from_noise(node_run):
    folder, metrics = run(
        node_run,
        "experiment=mnist_flow_matching",
        "trainer.epochs=1",
        "model.channels=8",
        "dataset.train_size=16",
        "dataset.batch_size=8",
        "dataset.validation_size=8",
        "dataset.test_size=8",
    )
    assert 0 < metrics["loss/test"] < 3
    assert json.loads((folder / "sample_errors.json").read_text())


@pytest.mark.parametrize("augment", always([2], [0, 2]))
def test_digits_are_classified_by_an_ode_on_their_pixels(node_run, augment):
    _, metrics = run(node_run, "experiment=anode_mnist", f"model.augment={augment}")
    assert 0 <= metrics["accuracy/test"] <= 1
    assert metrics["nfe/forward"] > 6
