"""Optuna searches: resumed, each with a separate study, in the right direction."""

import fcntl
import subprocess
import sys

import pytest

from node_experiments.training.timing import Timing
from tests.test_sweep import MLP, results, stamps, wait_for

STORAGE = "sqlite:///outputs/optuna.db"


def names_of_studies():
    import optuna

    return sorted(study.study_name for study in optuna.get_all_study_summaries(STORAGE))


def study_of(start):
    """The only study whose name starts like this."""
    import optuna

    (name,) = (name for name in names_of_studies() if name.startswith(start))
    return optuna.load_study(name, STORAGE)


@pytest.fixture
def study(node_run, tmp_path):
    """A command line that searches, and what its study holds by state."""
    pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="as above")
    arguments = (*MLP, "hydra/sweeper=optuna_study", "hydra.sweeper.n_trials=2")

    def trials():
        by_state = {}
        for trial in study_of("mnist_mlp_maximize").trials:
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
    assert "study mnist_mlp_maximize_" in again.out
    assert " is complete; for more" in again.out
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
    assert result.code == 2
    said = "direction=minimize finds the worst settings, for 'accuracy' is a score; set "
    assert result.err.count(f"{said}hydra.sweeper.direction=maximize") == 1, "no second trial"
    # The one in the wrong direction is another study.
    again = node_run(*arguments)
    assert again.code == 0, again.err
    assert {state: len(of_it) for state, of_it in study[1]().items()} == {"COMPLETE": 2}


@pytest.mark.filterwarnings("ignore")  # as above
def test_a_trial_that_another_process_runs_is_left_to_it(node_run, study, tmp_path):
    import optuna

    (tmp_path / "outputs").mkdir()
    other = optuna.create_study(STORAGE, study_name="mnist_mlp_maximize", direction="maximize")
    done = other.ask()
    done.suggest_categorical("optimizer.lr", ["0.1", "0.2"])
    for key, value in {"experiment": "mnist_mlp", "model.hidden": "8"}.items():
        done.set_user_attr(key, value)
    other.tell(done, 0.5)
    other.ask()
    arguments = (
        *study[0], "hydra.sweeper.n_trials=0", "optimizer.lr=0.1,0.2",
        "hydra.sweeper.study_name=mnist_mlp_maximize",
    )  # fmt: skip
    with (tmp_path / "outputs" / "optuna.db.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert node_run(*arguments).code == 0
        assert study[1]().keys() == {"COMPLETE", "RUNNING"}
    assert node_run(*arguments).code == 0
    assert study[1]().keys() == {"COMPLETE", "FAIL", "WAITING"}


@pytest.mark.filterwarnings("ignore")  # as above
@pytest.mark.parametrize("storage", ["sqlite:////dev/null/study.db", "study.db"])
def test_a_study_without_a_database(node_run, study, storage):
    result = node_run(*study[0], f"hydra.sweeper.storage={storage}", "optimizer.lr=0.1,0.2")
    assert result.code == 2
    assert "hydra.sweeper.storage is not a usable database" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.filterwarnings("ignore")  # as above
def test_searches_with_other_settings_do_not_share_a_study(node_run, study, tiny, tmp_path):
    arguments = (*study[0], *tiny, "hydra.sweeper.n_trials=1", "optimizer.lr=interval(0.01,0.3)")
    for extra in ((), ("seed=1",), ("optimizer.lr=interval(0.01,0.2)",)):
        result = node_run(*arguments, *extra)
        assert result.code == 0, result.err
    assert len(names_of_studies()) == 3
    again = node_run(*arguments, "trainer.progress=false")
    assert again.code == 0, again.err
    assert " is complete; for more, raise its n_trials" in again.out
    assert len(names_of_studies()) == 3


@pytest.mark.filterwarnings("ignore")  # as above
def test_a_study_that_the_user_named_goes_on_but_not_with_another_search(node_run, study, tiny):
    named = (
        *study[0], *tiny, "hydra.sweeper.study_name=mine", "hydra.sweeper.n_trials=1",
        "optimizer.lr=interval(0.01,0.3)",
    )  # fmt: skip
    assert node_run(*named).code == 0
    wider = node_run(*named, "optimizer.lr=interval(0.01,0.4)", "hydra.sweeper.n_trials=2")
    assert wider.code == 0, wider.err
    for extra, said in (
        ("seed=1", "its trials have seed=default, and this one has seed=1; "),
        ("trainer.clip_norm=1,2", "its trials have trainer.clip_norm=default, and this one has "),
        ("optimizer.lr=0.1", "its trials have optimizer.lr=searched, and this one has optimizer"),
    ):
        other = node_run(*named, extra)
        assert other.code == 2
        assert other.err.startswith("node-run: hydra.sweeper.study_name=mine is the study of")
        assert said in other.err
        assert other.err.endswith("leave the name out, or give one that is new\n")
        assert other.err.count("\n") == 1
    assert names_of_studies() == ["mine"]
    assert len(study_of("mine").trials) == 2
