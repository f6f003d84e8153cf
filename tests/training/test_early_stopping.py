"""`trainer.patience`, `trainer.init_from` and the status `diverged`, in runs of all kinds."""

import json
import re
import threading
import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from tests.chapters.irregular_series.test_own_data import frame

TINY = ("trainer.threads=1", "trainer.progress=false", "protocol=smoke")
SERIES = ("experiment=csv_rnn_dt", "dataset.path=patients.csv", *TINY)


@pytest.fixture(autouse=True)
def _table(tmp_path):
    frame().to_csv(tmp_path / "patients.csv", index=False)


def result_in(folder):
    return json.loads((Path(folder) / "result.json").read_text())


def test_training_stops_where_nothing_becomes_better(node_run):
    # A rate this small changes no digit of the metric after the first evaluation.
    done = node_run(*SERIES, "trainer.epochs=30", "trainer.patience=3", "optimizer.lr=1e-30")
    assert done.code == 0, done.err
    assert "(stopped: patience, no better mse/validation in 3 evaluations)" in done.out
    result = result_in(done.folders[-1])
    assert result["status"] == "completed"
    assert result["stopped"].startswith("patience")
    assert result["metrics"]["epoch"] == 4
    assert "the schedule one_cycle is laid over all 30 epochs" in done.out


def test_a_resumed_run_has_waited_as_long(node_run):
    settings = ("trainer.epochs=30", "optimizer.lr=1e-30", "scheduler=none")
    done = node_run(*SERIES, *settings, "trainer.epochs=3")
    folder = done.folders[-1]
    last = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
    assert last["waited"] == 2
    done = node_run(f"resume={folder}", "trainer.epochs=30", "trainer.patience=4")
    assert done.code == 0, done.err
    assert result_in(folder)["metrics"]["epoch"] == 5


def test_patience_needs_validation_data(node_run):
    done = node_run(*SERIES, "trainer.patience=2", "dataset.validation_size=0")
    assert done.code == 2
    assert "set dataset.validation_size above 0" in done.err


def test_patience_stops_any_experiment(node_run):
    done = node_run(
        "experiment=ode_demo", *TINY, "trainer.epochs=9", "trainer.patience=1",
        "optimizer.lr=1e-30",
    )  # fmt: skip
    assert done.code in (0, 2), done.err
    assert "stopped: patience" in done.out or "no validation data" in done.err


def test_weights_of_another_run_are_where_training_starts(node_run, tmp_path):
    first = node_run(*SERIES, "trainer.epochs=4").folders[-1]
    again = node_run(
        *SERIES, f"trainer.init_from={first}", "optimizer.lr=1e-30", "seed=5", "name=b"
    )
    assert again.code == 0, again.err
    folder = next(path for path in again.folders if path != first)
    weights = [
        torch.load(run / "checkpoints" / "best.pt", weights_only=True)["model"]
        for run in (first, folder)
    ]
    for name, value in weights[0].items():
        if "predictive_noise" not in name:  # fitted again
            torch.testing.assert_close(weights[1][name], value, msg=name)


def test_training_starts_from_the_latest_run_of_the_same_outputs(node_run):
    quick = (*SERIES, "trainer.epochs=1")
    assert node_run(*quick, "model.latent=6").code == 0  # elsewhere, and of another size
    there = node_run(*quick, "outputs=there").folders[-1]
    again = node_run(*quick, "outputs=there", "trainer.init_from=latest", "name=b")
    assert again.code == 0, again.err
    (folder,) = (path for path in again.folders if path.parent.name == "b")
    config = (folder / "config.yaml").read_text()
    assert yaml.safe_load(config)["trainer"]["init_from"] == f"there/csv_rnn_dt/{there.name}"


def test_weights_of_inputs_that_were_scaled_otherwise_are_said(node_run, tmp_path):
    table = frame()
    first = node_run(*SERIES).folders[-1]
    same = node_run(*SERIES, f"trainer.init_from={first}", "seed=5", "name=b")
    assert "there and" not in same.out + same.err
    table.assign(time=table.time / 2, hr=2 * table.hr).to_csv("patients.csv", index=False)
    done = node_run(*SERIES, f"trainer.init_from={first}", "name=c")
    assert done.code == 0, done.err
    said = done.out + done.err
    kept = re.search(r"is ([\d.]+) there and ([\d.]+) here.*set dataset.time_scale=(\S+)", said)
    assert float(kept[1]) == pytest.approx(2 * float(kept[2]), rel=1e-4)
    assert kept[3] == kept[1]
    assert "its weights are for 'hr' around" in said
    assert "for 'temp' around" not in said


WRONG = {
    "model.latent=5": "has the shape",
    "model=gru_d": "head.0.weight has the shape [8, 5] there and [8, 4] here",
    "dataset.value_columns=[temp,hr]": "its features are hr, temp, and those of this run are temp",
    "trainer.init_from=nowhere": "trainer.init_from=nowhere is missing",
}


def test_weights_that_do_not_fit(node_run):
    first = node_run(*SERIES).folders[-1]
    for change, message in WRONG.items():
        done = node_run(*SERIES, f"trainer.init_from={first}", change, "name=b")
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1
        # A writer that is still open would write into the folder that is removed.
        assert not [thread for thread in threading.enumerate() if "Writer" in repr(thread)]


def diverged(node_run, *more):
    bad = ("optimizer.lr=30", "scheduler=none", "model.noise_std=1.0", "trainer.clip_norm=null")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return node_run(*SERIES, *bad, "trainer.epochs=4", *more)


def test_a_run_far_worse_than_the_mean_is_not_completed(node_run, tmp_path):
    done = diverged(node_run)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert "diverged: mse on the validation data is" in line
    assert "when the training mean is predicted; lower optimizer.lr" in line
    result = result_in(done.folders[-1])
    assert result["status"] == "diverged"
    # The same command with resume=auto trains nothing again, and does not call it completed.
    again = diverged(node_run, "resume=auto")
    assert again.code == 1
    assert "was run before: diverged" in again.err
    assert again.folders == done.folders


def test_the_baseline_is_the_mean_of_the_training_series(tmp_path):
    from node_experiments.chapters.irregular_series.baselines import error_of_mean
    from node_experiments.chapters.irregular_series.csv_series import csv_data
    from node_experiments.chapters.irregular_series.settings import CSVConfig

    rows = [(s, t, 10.0 * (s % 2) + t) for s in range(20) for t in range(3)]
    pd.DataFrame(rows, columns=["series", "time", "x"]).to_csv(tmp_path / "x.csv", index=False)
    settings = CSVConfig(path=str(tmp_path / "x.csv"), task="interpolation", scaling="none")
    data = csv_data(settings)
    train = data.train.data.target.values
    test = data.test.data.target.values
    expected = float((test - train.mean()).square().mean())
    assert error_of_mean(data.train, data.test, data.dim) == pytest.approx(expected, rel=1e-5)
    # Of extrapolation it is the mean of what is to be forecast.
    later = csv_data(CSVConfig(path=str(tmp_path / "x.csv"), scaling="none"))
    train, test = (part.data.target.values for part in (later.train, later.test))
    expected = float((test - train.mean()).square().mean())
    assert error_of_mean(later.train, later.test, later.dim) == pytest.approx(expected, rel=1e-5)
