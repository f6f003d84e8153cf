"""Loggers by choice: what each is given, and what is said where its library is missing."""

import importlib.util
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
from matplotlib.figure import Figure

from node_experiments.config import ConfigError
from node_experiments.runner.run import check_loggers
from node_experiments.tracking.loggers import TrackedRun, Tracking, make_loggers
from node_experiments.training.loop import TrainingDiverged
from node_experiments.training.signals import Interrupted

SETTINGS = {"solver": "rk4", "optimizer.lr": 0.1, "seed": 0}


def log_two_epochs(name, folder, valid_until=None, first=1, status="completed"):
    run = TrackedRun(
        folder, "mnist", "accuracy", SETTINGS, {"command": "node-run"}, valid_until=valid_until
    )
    (logger,) = make_loggers([name], run)
    for step in range(first, 3):
        logger.scalars({"loss/train": 1.0 / step}, step)
        logger.scalars({"loss/test": 2.0 / step}, step)
        logger.figure("figures/training", Figure(), step)
        logger.flush()
    logger.close(status)


def forget():
    """Let the modules of loggers meet the libraries that are there now."""
    for name in ("wandb", "mlflow"):
        sys.modules.pop(f"node_experiments.tracking.{name}_run", None)


@pytest.fixture(autouse=True)
def _forget():
    forget()
    yield
    forget()


WAITING = ("trainer.epochs=9", "trainer.patience=1", "optimizer.lr=1e-30", "trainer.threads=1")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "completed"),
        (TrainingDiverged("diverged"), "diverged"),
        (Interrupted("interrupted"), "interrupted"),
        (OSError(28, "No space left on device"), "failed"),
    ],
)
def test_loggers_end_with_the_status_of_the_run(node_run, tiny, monkeypatch, error, status):
    """Of a run that its patience stops, after which something may still be wrong."""

    def check(trainer):
        assert trainer.epoch < trainer.epochs
        if error is not None:
            raise error

    ended = []
    logger = SimpleNamespace(
        scalars=lambda values, step: None, flush=lambda: None, close=ended.append
    )
    monkeypatch.setattr("node_experiments.runner.train.make_loggers", lambda *given: [logger])
    monkeypatch.setattr("node_experiments.runner.train.check_that_it_learned", check)
    result = node_run("experiment=mnist_mlp", "model.hidden=8", *tiny, *WAITING)
    assert ended == [status]
    (folder,) = result.folders
    assert json.loads((folder / "result.json").read_text())["status"] == status


def test_what_is_logged_is_at_the_training_step():
    logged = []
    logger = SimpleNamespace(
        scalars=lambda values, step: logged.append((step, sorted(values))), flush=lambda: None
    )
    trainer = SimpleNamespace(
        task=SimpleNamespace(metric="accuracy"), step=40, epoch=1, index=10, steps_per_epoch=20,
        epochs=2, window={"loss/train": 1.0}, metrics={"loss/train": 1.0, "loss/validation": 2.0},
    )  # fmt: skip
    tracking = Tracking([logger])
    tracking.log(trainer)
    tracking.epoch_end(trainer)
    assert logged == [(40, ["epoch", "loss/train"]), (40, ["loss/validation"])]


def test_csv(tmp_path):
    log_two_epochs("csv", tmp_path)
    whole = "step,loss/test,loss/train\n1,2.0,1.0\n2,1.0,0.5\n"
    assert (tmp_path / "metrics.csv").read_text() == whole
    log_two_epochs("csv", tmp_path, valid_until=1, first=2)
    assert (tmp_path / "metrics.csv").read_text() == whole


def test_wandb_is_given_each_step_once(tmp_path, monkeypatch):
    calls = []
    run = SimpleNamespace(
        log=lambda values, step: calls.append((step, values)),
        finish=lambda exit_code: calls.append(exit_code),
    )
    wandb = ModuleType("wandb")
    wandb.init = lambda **given: calls.append(given) or run
    wandb.Image = lambda figure: "image"
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    log_two_epochs("wandb", tmp_path)
    given, *logged, code = calls
    assert given["config"] == SETTINGS
    assert given["resume"] == "allow"
    assert "/" not in given["id"]
    assert code == 0
    assert [step for step, _ in logged] == [1, 1, 1, 2, 2, 2]
    assert logged[2] == (1, {"figures/training": "image"})


def test_mlflow_is_given_each_point_once(tmp_path, monkeypatch):
    points, settings, endings = [], [], []

    class Client:
        def __getattr__(self, name):
            return lambda *given, **options: None

        def get_experiment_by_name(self, name):
            return SimpleNamespace(experiment_id="1")

        def create_run(self, place, run_name):
            return SimpleNamespace(info=SimpleNamespace(run_id="7"))

        def log_batch(self, run_id, metrics=(), params=()):
            assert run_id == "7"
            points.extend(metrics)
            settings.extend(params)

        def set_terminated(self, run_id, status):
            endings.append(status)

        def get_run(self, run_id):
            return SimpleNamespace(data=SimpleNamespace(metrics={p.key: p.value for p in points}))

        def get_metric_history(self, run_id, tag):
            return [p for p in points if p.key == tag]

    def metric(key, value, timestamp, step):
        return SimpleNamespace(key=key, value=value, step=step)

    for name, content in (
        ("mlflow", {}),
        ("mlflow.entities", {"Metric": metric, "Param": lambda key, value: (key, value)}),
        ("mlflow.tracking", {"MlflowClient": Client}),
    ):
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    log_two_epochs("mlflow", tmp_path)
    once = [(p.key, p.step, p.value) for p in points]
    assert len(once) == 4
    assert dict(settings) == {"solver": "rk4", "optimizer.lr": "0.1", "seed": "0"}
    log_two_epochs("mlflow", tmp_path, valid_until=1)  # killed after step 2, resumed from step 1
    assert [(p.key, p.step, p.value) for p in points] == once
    for status in ("interrupted", "diverged", "failed"):
        log_two_epochs("mlflow", tmp_path, status=status)
    assert endings == ["FINISHED", "FINISHED", "KILLED", "FAILED", "FAILED"]


def test_wandb_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    log_two_epochs("wandb", tmp_path)
    assert list(tmp_path.rglob("*.wandb"))


def test_mlflow_in_files(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    log_two_epochs("mlflow", tmp_path)
    log_two_epochs("mlflow", tmp_path, valid_until=1)
    client = MlflowClient()
    run_id = (tmp_path / "mlflow_run_id").read_text()
    history = client.get_metric_history(run_id, "loss/train")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5)]
    assert client.get_run(run_id).data.params["solver"] == "rk4"


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, name):
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "node_experiments.tracking.loggers.find_spec",
        lambda library: None if library == name else there(library),
    )
    with pytest.raises(ConfigError, match=rf'pip install "node-experiments\[{name}\]"'):
        check_loggers(["tensorboard", name])


@pytest.mark.parametrize("names", [["tensorbord"], ["csv", "csv"], [""]])
def test_unknown_loggers(names):
    with pytest.raises(ConfigError, match=r"trainer\.loggers="):
        check_loggers(names)
