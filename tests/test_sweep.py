"""Many jobs: skipped when done, listed when failed, summed up at the end, on any launcher."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from node_experiments.training.timing import Timing

MLP = ("-m", "experiment=mnist_mlp", "model.hidden=8", "hydra.sweep.dir=sweep")


def results(folder):
    return sorted(path.parent.name for path in folder.rglob("result.json"))


def stamps(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}


def test_done_jobs_are_skipped_and_new_ones_run(node_run, tiny, tmp_path):
    first = node_run(*MLP, *tiny, "seed=0,1")
    assert first.code == 0, first.err
    before = stamps(tmp_path)
    again = node_run(*MLP, *tiny, "seed=2,1,0")
    assert again.code == 0, again.err
    assert again.out.count("was completed before") == 2
    after = stamps(tmp_path)
    assert len(after) == 3
    assert all(after[path] == stamp for path, stamp in before.items())
    assert results(tmp_path) == ["0_seed=0", "0_seed=2", "1_seed=1"]
    assert len(list((tmp_path / "sweep").glob("*/.hydra"))) == 3, "skipped jobs leave no folder"


def test_the_summary_has_what_ways_are_compared_by(node_run, tiny):
    result = node_run(
        "-m", "experiment=mnist_odenet", "model.channels=8", *tiny, "gradient=adjoint,backprop"
    )
    assert result.code == 0, result.err
    for heading in (
        "overrides", "status", "accuracy/test", "seconds per step", "evaluations forward",
        "backward", "saved MB", "peak MB",
    ):  # fmt: skip
        assert heading in result.out
    assert "gradient=adjoint" in result.out
    assert "job 1 gradient=backprop mnist_odenet completed in" in result.out


def test_failed_jobs_are_listed_and_the_others_run(node_run, tiny):
    result = node_run(*MLP, *tiny, "scheduler=none", "optimizer.lr=1e30,-1,0.1")
    assert result.code == 1
    table, _, failures = result.out.partition("└")
    assert "completed" in table
    assert "job 0 optimizer.lr=1e+30 diverged: the loss became" in failures
    assert "job 1 optimizer.lr=-1 failed: optimizer.lr=-1.0 must be" in failures
    assert "job 2" not in failures
    assert "Traceback" not in result.err


def test_a_sweep_from_a_file(node_run, tiny):
    result = node_run("experiment=mnist_mlp", "model.hidden=8", "sweep=seeds", *tiny)
    assert result.code == 0, result.err
    assert [folder.name for folder in result.folders] == [f"{n}_seed={n}" for n in range(5)]


@pytest.mark.thorough
def test_joblib_runs_jobs_side_by_side(node_run, tiny):
    pytest.importorskip(
        "hydra_plugins.hydra_joblib_launcher", reason="the extra `sweep` is not installed"
    )
    result = node_run(
        *MLP, *tiny, "optimizer.lr=0.1,-1", "hydra/launcher=local_parallel",
        "hydra.launcher.n_jobs=2",
    )  # fmt: skip
    assert result.code == 1
    assert len(result.folders) == 1
    assert result.out.count("failed: optimizer.lr=-1.0 must be") == 1
    assert "accuracy/test" in result.out


@pytest.mark.thorough
def test_submitit_puts_a_preempted_job_into_the_queue_again(tmp_path, tiny):
    pytest.importorskip(
        "hydra_plugins.hydra_submitit_launcher", reason="the extra `slurm` is not installed"
    )
    arguments = (
        *MLP, *tiny, "trainer.epochs=8", "hydra/launcher=slurm_local", "seed=0",
        "dataset.train_size=64",
    )  # fmt: skip
    command = [sys.executable, "-m", "node_experiments", *arguments]
    sweep = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        (folder,) = wait_for(lambda: list(tmp_path.glob("sweep/0_*")))
        wait_for(lambda: (folder / "metrics.jsonl").exists())
        pid = int((folder / ".lock").read_text().split()[0])
        os.kill(pid, signal.SIGUSR2)
        out, _ = sweep.communicate(timeout=240)
    finally:
        sweep.kill()
    assert sweep.returncode == 0, out
    log = (folder / "node-run.log").read_text()
    assert "resumed after step" in log
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert json.loads((folder / "result.json").read_text())["status"] == "completed"


def test_settings_of_a_dataset_go_with_swept_experiments(node_run):
    result = node_run(
        "-m", "experiment=spirals_rnn,spirals_rnn_dt", "dataset.observations=50", "protocol=smoke"
    )
    assert result.code == 0, result.err
    names = [folder.name for folder in result.folders]
    assert names == ["0_experiment=spirals_rnn", "1_experiment=spirals_rnn_dt"]
    (sweep,) = {folder.parent for folder in result.folders}
    assert sweep.parent.name == "several"
    assert "spirals_rnn_dt" in result.out
    assert str(sweep)[-20:] in result.out


@pytest.mark.thorough
def test_ray_runs_jobs_in_a_cluster_of_this_machine(tmp_path, tiny):
    pytest.importorskip(
        "hydra_plugins.hydra_ray_launcher",
        reason="the extra `ray` is not installed; `dev` leaves it out on Python 3.14",
    )
    arguments = (
        *MLP, *tiny, "seed=0,1", "hydra/launcher=ray_cluster",
        "hydra.launcher.ray.init.address=local", "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init.include_dashboard=false",
    )  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-m", "node_experiments", *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "RAY_AUTH_MODE": "disabled"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert results(tmp_path / "sweep") == ["0_seed=0", "1_seed=1"]
    assert "accuracy/test" in result.stdout


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise TimeoutError


def test_a_sweep_that_is_stopped_begins_no_further_job(node_run, tiny, tmp_path, monkeypatch):
    def step_start(self, trainer):
        if trainer.step == 1:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Timing, "step_start", step_start)
        stopped = node_run(*MLP, *tiny, "seed=0,1")
    assert stopped.code == 144
    assert results(tmp_path) == ["0_seed=0"]
    again = node_run(*MLP, *tiny, "seed=0,1")
    assert again.code == 0, again.err
    assert "resumed after step 2" in again.out
    assert results(tmp_path) == ["0_seed=0", "1_seed=1"]


PRESETS = {
    "launcher=local_parallel": "sweep",
    "launcher=slurm": "slurm",
    "launcher=ray_cluster": "ray",
    "sweeper=optuna_study": "optuna",
}


def test_presets_name_the_extra_that_they_need(tmp_path, tiny):
    """As if no plugin were installed: they are found through this namespace only."""
    script = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('hydra_plugins'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from node_experiments.cli.main import main\n"
        f"for preset in {[*PRESETS]!r}:\n"
        f"    assert main(['-m', 'hydra/' + preset, *{tiny!r}, 'seed=0,1']) == 2\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == len(PRESETS)
    for line, extra in zip(lines, PRESETS.values(), strict=True):
        assert f'pip install "node-experiments[{extra}]"' in line
