"""From a user's file to forecasts in a file, through the command line."""

import json
import math
import random
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

TINY = ("protocol=smoke", "trainer.threads=1", "trainer.progress=false")


def frame(patients=24, seed=3):
    draw = random.Random(seed)
    rows = []
    for n in range(patients):
        phase, level = draw.uniform(0, 6), draw.gauss(80, 8)
        for t in sorted({round(draw.uniform(0, 48), 2) for _ in range(8)}):
            wave = math.sin(t / 3 + phase)
            temp = 37 + 0.5 * wave if draw.random() < 0.7 else None
            rows.append((f"p{n:02d}", t, level + 9 * wave, temp, "high" if n % 2 else "low"))
    return pd.DataFrame(rows, columns=["series", "time", "hr", "temp", "level"])


CLASSIFY = ("dataset.task=classification", "dataset.label_column=level")


@pytest.fixture
def table(tmp_path):
    frame().to_csv(tmp_path / "patients.csv", index=False)
    return frame()


def trained(node_run, experiment, *overrides):
    done = node_run(f"experiment={experiment}", "dataset.path=patients.csv", *TINY, *overrides)
    assert done.code == 0, done.err
    return str(done.folders[-1])


@pytest.mark.parametrize("model", ["latent_ode", "ode_rnn", "gru_d", "rnn_dt", "rnn_vae"])
def test_forecasts_of_new_patients(node_run, tmp_path, table, model):
    run = trained(node_run, f"csv_{model}")
    past = table[(table["time"] <= 24) & (table["series"] < "p05")]
    past[["time", "temp", "hr", "series"]].to_csv(tmp_path / "new.csv", index=False)
    done = node_run(
        "mode=predict", f"checkpoint={run}", "dataset.path=new.csv", "predict.times=[30,36,20]",
        "predict.out=deep/forecasts.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "forecasts.csv" in done.out
    found = pd.read_csv(tmp_path / "deep" / "forecasts.csv")
    features = [f"{name}{end}" for name in ("hr", "temp") for end in ("", "_q05", "_q95")]
    assert list(found.columns) == ["series", "time", *features]
    assert found["series"].unique().tolist() == sorted(past["series"].unique())
    assert found["time"].tolist() == [20, 30, 36] * past["series"].nunique()
    assert (found["hr_q05"] < found["hr"]).all()
    assert (found["hr"] < found["hr_q95"]).all()
    assert found["hr"].between(20, 140).all()  # in the user's units
    assert any(tmp_path.rglob("forecast.png"))


def test_times_are_those_of_the_table_whatever_its_unit(node_run, tmp_path, table):
    dates = table.assign(time=pd.Timestamp("2024-03-01") + pd.to_timedelta(table["time"], "h"))
    dates.to_csv(tmp_path / "patients.csv", index=False)
    run = trained(node_run, "csv_gru_d")
    done = node_run(
        "mode=predict", f"checkpoint={run}", "dataset.path=patients.csv",
        "predict.times=['2024-03-02 12:00']", "predict.out=f.parquet",
    )  # fmt: skip
    assert done.code == 0, done.err
    found = pd.read_parquet(tmp_path / "f.parquet")
    assert set(found["time"].astype(str)) == {"2024-03-02 12:00"}
    done = node_run(
        "mode=predict", f"checkpoint={run}", "dataset.path=patients.csv", "predict.out=f.npz"
    )
    assert done.code == 0, done.err
    with np.load(tmp_path / "f.npz") as arrays:
        assert len(arrays["hr"]) == 50 * table["series"].nunique()


def test_an_evaluation_reads_a_new_file_by_what_was_learned(node_run, tmp_path, table):
    run = trained(node_run, "csv_rnn_dt", *CLASSIFY, "dataset.validation_size=8")

    def evaluated(changed):
        changed.to_csv(tmp_path / "new.csv", index=False)
        done = node_run("mode=eval", f"checkpoint={run}", "dataset.path=new.csv")
        line = next((x for x in done.out.splitlines() if "test" in x), done.err)
        return done.code, line.partition("completed in")[2].partition(" s: ")[2] or line

    code, same = evaluated(table[::-1])  # another file
    assert code == 0
    assert "on 24 " in same  # all of them
    assert evaluated(table[["level", "temp", "time", "series", "hr"]])[1] == same
    assert evaluated(table.assign(hr=table["hr"] * 10 + 500))[1] != same
    code, line = evaluated(table.replace({"level": {"high": "zhigh"}}))
    assert code == 2
    assert "the class 'zhigh' was not there" in line
    code, line = evaluated(table.drop(columns="temp"))
    assert (code, "the column 'temp' is not there" in line) == (2, True)

    unlabelled = table.drop(columns="level")
    unlabelled.to_csv(tmp_path / "new.csv", index=False)
    done = node_run("mode=predict", f"checkpoint={run}", "dataset.path=new.csv")
    assert done.code == 0, done.err
    found = pd.read_csv(tmp_path / "forecasts.csv")
    np.testing.assert_allclose(
        found["probability of high"] + found["probability of low"], 1, rtol=1e-5
    )


def test_a_class_that_is_missing_in_validation(node_run, tmp_path, table):
    rare = table.assign(level=(table["series"] == "p03").map({True: "ill", False: "well"}))
    rare.to_csv(tmp_path / "patients.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        run = trained(node_run, "csv_rnn_dt", *CLASSIFY, "dataset.validation_size=2")
    log = (Path(run) / "node-run.log").read_text()
    assert "auc is undefined on the validation data" in log
    best = json.loads((Path(run) / "result.json").read_text())["best"]
    assert best["by"] == "loss/validation"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("predict.times=abc", "start:stop:step such as 24:48:1"),
        ("predict.out=x.txt", "a file .csv, .parquet or .npz"),
        ("predict.samples=0", "at least 1"),
        ("model.hidden=3", "model.hidden cannot be changed"),
    ],
)
def test_what_cannot_be_predicted(node_run, table, asked, message):
    run = trained(node_run, "csv_rnn_dt")
    done = node_run("mode=predict", f"checkpoint={run}", "dataset.path=patients.csv", asked)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_a_model_of_other_data_has_no_forecasts_of_a_file(node_run):
    done = node_run("experiment=figure1", *TINY)
    done = node_run("mode=predict", f"checkpoint={done.folders[-1]}")
    assert done.code == 2
    assert "allowed: csv" in done.err
