"""`load` says what its weights are, and leaves the caller's random numbers alone."""

import json
import random

import numpy as np
import pytest
import torch

from node_experiments import load

WORDS = ("experiment=spirals_rnn", "protocol=smoke", "trainer.threads=1", "trainer.epochs=3",
         "dataset.train_size=16", "dataset.observations=30", "model.hidden=4")  # fmt: skip


@pytest.fixture
def folder(node_run):
    result = node_run(*WORDS)
    assert result.code == 0, result.err
    return result.folders[0]


def move_best(folder, epoch):
    """Let another epoch be the one that the run reports."""
    path = folder / "result.json"
    content = json.loads(path.read_text())
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    content["best"] = {"by": "loss/validation", **rows[epoch - 1]}
    path.write_text(json.dumps(content))
    return rows


def test_metrics_are_those_of_the_epoch_of_the_weights(folder):
    rows = move_best(folder, 1)
    last = load(folder / "checkpoints" / "last.pt")
    assert last.epoch == 3
    assert last.metrics["loss/test"] == rows[2]["loss/test"] != rows[0]["loss/test"]
    (folder / "metrics.jsonl").unlink()
    assert load(folder / "checkpoints" / "last.pt").metrics == {}
    rewritten = torch.load(folder / "checkpoints" / "last.pt", weights_only=True) | {"epoch": 1}
    torch.save(rewritten, folder / "checkpoints" / "last.pt")
    assert load(folder / "checkpoints" / "last.pt").metrics["loss/test"] == rows[0]["loss/test"]


def test_random_numbers_of_the_caller_are_the_same_as_without_it(folder):
    def drawn():
        legacy = np.random.random()  # noqa: NPY002
        return random.random(), legacy, float(torch.rand(1))

    def seed():
        random.seed(7)
        np.random.seed(7)  # noqa: NPY002
        torch.manual_seed(7)

    seed()
    expected = drawn()
    seed()
    run = load(folder)
    assert drawn() == expected
    seed()
    run.predict()
    assert drawn() == expected
