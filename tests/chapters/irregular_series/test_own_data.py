"""From a user's file to forecasts in a file, through the command line."""

import json
import math
import random
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.grids import always

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


@pytest.mark.parametrize(
    "model",
    always(["latent_ode", "gru_d"], ["latent_ode", "ode_rnn", "gru_d", "rnn_dt", "rnn_vae"]),
)
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
    assert any(tmp_path.rglob("prediction.png"))
    said = done.out + done.err
    assert "forecasts reach" not in said
    assert "the model was trained on most of the series" not in said
    assert ("was trained on forecasts alone" in said) == (model not in ("latent_ode", "rnn_vae"))
    far = node_run(
        "mode=predict", f"checkpoint={run}", "dataset.path=new.csv", "predict.times=[150]"
    )
    assert re.search(r"forecasts reach 3\.\d+ times as far as the training", far.out + far.err)


def test_times_are_those_of_the_table_whatever_its_unit(node_run, tmp_path, table):
    dates = table.assign(time=pd.Timestamp("2024-03-01") + pd.to_timedelta(table["time"], "h"))
    dates.to_csv(tmp_path / "patients.csv", index=False)
    run = trained(node_run, "csv_gru_d")
    done = node_run(
        "mode=predict", f"checkpoint={run}", "dataset.path=patients.csv",
        "predict.times=['2024-03-02 12:00']", "predict.out=f.parquet",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "the model was trained on most of the series in this file" in done.out + done.err
    found = pd.read_parquet(tmp_path / "f.parquet")
    assert set(found["time"]) == {pd.Timestamp("2024-03-02 12:00")}
    (tmp_path / "f.parquet").rename(tmp_path / "asked.parquet")
    done = node_run(
        "mode=predict", f"checkpoint={run}", "dataset.path=patients.csv", "predict.out=f.parquet",
        "predict.times=[6,12]", "predict.after_last=true",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "was trained on forecasts alone" not in done.out + done.err
    found = pd.read_parquet(tmp_path / "f.parquet")
    ahead = found["time"] - found["series"].map(dates.groupby("series")["time"].max())
    assert found["time"].dtype == pd.read_parquet(tmp_path / "asked.parquet")["time"].dtype
    hours = ahead.dt.total_seconds().round(3) / 3600
    assert hours.tolist() == [6, 12] * table["series"].nunique()
    assert found["hr"].notna().all()
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
        line = next((x for x in done.out.splitlines() if "completed in" in x), done.err)
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
    found = pd.read_csv(tmp_path / "predictions.csv")
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


UNPREDICTABLE = {
    "predict.times=abc": "start:stop:step such as 24:48:1",
    "predict.out=x.txt": "a file .csv, .parquet or .npz",
    "predict.samples=0": "at least 1",
    "predict.after_last=true": "needs numbers in predict.times, such as 1:24:1; found None",
    "model.hidden=3": "model.hidden cannot be changed",
}


def test_what_cannot_be_predicted(node_run, table):
    run = trained(node_run, "csv_rnn_dt")
    for asked, message in UNPREDICTABLE.items():
        done = node_run("mode=predict", f"checkpoint={run}", "dataset.path=patients.csv", asked)
        assert done.code == 2
        assert message in done.err
        assert done.err.count("\n") == 1


def result_in(run):
    return json.loads((Path(run) / "result.json").read_text())


def test_the_form_of_a_file_does_not_change_what_is_learned(node_run, tmp_path, table):
    """Minutes, dates in the far past of others, and a long table with decimal commas."""
    start = pd.Timestamp("2024-03-01")
    own_day = table["series"].str[1:].astype(int) * 30
    dates = start + pd.to_timedelta(own_day, "D") + pd.to_timedelta(table["time"], "h")
    long = table.melt(["series", "time"], ["hr", "temp"]).dropna()
    forms = {
        "plain": table,
        "minutes": table.assign(time=(table["time"] * 60).round(2)),
        "dates": table.assign(time=dates)[::-1],
        "long": long,
    }
    errors = {}
    for name, form in forms.items():
        sign = {"sep": ";", "decimal": ","} if name == "long" else {}
        form.to_csv(tmp_path / "patients.csv", index=False, **sign)
        run = trained(node_run, "csv_rnn_dt", f"name={name}")
        errors[name] = result_in(run)["metrics"]["mse/test"]
    for error in errors.values():
        assert error == pytest.approx(errors["plain"], rel=0.01)


def test_bands_are_calibrated_and_counted(node_run, table):
    run = trained(node_run, "csv_gru_d", "dataset.validation_size=8")
    best = result_in(run)["best"]
    assert 0 <= best["coverage/test"] <= 1
    assert 0 <= best["coverage_beyond/test"] <= 1
    weights = torch.load(f"{run}/checkpoints/best.pt", weights_only=True)["model"]
    assert bool((weights["predictive_noise.scale"] != 1).all())
    done = node_run("mode=eval", f"checkpoint={run}")
    assert f"90 % band covers {100 * best['coverage/test']:.0f} %" in done.out


def test_classes_are_counted_weighed_and_split_alike(node_run, tmp_path, table):
    kinds = table["series"].str[1:].astype(int).map(lambda n: "a" if n % 4 == 0 else "b")
    table.assign(level=kinds).to_csv(tmp_path / "patients.csv", index=False)
    run = trained(
        node_run, "csv_rnn_dt", *CLASSIFY, "dataset.class_weights=balanced",
        "dataset.validation_size=4",
    )  # fmt: skip
    result = result_in(run)
    assert result["class_counts"] == {
        "train": {"a": 4, "b": 11},
        "validation": {"a": 1, "b": 3},
        "test": {"a": 1, "b": 4},
    }
    assert {"auc/test", "average_precision/test", "cross_entropy/test"} <= result["metrics"].keys()
    wrong = node_run(
        "experiment=csv_gru_d", "dataset.path=patients.csv", "dataset.class_weights=balanced"
    )
    assert wrong.code == 2
    assert "none with task=extrapolation" in wrong.err


def test_static_columns_are_needed_by_name(node_run, tmp_path, table):
    run = trained(node_run, "csv_gru_d", "dataset.static_columns=[level]")

    def predicted(changed):
        changed.to_csv(tmp_path / "new.csv", index=False)
        return node_run(
            "mode=predict", f"checkpoint={run}", "dataset.path=new.csv", "predict.out=f.csv"
        )

    assert predicted(table).code == 0
    before = pd.read_csv(tmp_path / "f.csv")
    swapped = {"high": "low", "low": "high"}
    assert predicted(table.assign(level=table["level"].map(swapped))).code == 0
    assert not np.allclose(before["hr"], pd.read_csv(tmp_path / "f.csv")["hr"])
    assert "the column 'level' is not there" in predicted(table.drop(columns="level")).err
    unknown = predicted(table.assign(level="middling"))
    assert unknown.code == 2
    assert "one of high, low" in unknown.err
