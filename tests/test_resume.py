"""Runs that were stopped, from the command line."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from node_experiments.cli.application import choices_of_run
from node_experiments.config import ConfigError, SchedulerConfig
from node_experiments.runner.resume_overrides import check_changeable
from node_experiments.training.optimizers import make_scheduler
from node_experiments.training.timing import Timing


def content(folder):
    return json.loads((folder / "result.json").read_text())


def numbers(rows):
    """Metrics that do not measure this machine."""
    return [
        {tag: value for tag, value in row.items() if not tag.startswith(("time/", "memory/peak"))}
        for row in rows
    ]


def epochs(folder):
    return numbers(map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()))


def weights(folder):
    checkpoint = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    return torch.cat([tensor.flatten() for tensor in checkpoint["model"].values()])


@pytest.fixture
def stop_before_step():
    """Raise a signal inside a step, once."""
    with pytest.MonkeyPatch.context() as patch:

        def arrange(step, number=signal.SIGTERM):
            def step_start(self, trainer):
                if trainer.step == step:
                    patch.undo()
                    signal.raise_signal(number)

            patch.setattr(Timing, "step_start", step_start)

        yield arrange


MLP = ("experiment=mnist_mlp", "trainer.epochs=3", "model.hidden=8")


@pytest.mark.parametrize(
    ("experiment", "step"),
    [
        (MLP, 2),
        pytest.param(MLP, 3, marks=pytest.mark.thorough),
        pytest.param(("experiment=mnist_odenet",), 0, marks=pytest.mark.thorough),
    ],
)
def test_resume_auto_ends_as_if_nothing_had_happened(
    node_run, tiny, stop_before_step, experiment, step
):
    arguments = (*experiment, *tiny, "model.channels=8" if len(experiment) == 1 else "seed=3")
    (undisturbed,) = node_run(*arguments, "outputs=undisturbed").folders
    stop_before_step(step)
    stopped = node_run(*arguments, "resume=auto")
    assert stopped.code == 144, stopped.err
    (folder,) = [f for f in stopped.folders if f != undisturbed]
    assert content(folder)["status"] == "interrupted"
    assert "resume it with resume=" in stopped.out

    resumed = node_run(*arguments, "resume=auto")
    assert resumed.code == 0, resumed.err
    assert len(resumed.folders) == 2, "the run resumes in its own folder"
    assert f"resumed after step {step + 1}" in resumed.out
    assert content(folder)["status"] == "completed"
    assert torch.equal(weights(folder), weights(undisturbed))
    assert epochs(folder) == epochs(undisturbed)
    for key in ("metrics", "best"):
        assert numbers([content(folder)[key]]) == numbers([content(undisturbed)[key]])
    assert content(folder)["objective"] == content(undisturbed)["objective"]

    again = node_run(*arguments, "resume=auto")
    assert again.code == 0
    assert "was completed before" in again.out
    assert len(again.folders) == 2
    fresh = node_run(*arguments)
    assert len(fresh.folders) == 3, "without resume, a run starts from scratch"


def test_ctrl_c_finishes_the_step_and_saves(node_run, tiny, stop_before_step):
    stop_before_step(3, signal.SIGINT)
    result = node_run(*MLP, *tiny)
    assert result.code == 130
    assert not result.err
    (folder,) = result.folders
    assert content(folder)["metrics"]["epoch"] == 1
    assert "epoch 2 of 3" in content(folder)["reason"]
    assert torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["step"] == 4


@pytest.fixture
def stopped(made_once, tiny, monkeypatch):
    with monkeypatch.context() as patch:

        def step_start(self, trainer):
            if trainer.step == 3:
                signal.raise_signal(signal.SIGUSR1)

        patch.setattr(Timing, "step_start", step_start)
        return made_once(*MLP, "scheduler=none", *tiny, code=144)


def test_resume_of_a_named_run(node_run, stopped):
    result = node_run(f"resume={stopped}")
    assert result.code == 0, result.err
    assert result.folders == [stopped]
    assert content(stopped)["status"] == "completed"
    assert content(stopped)["choices"]["model"] == "mlp"
    assert [row["epoch"] for row in epochs(stopped)] == [1, 2, 3]
    longer = node_run(f"resume={stopped}", "trainer.epochs=4")
    assert longer.code == 0, longer.err
    assert [row["epoch"] for row in epochs(stopped)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer.lr=1"], "optimizer.lr cannot be changed with resume="),
        (["seed=5"], "seed cannot be changed"),
        (["model=resnet"], "model cannot be changed"),
        (["trainer.devices=2"], "trained by 1 processes"),
        (["trainer.accumulate=2"], "trainer.accumulate cannot be changed with resume="),
        (["trainer.limit_batches=1"], "the schedule counts its steps; start a new run"),
        (["trainer.init_from=x"], "the run continues from the weights in its checkpoint"),
        (["outputs=elsewhere"], "outputs cannot be changed"),
    ],
)
def test_what_a_resume_may_not_change(node_run, stopped, arguments, message):
    result = node_run(f"resume={stopped}", *arguments)
    assert result.code in (1, 2)
    assert message in result.err


def test_the_latest_run_is_looked_for_in_outputs_and_stays_where_it_is(
    node_run, stopped, tmp_path
):
    (tmp_path / "outputs").rename(tmp_path / "runs")
    result = node_run("resume=latest", "outputs=runs", "mode=train")
    assert result.code == 0, result.err
    assert result.folders == [tmp_path / "runs" / stopped.relative_to(tmp_path / "outputs")]
    assert content(result.folders[0])["status"] == "completed"
    assert len(list((tmp_path / "runs").glob("*/*"))) == 1


@pytest.mark.parametrize("name", SchedulerConfig.SETTINGS)
def test_epochs_can_be_changed_where_the_schedule_does_not_depend_on_them(name):
    def rates(total_steps):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
        schedule = make_scheduler(optimizer, name, total_steps, steps_per_epoch=2, epochs=[2])
        found = []
        for _ in range(8):
            found += schedule.get_last_lr()
            optimizer.step()
            schedule.step()
        return found

    settings = {"scheduler": {"name": name}, "trainer": {"epochs": 4}}
    if rates(8) == rates(16):
        check_changeable("trainer.epochs", settings)
    else:
        with pytest.raises(ConfigError, match=f"{name}' was laid over 4 epochs; start a new run"):
            check_changeable("trainer.epochs", settings)


@pytest.mark.parametrize("word", ["resume=auto", "resume=null"])
def test_where_no_run_is_named_no_other_configuration_is_looked_at(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("dataset: {name: spirals}\nmodel: {name: latent_ode}\n")
    assert choices_of_run(["experiment=mnist_mlp", word]) == []
    assert choices_of_run([f"resume={tmp_path}"]) == ["dataset=spirals", "model=latent_ode"]


def test_resume_of_something_else(node_run, tmp_path):
    result = node_run("resume=nowhere")
    assert result.code == 2
    assert "is not a run folder" in result.err
    assert node_run("mode=eval", "checkpoint=x", "resume=auto").code == 2


def test_a_damaged_last_checkpoint_falls_back(node_run, stopped):
    last = stopped / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:2000])
    result = node_run(f"resume={stopped}")
    assert result.code == 0, result.err
    assert "is damaged" in result.out
    assert "resuming from previous.pt" in result.out
    assert content(stopped)["status"] == "completed"
    for name in ("last.pt", "previous.pt"):
        (stopped / "checkpoints" / name).write_bytes(b"")
    (stopped / "result.json").unlink()
    result = node_run(f"resume={stopped}")
    assert result.code == 2
    assert "is damaged" in result.err


def test_a_checkpoint_to_go_on_from_cannot_run_code(node_run, stopped, tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    for name in ("last.pt", "previous.pt"):
        torch.save({"config": Attack(), "model": {}, "ranks": []}, stopped / "checkpoints" / name)
    result = node_run(f"resume={stopped}")
    assert result.code == 2
    assert "holds more than tensors and plain values" in result.err
    assert not (tmp_path / "owned").exists()


def test_a_folder_is_never_mixed_up(node_run, stopped, tiny):
    other = node_run("experiment=mnist_resnet", *tiny, f"hydra.run.dir={stopped}")
    assert other.code == 2
    assert "holds a run of another configuration" in other.err
    assert (stopped / "checkpoints" / "last.pt").exists()
    same = node_run(*MLP, "scheduler=none", *tiny, f"hydra.run.dir={stopped}")
    assert same.code == 0, same.err
    assert "resumed after step 4" in same.out


def test_bad_input_deletes_nothing(node_run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    result = node_run("experiment=mnist_mlp", "optimizer.lr=-1", "hydra.run.dir=mine")
    assert result.code == 2
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_two_processes_in_the_same_folder(node_run, tiny, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    script = (
        "import sys, pathlib\n"
        "from node_experiments.runs.directory import claimed\n"
        f"with claimed(pathlib.Path({str(folder)!r})):\n"
        "    print('claimed', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "claimed\n"
        result = node_run(*MLP, *tiny, f"hydra.run.dir={folder}")
        assert result.code == 2
        assert f"is in use by process {other.pid}" in result.err
        assert not list(folder.rglob("*.pt"))
        assert (folder / ".hydra").is_dir(), "the other process has only just started"
    finally:
        other.communicate()
    assert node_run(*MLP, *tiny, f"hydra.run.dir={folder}").code == 0


def test_a_run_killed_before_its_first_checkpoint_is_taken_up(node_run, stopped, tiny):
    """As SIGKILL leaves it: no result, no whole checkpoint, and a half-written one."""
    for path in (stopped / "checkpoints").iterdir():
        path.unlink()
    (stopped / "result.json").unlink()
    (stopped / "run_info.json").unlink()
    (stopped / "checkpoints" / ".last.pt.x.partial").write_bytes(b"half")
    result = node_run(*MLP, "scheduler=none", *tiny, "resume=auto")
    assert result.code == 0, result.err
    assert result.folders == [stopped]
    assert not list(stopped.rglob(".*.partial"))
    assert [row["epoch"] for row in epochs(stopped)] == [1, 2, 3]
    assert len(list(stopped.parent.iterdir())) == 1


# A file system of 2 MB in a mount namespace of its process, for which one has to be root; else
# files of at most 8 kB.
LIMITS = {
    "file system": """
import ctypes, pathlib, shutil, subprocess
ctypes.CDLL(None).unshare(0x00020000)
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", {run!r}], check=True)
shutil.copytree({stopped!r}, {run!r}, dirs_exist_ok=True)
with open({run!r} + "/ballast", "wb", 0) as file:
    try:
        while file.write(b"0" * 4096):
            pass
    except OSError:
        pass
kept = {{p: p.read_bytes() for p in pathlib.Path({run!r}, "checkpoints").iterdir()}}
def after():
    found = {{p: p.read_bytes() for p in pathlib.Path({run!r}, "checkpoints").iterdir()}}
    assert found == kept, sorted(found)
""",
    "file size": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))",
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_disk_that_is_really_full(node_run, stopped, tmp_path, fork_server, limit):
    """A run resumes where there is no room: one clear line, and its checkpoints stay whole."""
    kept = {path: path.read_bytes() for path in (stopped / "checkpoints").iterdir()}
    run = stopped
    if limit == "file system":
        run = tmp_path / "full"
        run.mkdir()
        if subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", run]).returncode:
            pytest.skip("this machine does not let its user mount a file system")
    before = LIMITS[limit].format(stopped=str(stopped), run=str(run))
    job = fork_server.start(f"resume={run}", "trainer.threads=1", folder=tmp_path, before=before)
    code, said = job.wait(), job.output.read_text()
    assert code in (1, 2), said
    lines = [line for line in said.splitlines() if line.startswith("node-run: ")]
    assert len(lines) == 1, said
    assert "Traceback" not in said
    assert "No space left" in lines[0] or "File too large" in lines[0]
    assert {path: path.read_bytes() for path in (stopped / "checkpoints").iterdir()} == kept
    again = node_run(f"resume={stopped}")
    assert again.code == 0, again.err
    assert content(stopped)["status"] == "completed"


def test_a_full_disk_is_named_and_the_run_goes_on_later(node_run, tiny, monkeypatch):
    from node_experiments import files

    write = files.write_atomically

    def full(path, *arguments, **options):
        if path.name == "last.pt" and (path.parent / "previous.pt").exists():
            raise OSError(28, "No space left on device", str(path))
        write(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr("node_experiments.training.checkpoints.write_atomically", full)
        result = node_run(*MLP, *tiny)
    assert result.code == 1
    assert "No space left on device" in result.err
    assert len([line for line in result.err.splitlines() if line]) == 1
    assert content(result.folders[0])["status"] == "failed"
    result = node_run(*MLP, *tiny, "resume=auto")
    assert result.code == 0, result.err
    assert content(result.folders[0])["status"] == "completed"


@pytest.fixture
def permissions_hold():
    """For root as well: it lays down the capabilities that override permissions."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None)
    this_thread = (ctypes.c_uint32 * 2)(0x20080522, 0)
    before = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    assert libc.capget(this_thread, before) == 0
    less = (ctypes.c_uint32 * 6)(before[0] & ~0b110, *before[1:])  # DAC_OVERRIDE, DAC_READ_SEARCH
    assert libc.capset(this_thread, less) == 0
    yield
    assert libc.capset(this_thread, before) == 0


def allow_writing(folder, allowed):
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755 if allowed else 0o555)


@pytest.mark.parametrize(
    "arguments",
    [
        ("outputs=locked",),
        ("outputs=locked", "resume=auto"),
        ("hydra.run.dir=locked",),
        ("-m", "seed=0,1", "hydra.sweep.dir=locked"),
    ],
)
def test_a_folder_that_cannot_be_written(node_run, tiny, tmp_path, permissions_hold, arguments):
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "jobs.jsonl").touch()
    locked.chmod(0o555)
    result = node_run(*arguments[:1], *MLP, *tiny, *arguments[1:])
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert "cannot write the run folder: Permission denied" in result.err
    assert [path.name for path in locked.iterdir()] == ["jobs.jsonl"]


def test_a_run_that_can_no_longer_be_written_is_not_gone_on_with(
    node_run, stopped, permissions_hold
):
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    allow_writing(stopped, False)
    result = node_run(f"resume={stopped}")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert f"the run folder {stopped} cannot be written: Permission denied" in result.err
    assert {path: path.read_bytes() for path in before} == before
    allow_writing(stopped, True)
    assert node_run(f"resume={stopped}").code == 0


def test_a_run_folder_that_becomes_read_only(
    node_run, tiny, tmp_path, monkeypatch, permissions_hold
):
    (undisturbed,) = node_run(*MLP, *tiny, "outputs=undisturbed").folders
    saved = {}

    def step_start(self, trainer):
        if trainer.step == 4:
            saved.update({path: path.read_bytes() for path in outputs.rglob("*.pt")})
            allow_writing(outputs, False)

    outputs = tmp_path / "outputs"
    with monkeypatch.context() as patch:
        patch.setattr(Timing, "step_start", step_start)
        result = node_run(*MLP, *tiny)
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "Permission denied" in result.err
    assert "make it writable, then run the same command with resume=auto" in result.err
    assert {path.name for path in saved} == {"best.pt", "last.pt", "previous.pt"}
    assert {path: path.read_bytes() for path in outputs.rglob("*.pt")} == saved
    allow_writing(outputs, True)
    result = node_run(*MLP, *tiny, "resume=auto")
    assert result.code == 0, result.err
    (folder,) = [folder for folder in result.folders if folder != undisturbed]
    assert torch.equal(weights(folder), weights(undisturbed))
    assert epochs(folder) == epochs(undisturbed)


def test_a_log_that_cannot_be_written_does_not_end_a_run(node_run, tiny, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "node-run.log").symlink_to("/dev/full")
    result = node_run(*MLP, *tiny, "hydra.run.dir=run")
    assert result.code == 0, result.err
    assert not result.err


def test_time_may_run_backwards(node_run, tiny, stopped, monkeypatch):
    """No clock says which run of a configuration is the newest, nor what came after what."""
    older = stopped.with_name("1999-12-31_23-59-59-000000")
    stopped.rename(older)
    then = time.time() - 1e6
    monkeypatch.setattr(time, "time", lambda: then)
    result = node_run(*MLP, "scheduler=none", *tiny, "resume=auto")
    assert result.code == 0, result.err
    assert result.folders == [older]
    assert [row["epoch"] for row in epochs(older)] == [1, 2, 3]
    dashboard = EventAccumulator(str(older))
    dashboard.Reload()
    assert [event.step for event in dashboard.Scalars("loss/test")] == [2, 4, 6]
    assert [event.step for event in dashboard.Scalars("loss/train")] == [1, 2, 3, 4, 5, 6]


def test_profile_and_debug(node_run, tiny):
    result = node_run(*MLP, *tiny, "trainer.profile=true")
    assert result.code == 0, result.err
    profile = result.folders[0] / "profile"
    assert json.loads((profile / "trace.json").read_text())["traceEvents"]
    assert "aten::addmm" in (profile / "operations.txt").read_text()

    fast = node_run("experiment=mnist_mlp", "debug=fast", "outputs=fast")
    folder = next(f for f in fast.folders if "fast" in f.parts)
    assert content(folder)["metrics"]["step"] == 2

    overfit = node_run(*MLP, *tiny, "debug=overfit", "trainer.epochs=25", "outputs=overfit")
    folder = next(f for f in overfit.folders if "overfit" in f.parts)
    assert content(folder)["metrics"]["accuracy/train"] > 0.9


def test_debug_nan_says_where(node_run, tiny, monkeypatch):
    from node_experiments.chapters.image_classification.task import Classification

    def loss(self, model, batch, step):
        return model(batch[0]).sub(1e9).clamp(max=-1).sqrt().sum(), {}

    monkeypatch.setattr(Classification, "loss", loss)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anomaly mode warns that it is slow, and shows the trace
        result = node_run(*MLP, *tiny, "debug=nan")
    assert result.code == 1
    assert "SqrtBackward" in result.err


def test_paths_are_relative_to_where_the_command_was_given(node_run, stopped, tmp_path):
    result = node_run(f"resume={stopped.relative_to(tmp_path)}")
    assert result.code == 0, result.err
    assert Path(result.folders[0]) == stopped
