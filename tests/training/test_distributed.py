"""Two processes compute what one does with the joined batch."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from node_experiments.chapters.irregular_series.batches import ForecastBatch
from node_experiments.data.time_series import TimeSeries
from node_experiments.errors import UserError
from node_experiments.training.distributed import Group

MLP = ("experiment=mnist_mlp", "model.hidden=8", "trainer.epochs=2", "trainer.device=cpu")
ODE = ("experiment=mnist_odenet", "model.channels=8", "trainer.device=cpu")


def content(folder):
    return json.loads((folder / "result.json").read_text())


def weights(folder):
    checkpoint = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    return torch.cat([tensor.flatten() for tensor in checkpoint["model"].values()])


def same_training(one, other):
    """Equal but for the order in which gradients are summed."""
    torch.testing.assert_close(weights(one), weights(other), rtol=1e-4, atol=1e-6)
    mine, others = content(one)["metrics"], content(other)["metrics"]
    for tag, value in mine.items():
        if tag.startswith(("loss/", "accuracy/", "lr")):
            assert others[tag] == pytest.approx(value, rel=1e-4), tag


def test_shards_of_a_batch():
    batch = (torch.arange(6), {"y": torch.arange(12).reshape(6, 2)}, torch.tensor(3.0), "text")
    shards = [Group(rank, 2).shard(batch) for rank in range(2)]
    assert shards[0][0].tolist() == [0, 2, 4]
    assert shards[1][1]["y"].tolist() == [[2, 3], [6, 7], [10, 11]]
    assert shards[0][2] == 3
    points = torch.arange(8).view(4, 2)  # a batch may be a tensor alone
    assert Group(1, 2).shard(points).tolist() == [[2, 3], [6, 7]]
    with pytest.raises(UserError, match="a batch of 5 cannot be divided evenly among 2"):
        Group(0, 2).shard(torch.arange(5))
    # Each process would do all of the work.
    with pytest.raises(UserError, match="a Group cannot be divided among processes"):
        Group(0, 2).shard((torch.arange(4), Group()))


def test_shards_of_series():
    """Batches of series are objects that pick samples; their times may be those of all."""
    values = torch.arange(8.0).view(4, 2, 1)
    for times in (torch.tensor([[0.0, 1.0]]), torch.arange(8.0).view(4, 2)):
        series = TimeSeries.validated(times, values)
        batch = ForecastBatch(series, series, torch.arange(4))
        shards = [Group(rank, 2).shard(batch) for rank in range(2)]
        assert [shard.label.tolist() for shard in shards] == [[0, 2], [1, 3]]
        assert shards[1].observed.values.flatten().tolist() == [2, 3, 6, 7]
    with pytest.raises(UserError, match="a batch of 4 cannot be divided evenly among 3"):
        Group(0, 3).shard(batch)


@pytest.mark.parametrize("seeds", ["0", pytest.param("0,1", marks=pytest.mark.thorough)])
def test_two_processes_equal_one_also_in_a_sweep(node_run, tiny, seeds):
    # Adaptive steps follow the error of the samples that a process has; fixed ones are the same.
    arguments = (
        *ODE, *tiny, "gradient=adjoint", "solver=rk4", "solver.num_steps=2",
        "dataset.batch_size=8", "trainer.accumulate=2",
    )  # fmt: skip
    one = node_run(*arguments, "outputs=one")
    assert one.code == 0, one.err
    two = node_run(
        "-m", *arguments, "trainer.devices=2", f"seed={seeds}", "hydra.sweep.dir=two_processes"
    )
    assert two.code == 0, two.err
    first, second, *others = two.folders
    same_training(first, second)
    assert all(content(other)["status"] == "completed" for other in others)
    metrics = content(second)["metrics"]
    for way in ("forward", "backward"):
        assert metrics[f"nfe/{way}_max"] >= metrics[f"nfe/{way}"] > 6
    assert len(list(second.rglob("events*"))) == 1, "one process writes"
    assert len((second / "metrics.jsonl").read_text().splitlines()) == 1


def test_uneven_batches_are_rejected_in_one_line(node_run, tiny):
    result = node_run(*MLP, *tiny, "dataset.batch_size=15", "trainer.devices=2")
    assert result.code == 2
    assert "set dataset.batch_size to a multiple of trainer.devices" in result.err
    assert len([line for line in result.err.splitlines() if line]) == 1


@pytest.mark.thorough
def test_stopped_processes_go_on_to_the_same_end(node_run, tiny, tmp_path, fork_server):
    """A signal to the job stops its processes at the same step; they save and resume together."""
    arguments = (*MLP, *tiny, "trainer.devices=2", "trainer.epochs=12", "resume=auto")
    job = fork_server.start(*arguments, folder=tmp_path)
    end = time.monotonic() + 120
    while time.monotonic() < end and not list(tmp_path.rglob("metrics.jsonl")):
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    assert job.wait() == 144
    (folder,) = [path.parent for path in tmp_path.rglob("result.json")]
    assert content(folder)["status"] == "interrupted"
    result = node_run(*arguments)
    assert result.code == 0, result.err
    assert result.folders == [folder]
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 13))


def torchrun(folder, *arguments):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2",
        "-m", "node_experiments", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.thorough
@pytest.mark.parametrize("twice", [False, True])
def test_under_torchrun_there_is_one_run_folder(node_run, tiny, tmp_path, twice):
    (tmp_path / "torchrun").mkdir()
    arguments = (*MLP, *tiny, "resume=auto")
    first = torchrun(tmp_path / "torchrun", *arguments)
    assert first.returncode == 0, first.stderr
    (folder,) = [path.parent for path in (tmp_path / "torchrun").rglob("config.yaml")
                 if path.parent.name != ".hydra"]  # fmt: skip
    if twice:
        again = torchrun(tmp_path / "torchrun", *arguments)
        assert again.returncode == 0, again.stderr
        assert "was completed before" in again.stdout
    alone = node_run(*MLP, *tiny, "outputs=alone")
    (other,) = [f for f in alone.folders if "alone" in f.parts]
    same_training(other, folder)
