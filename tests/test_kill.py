"""Runs that are killed at random moments, and run again until they are done."""

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
import os, sys
import torch
torch.set_num_threads(1)
from node_experiments import cli, run
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.argv = ["node-run", *line.split()]
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

    def run(self, arguments, kill_after=None):
        """Exit code of a try, and its seconds."""
        self.process.stdin.write(arguments + "\n")
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


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.close()


def numbers(row):
    return {
        tag: value for tag, value in row.items() if not tag.startswith(("time/", "memory/peak"))
    }


def what_counts(folder):
    result = json.loads((folder / "result.json").read_text())
    assert result["status"] == "completed"
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    checkpoint = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    weights = torch.cat([tensor.flatten() for tensor in checkpoint["model"].values()]).tolist()
    return numbers(result["metrics"]), numbers(result["best"]), [*map(numbers, rows)], weights


def test_killed_runs_end_as_the_undisturbed_one(server, tmp_path):
    generator = random.Random(0)
    code, seconds = server.run(f"{ARGUMENTS} outputs=undisturbed")
    assert code == 0
    (undisturbed,) = (tmp_path / "undisturbed" / "mnist_mlp").iterdir()
    expected = what_counts(undisturbed)
    killed = 0
    for number in range(RUNS):
        arguments = f"{ARGUMENTS} outputs=killed{number}"
        code, _ = server.run(arguments, kill_after=generator.uniform(0.1, 0.95) * seconds)
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        code, _ = server.run(arguments)
        assert code == 0
        folders = [path.parent for path in (tmp_path / f"killed{number}").rglob("result.json")]
        assert len(folders) == 1
        assert what_counts(folders[0]) == expected
        assert not list((tmp_path / f"killed{number}").rglob(".*.partial"))
        places = [*(tmp_path / f"killed{number}" / "mnist_mlp").glob("*/config.yaml")]
        assert len(places) == 1, "what was killed before its first checkpoint is taken up too"
        for path in (tmp_path / f"killed{number}").rglob("*"):
            if path.suffix == ".pt":
                torch.load(path, weights_only=True)
            elif path.suffix == ".json":
                json.loads(path.read_text())
    assert killed > RUNS / 2
