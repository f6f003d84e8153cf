"""Runs that are killed, at random moments and inside of writing, and run until they are done."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import torch

RUNS = 20

# One process imports everything once; each try is a fork of it that is killed, or not.
SERVER = """
import json, os, signal, sys
import torch
torch.set_num_threads(1)
from node_experiments.cli import application, main as cli
from node_experiments.runner import run
from node_experiments.tracking.figures import Figures
from node_experiments.training import checkpoints

# So small a run spends its time drawing, and would seldom be killed at anything else.
Figures.epoch_end = lambda figures, trainer: None

def kill_in(name, line):
    # At the n-th line that is executed to write this checkpoint; at 0, when it is written.
    write = checkpoints.write_atomically
    def watched(path, *arguments, **options):
        left = line
        def trace(frame, event, argument):
            nonlocal left
            if frame.f_code is not write.__code__:
                return None
            left -= event == "line"
            reached = left == 0 if line else event == "return"
            if reached:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace
        sys.settrace(trace if path.name == name else None)
        write(path, *arguments, **options)
        sys.settrace(None)
    checkpoints.write_atomically = watched

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        arguments, place = json.loads(line)
        if place:
            kill_in(*place)
        sys.argv = ["node-run", *arguments.split()]
        os.dup2(2, 1)
        os._exit(cli.main())
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""

ARGUMENTS = (
    "experiment=mnist_mlp resume=auto protocol=smoke trainer.threads=1 trainer.epochs=2 "
    "model.hidden=8 dataset.train_size=32 dataset.batch_size=8 dataset.validation_size=16 "
    "dataset.test_size=16 trainer.checkpoint_minutes=0"
)


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        )

    def run(self, arguments, kill_after=None, kill_in=None):
        """Exit code of a try, and its seconds."""
        self.process.stdin.write(json.dumps([arguments, kill_in]) + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        begun = time.perf_counter()
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        code = int(self.process.stdout.readline())
        return code, time.perf_counter() - begun

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def undisturbed(server, tmp_path_factory):
    """What a run that nobody kills comes to, and its seconds."""
    folder = tmp_path_factory.mktemp("undisturbed")
    code, seconds = server.run(f"{ARGUMENTS} outputs={folder}")
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


def test_killed_runs_end_as_the_undisturbed_one(server, undisturbed, tmp_path):
    generator = random.Random(0)
    expected, seconds = undisturbed
    killed = 0
    for number in range(RUNS):
        outputs = tmp_path / f"killed{number}"
        arguments = f"{ARGUMENTS} outputs={outputs}"
        code, _ = server.run(arguments, kill_after=generator.uniform(0.1, 0.95) * seconds)
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        code, _ = server.run(arguments)
        assert code == 0
        assert what_counts(outputs) == expected
        places = [*outputs.glob("mnist_mlp/*/config.yaml")]
        assert len(places) == 1, "what was killed before its first checkpoint is taken up too"
        read_all(outputs)
    assert killed > RUNS / 2


def test_killed_at_every_line_that_writes_a_checkpoint(server, undisturbed, tmp_path):
    """One run, killed one line further each time that it goes on, until none is left."""
    arguments = f"{ARGUMENTS} outputs={tmp_path}"
    left_behind = set()
    for place in [("best.pt", 1), ("best.pt", 0), *(("last.pt", line) for line in range(1, 99))]:
        code, _ = server.run(arguments, kill_in=place)
        read_all(tmp_path)
        if code == 0:
            break
        assert code == -signal.SIGKILL, place
        files = tmp_path.glob("mnist_mlp/*/checkpoints/*")
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
