"""Many jobs: skipped when done, listed when failed, summed up at the end, on any launcher."""

import fcntl
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


@pytest.fixture
def study(node_run, tmp_path):
    """A command line that searches, and what its study holds by state."""
    optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="as above")
    arguments = (*MLP, "hydra/sweeper=optuna_study", "hydra.sweeper.n_trials=2")

    def trials():
        by_state = {}
        for trial in optuna.load_study("mnist_mlp_maximize", "sqlite:///outputs/optuna.db").trials:
            by_state.setdefault(trial.state.name, []).append(trial)
        return by_state

    return arguments, trials


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")  # of Optuna 2
def test_an_optuna_study_that_was_killed_goes_on(node_run, tiny, tmp_path, study):
    arguments = (
        *study[0], *tiny, "trainer.epochs=30", "optimizer.lr=interval(0.01,0.3)",
    )  # fmt: skip
    command = [sys.executable, "-m", "node_experiments", *arguments]
    search = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: list(tmp_path.glob("sweep/1_*/checkpoints/last.pt")))
    finally:
        search.kill()
        search.wait()
    before = stamps(tmp_path)
    assert len(before) == 1

    result = node_run(*arguments)
    assert result.code == 0, result.err
    trials = study[1]()
    assert [trial.params for trial in trials["FAIL"]] == [trials["COMPLETE"][1].params]
    assert len(trials["COMPLETE"]) == len(results(tmp_path)) == 2
    assert before.items() <= stamps(tmp_path).items()
    assert "resumed after step" in result.out

    again = node_run(*arguments)
    assert again.code == 0, again.err
    assert "study mnist_mlp_maximize is complete" in again.out
    assert len(study[1]()["COMPLETE"]) == 2


@pytest.mark.filterwarnings("ignore")  # as above
def test_a_trial_that_fails_does_not_end_a_study(node_run, tiny, study, monkeypatch):
    failing = iter(range(2))

    def step_start(self, trainer):
        if next(failing, None) is not None:
            raise RuntimeError("out of luck")

    monkeypatch.setattr(Timing, "step_start", step_start)
    result = node_run(
        *study[0], *tiny, "hydra.sweeper.n_trials=3", "optimizer.lr=interval(0.01,0.3)"
    )
    assert result.code == 1
    assert result.out.count("failed: RuntimeError: out of luck") == 2
    assert {state: len(of_it) for state, of_it in study[1]().items()} == {"FAIL": 2, "COMPLETE": 1}


@pytest.mark.filterwarnings("ignore")  # as above
def test_a_search_for_the_worst_settings_is_rejected(node_run, tiny, study):
    arguments = (*study[0], *tiny, "optimizer.lr=interval(0.01,0.3)")
    result = node_run(*arguments, "hydra.sweeper.direction=minimize")
    assert result.code != 0
    assert (
        "direction=minimize finds the worst settings, for 'accuracy' is a score; set "
        "hydra.sweeper.direction=maximize" in result.err + result.out
    )
    # The one in the wrong direction is another study.
    again = node_run(*arguments)
    assert again.code == 0, again.err
    assert {state: len(of_it) for state, of_it in study[1]().items()} == {"COMPLETE": 2}


@pytest.mark.filterwarnings("ignore")  # as above
def test_a_trial_that_another_process_runs_is_left_to_it(node_run, study, tmp_path):
    import optuna

    (tmp_path / "outputs").mkdir()
    other = optuna.create_study(
        "sqlite:///outputs/optuna.db", study_name="mnist_mlp_maximize", direction="maximize"
    )
    other.tell(other.ask(), 0.5)
    other.ask()
    arguments = (*study[0], "hydra.sweeper.n_trials=0", "optimizer.lr=0.1,0.2")
    with (tmp_path / "outputs" / "optuna.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert node_run(*arguments).code == 0
        assert study[1]().keys() == {"COMPLETE", "RUNNING"}
    assert node_run(*arguments).code == 0
    assert study[1]().keys() == {"COMPLETE", "FAIL"}


@pytest.mark.filterwarnings("ignore")  # as above
@pytest.mark.parametrize("storage", ["sqlite:////dev/null/study.db", "study.db"])
def test_a_study_without_a_database(node_run, study, storage):
    result = node_run(*study[0], f"hydra.sweeper.storage={storage}", "optimizer.lr=0.1,0.2")
    assert result.code == 2
    assert "hydra.sweeper.storage is not a usable database" in result.err
    assert result.err.count("\n") == 1


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
