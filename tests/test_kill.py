"""Runs that are killed, at random moments and inside of writing, and run until they are done."""

import csv
import json
import random
import signal

import pytest
import torch

RUNS = 12

WORDS = (
    "experiment=mnist_mlp", "resume=auto", "protocol=smoke", "trainer.threads=1",
    "trainer.epochs=2", "model.hidden=8", "dataset.train_size=32", "dataset.batch_size=8",
    "dataset.validation_size=16", "dataset.test_size=16", "trainer.checkpoint_minutes=0",
)  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(fork_server, tmp_path_factory):
    """What a run that nobody kills comes to, and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, seconds = fork_server.run(*WORDS, folder=folder)
    assert code == 0
    return what_counts(folder), seconds


def numbers(row):
    return {
        tag: value for tag, value in row.items() if not tag.startswith(("time/", "memory/peak"))
    }


def what_counts(outputs):
    assert not list(outputs.rglob(".*.partial"))
    (folder,) = [path.parent for path in outputs.rglob("result.json")]
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "completed"
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    checkpoint = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    weights = torch.cat([tensor.flatten() for tensor in checkpoint["model"].values()]).tolist()
    return numbers(result["metrics"]), numbers(result["best"]), [*map(numbers, rows)], weights


def read_all(outputs):
    for path in outputs.rglob("*"):
        if path.suffix == ".pt":
            torch.load(path, weights_only=True)
        elif path.suffix == ".json":
            json.loads(path.read_text())


@pytest.mark.thorough
def test_killed_runs_end_as_the_undisturbed_one(fork_server, undisturbed, tmp_path):
    generator = random.Random(0)
    expected, seconds = undisturbed
    killed = 0
    for number in range(RUNS):
        outputs = tmp_path / f"killed{number}"
        outputs.mkdir()
        moment = generator.uniform(0.1, 0.95) * seconds
        code, _ = fork_server.run(*WORDS, folder=outputs, kill_after=moment)
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        code, _ = fork_server.run(*WORDS, folder=outputs)
        assert code == 0
        assert what_counts(outputs) == expected
        places = [*outputs.glob("outputs/mnist_mlp/*/config.yaml")]
        assert len(places) == 1, "what was killed before its first checkpoint is taken up too"
        read_all(outputs)
    assert killed > RUNS / 4, "the seconds of a run are not always the same"


def test_killed_at_every_line_that_writes_a_checkpoint(fork_server, undisturbed, tmp_path):
    """One run, killed one line further each time that it is resumed, until none is left."""
    left_behind = set()
    for place in [("best.pt", 1), ("best.pt", 0), *(("last.pt", line) for line in range(1, 99))]:
        code, _ = fork_server.run(*WORDS, folder=tmp_path, kill_in=place)
        read_all(tmp_path)
        if code == 0:
            break
        assert code == -signal.SIGKILL, place
        files = tmp_path.glob("outputs/mnist_mlp/*/checkpoints/*")
        left_behind.add(
            frozenset(path.suffix if path.name[0] == "." else path.name for path in files)
        )
    assert left_behind == {
        frozenset({"last.pt", "previous.pt"}),
        frozenset({"last.pt", "previous.pt", "best.pt"}),
        frozenset({"last.pt", "previous.pt", "best.pt", ".partial"}),
        frozenset({"previous.pt", "best.pt", ".partial"}),
    }
    assert what_counts(tmp_path) == undisturbed[0]


KILL = """
import os, signal
from node_experiments.training.timing import Timing
start = Timing.step_start
def step_start(self, trainer):
    if trainer.step == {step}: os.kill(os.getpid(), signal.SIGKILL)
    start(self, trainer)
Timing.step_start = step_start
"""


@pytest.mark.parametrize("step", [2, 6])
def test_a_table_of_steps_has_no_hole_where_a_run_was_killed(fork_server, tmp_path, step):
    """Inside its first and its second epoch of four steps."""
    words = (*WORDS, "trainer.loggers=[tensorboard,csv]", "trainer.log_every=1")
    killed = fork_server.start(*words, folder=tmp_path, before=KILL.format(step=step))
    assert killed.wait() == -signal.SIGKILL
    code, _ = fork_server.run(*words, folder=tmp_path)
    assert code == 0
    (path,) = tmp_path.glob("outputs/*/*/metrics.csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 9))
    assert all(row["loss/train"] for row in rows)
