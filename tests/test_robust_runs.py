"""Runs beside damaged ones, stopped early, started at once, or of odd checkpoints."""

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
import zipfile

import pytest
import torch
import yaml

from node_experiments.cli import main as cli
from node_experiments.config import ConfigError
from node_experiments.runner.compose import plain_config
from node_experiments.runs import starts
from node_experiments.runs.directory import hash_of
from node_experiments.runs.starts import discard, mark_start, one_at_a_time, remove_failed_starts
from node_experiments.training.checkpoints import CheckpointError, load_checkpoint, load_last
from node_experiments.training.signals import StopRequest, is_stop_request, stop_on_signals

MLP = ("experiment=mnist_mlp", "model.hidden=8")


def one_line(err):
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.parametrize(
    "content",
    [
        b"mode: train", b"trainer: 5", b"[1, 2]", b"", b"a: [", b"!!python/object:os.x {}",
        b"\xff\xfe", b"mode: ${nope}", b"mode: train\ntrainer: {epochs: 1}",
    ],
)  # fmt: skip
def test_a_damaged_configuration_is_no_run(tmp_path, content):
    (tmp_path / "config.yaml").write_bytes(content)
    found = hash_of(tmp_path)
    assert found is None or len(found) == 12


@pytest.mark.parametrize("content", ["trainer: 5", "a: [", "!!python/object:os.x {}", "[1]", ""])
def test_a_damaged_configuration_cannot_be_resumed(node_run, tmp_path, content):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(content)
    result = node_run(f"resume={folder}")
    assert result.code == 2
    assert "config.yaml is damaged" in one_line(result.err)


def test_strings_of_files_are_never_resolved(monkeypatch):
    monkeypatch.setenv("SECRET", "leak")
    for content in (
        {"name": "${oc.env:SECRET}x"},
        {"dataset": {"name": "mnist", "root": "${oc.env:SECRET}"}},
        {"solver": {"step_t": ["${seed}"]}},
    ):
        with pytest.raises(ConfigError, match="holds an interpolation"):
            plain_config(content)


@pytest.fixture
def checkpoint(tmp_path):
    def save(**content):
        torch.save(content, tmp_path / "odd.pt")
        return tmp_path / "odd.pt"

    return save


GROUPS = {"dataset": {"name": "mnist"}, "model": {"name": "mlp"}, "trainer": {}}


@pytest.mark.parametrize(
    "content",
    [
        {"config": {}, "model": {}},
        {"config": {"dataset": {}, "model": {}}, "model": {}},
        {"config": {**GROUPS, "name": "${oc.env:HOME}"}, "model": {}},
        {"config": {**GROUPS, "name": ["x"]}, "model": {}},
        {"config": {**GROUPS, "model": {"name": []}}, "model": {}},
        {"config": GROUPS, "model": None},
        {"config": GROUPS, "model": [1]},
        {"config": "x", "model": {}},
    ],
)
def test_odd_checkpoints_are_one_line(node_run, checkpoint, content):
    result = node_run("mode=eval", f"checkpoint={checkpoint(**content)}")
    assert result.code == 2, result
    assert "checkpoint" in one_line(result.err)
    assert not result.folders


STATE = {
    "config": {}, "model": {}, "optimizer": {}, "scheduler": {}, "ranks": [{}], "history": [],
    "windows": [], "metrics": {}, "epoch": 1, "index": 0, "step": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [{"ranks": "x"}, {"history": None}, {"epoch": "x"}, {"optimizer": []}, {"scheduler": None},
     {"model": [1]}, {"step": None}, {"step": True}],
)  # fmt: skip
def test_a_state_of_odd_content_is_damaged(tmp_path, odd):
    (tmp_path / "checkpoints").mkdir()
    torch.save({**STATE, **odd}, tmp_path / "checkpoints" / "last.pt")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_last(tmp_path)
    torch.save(STATE, tmp_path / "checkpoints" / "previous.pt")
    assert load_last(tmp_path)["step"] == 1


def test_a_directory_is_no_checkpoint(tmp_path):
    (tmp_path / "checkpoints" / "last.pt").mkdir(parents=True)
    with pytest.raises(CheckpointError, match="is a directory"):
        load_last(tmp_path)


def test_a_pickle_of_another_protocol_is_rejected_without_a_warning(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(pickle.dumps({"config": {}, "model": {}}, protocol=4))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x/data.pkl", pickle.dumps({}, protocol=4))
    for content in (path.read_bytes(), archive.getvalue()):
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(CheckpointError):
                load_checkpoint(path)


def started(folder, lock=None, age=0.0):
    """What is left of a run that was killed before it wrote about itself."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text("seed: 0")
    (folder / "node-run.log").touch()
    if lock is not None:
        (folder / ".lock").write_text(lock)
    past = time.time() - age
    os.utime(folder, (past, past))
    return folder


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return f"{process.pid} on {os.uname().nodename}"


def test_failed_starts_are_removed_and_nothing_else(tmp_path):
    gone = [
        started(tmp_path / "killed", dead_process()),
        started(tmp_path / "old", age=7200),
        started(tmp_path / "old_lock", "", age=7200),
    ]
    kept = [
        started(tmp_path / "alive", f"{os.getpid()} on {os.uname().nodename}"),
        started(tmp_path / "young"),
        started(tmp_path / "elsewhere", "1 on another-machine"),
        started(tmp_path / "started", dead_process()),
        started(tmp_path / "self", dead_process()),
    ]
    (tmp_path / "started" / "config.yaml").write_text("seed: 0")
    remove_failed_starts(tmp_path, except_for=tmp_path / "self")
    assert not any(folder.exists() for folder in gone)
    assert all(folder.exists() for folder in kept)


def test_locks_of_killed_processes_are_removed(tmp_path, monkeypatch):
    dead, held, other = (tmp_path / f".{name}.lock" for name in ("a" * 12, "b" * 12, "mine"))
    for lock in (dead, held, other):
        lock.write_text(dead_process())
    with one_at_a_time(held, print):
        remove_failed_starts(tmp_path, except_for=tmp_path / "self")
        assert sorted(tmp_path.iterdir()) == sorted([held, other])
    assert not held.exists()

    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(starts, "this_process", full)
    with pytest.raises(OSError, match="No space"), one_at_a_time(dead, print):
        pass
    assert not dead.exists()


def test_a_start_is_discarded_by_its_own_process_alone(tmp_path):
    own, other = tmp_path / "outputs/x/own", tmp_path / "outputs/y/other"
    for folder in (own, other):
        started(folder)
    mark_start(own)
    (other / ".lock").write_text("1 on another-machine")
    discard(own)
    discard(other)
    assert not own.parent.exists()
    assert other.exists()


def test_wrong_settings_leave_nothing_at_all(node_run, tmp_path):
    for words in (["mode=tran"], ["trainer.epochs=${nope}"], ["dataset.name=[]"], ["outputs="],
                  ["trainer.devices=999"], ["trainer.threads=100000"]):  # fmt: skip
        result = node_run(*MLP, *words)
        assert result.code == 2
        one_line(result.err)
        assert not list(tmp_path.iterdir()), words


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"RANK": "abc"}, "RANK='abc' in the environment is not a number"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE='two' in the environment is not a number"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE='' in the environment is not a number"),
        ({"RANK": "5", "WORLD_SIZE": "2"}, "RANK=5 in the environment is not below WORLD_SIZE=2"),
        ({"RANK": "1"}, "one process alone needs neither"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "MASTER_ADDR and MASTER_PORT is not: start the proc"),
        ({"WORLD_SIZE": "4"}, "unset WORLD_SIZE for one process alone"),
    ],
)
def test_an_environment_that_torchrun_did_not_make(node_run, monkeypatch, environment, line):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    result = node_run(*MLP)
    assert result.code == 2
    assert line in one_line(result.err)


def test_a_current_directory_that_was_deleted(node_run, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = node_run(*MLP)
    assert result.code == 2
    assert "the current directory was deleted; change to one that exists" in one_line(result.err)


def test_an_output_that_is_full(capsys, monkeypatch):
    with io.TextIOWrapper(io.FileIO("/dev/full", "w"), write_through=True) as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert cli.main(["--version"]) == 2
        monkeypatch.undo()
    line = one_line(capsys.readouterr().err)
    assert "cannot write what was asked for: No space left on device" in line


def test_signals_of_launchers_and_of_nohup_are_left_alone():
    def launcher(signum, frame):
        raise AssertionError

    before = signal.signal(signal.SIGTERM, launcher), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            assert signal.getsignal(signal.SIGTERM) is launcher
            signal.raise_signal(signal.SIGHUP)
            assert stop.signum is None
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with stop_on_signals(at_once=True), stop_on_signals() as inner:
            assert is_stop_request(signal.getsignal(signal.SIGTERM))
            signal.raise_signal(signal.SIGTERM)
            assert inner.signum == signal.SIGTERM
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert (stop.signum, stop.exit_code) == (signal.SIGHUP, 144)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])
    assert not is_stop_request(launcher)
    assert StopRequest().signum is None


def test_resume_auto_started_three_times_at_once_trains_once(tmp_path, tiny, fork_server):
    words = (*MLP, *tiny, "trainer.epochs=3", "resume=auto")
    runs = [fork_server.start(*words, folder=tmp_path) for _ in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    said = [run.output.read_text() for run in runs]
    assert len(list(tmp_path.glob("outputs/*/*"))) == 1
    (result,) = tmp_path.glob("outputs/*/*/result.json")
    assert sum("was completed before" in text for text in said) == 2
    assert not list(result.parent.parent.glob(".*.lock")), "no lock is left"


def test_warnings_are_kept_with_their_number(node_run, tiny, monkeypatch):
    from node_experiments.training.timing import Timing

    def step_start(self, trainer):
        warnings.warn(f"the error was {trainer.step}.5", stacklevel=1)

    monkeypatch.setattr(Timing, "step_start", step_start)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = node_run(*MLP, *tiny, "trainer.epochs=2")
    assert result.code == 0, result.err
    (folder,) = result.folders
    assert "protocol=smoke" in folder.name
    content = json.loads((folder / "result.json").read_text())
    assert content["warnings"]["the error was 0.5"] == 4
    log = (folder / "node-run.log").read_text()
    for text in (log, result.out):
        assert text.count("warning: the error was 0.5") == 1
        assert "warned 4 times" in text
        assert "test_robust_runs.py" not in text
    assert "on 16 images at the best validation epoch" in result.out
    assert yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["epochs"] == 2
