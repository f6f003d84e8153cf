"""The table of test errors in the units of the file, beside those of simple forecasts."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml

from node_experiments.chapters.irregular_series.bands import forecast_step
from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.runner.error_report import shown_errors

TINY = ("protocol=smoke", "trainer.threads=1", "trainer.progress=false")


def patients(count=30, seed=2):
    """Heart rates around the level of a patient, and temperatures that drift away from 37."""
    draw = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        level = draw.normal(80, 10)
        for t in np.sort(draw.uniform(0, 48, 10)).round(2):
            temp = 37 + 0.1 * t + draw.normal(0, 0.1) if draw.random() < 0.6 else np.nan
            rows.append((f"p{n:02d}", t, level + draw.normal(0, 2), temp))
    return pd.DataFrame(rows, columns=["series", "time", "hr", "temp"])


@pytest.fixture
def run(node_run, tmp_path):
    patients().to_csv(tmp_path / "patients.csv", index=False)
    done = node_run("experiment=csv_gru_d", "dataset.path=patients.csv", *TINY)
    assert done.code == 0, done.err
    return done


def test_a_run_ends_with_the_errors_that_a_user_would_compute(node_run, run, tmp_path):
    table = pd.read_csv(run.folders[0] / "errors.csv", index_col="feature")
    assert list(table.columns) == ["model", "last_value", "series_mean", "training_mean", "values"]
    lines = run.out[run.out.index("RMSE on test values") :]
    assert "no better than a simple forecast: hr" in lines  # after one step of training
    assert lines.index("hr") < lines.index("completed in")

    # The same from the file itself, with pandas.
    settings = yaml.safe_load((run.folders[0] / "config.yaml").read_text())["dataset"]
    data = csv_data(CSVConfig(**settings))
    rows, names = patients(), data.test_names
    tested = rows[rows["series"].isin(names)]
    starts = rows.groupby("series")["time"].min()
    cut = tested["series"].map(starts) + data.cut * data.time_unit.scale
    past, later = tested[tested["time"] <= cut], tested[tested["time"] > cut]
    trained = rows[~rows["series"].isin(names)]
    for name in ("hr", "temp"):
        true = later.dropna(subset=[name])
        seen = past.dropna(subset=[name]).groupby("series")[name]
        assert table.loc[name, "values"] == len(true)
        for column, said in (("last_value", seen.last()), ("series_mean", seen.mean())):
            # A patient without any such value before the cut is forecast by the training mean.
            known = true["series"].map(said)
            if known.notna().all():
                error = float(np.sqrt(((true[name] - known) ** 2).mean()))
                assert table.loc[name, column] == pytest.approx(error, rel=1e-4)
        spread = float(np.sqrt(((true[name] - trained[name].mean()) ** 2).mean()))
        assert table.loc[name, "training_mean"] == pytest.approx(spread, rel=0.1)
    again = node_run("mode=eval", f"checkpoint={run.folders[0]}")
    assert again.code == 0, again.err
    measured = pd.read_csv(again.folders[-1] / "errors.csv", index_col="feature")
    pd.testing.assert_frame_equal(measured, table, rtol=1e-5)


def test_classification_and_fully_observed_interpolation_have_no_such_table(node_run, tmp_path):
    rows = patients()
    rows["level"] = np.where(rows["series"] < "p15", "low", "high")
    rows.to_csv(tmp_path / "patients.csv", index=False)
    for task in (
        ("dataset.task=classification", "dataset.label_column=level"),
        ("dataset.task=interpolation", "dataset.value_columns=[hr]"),
    ):
        done = node_run("experiment=csv_gru_d", "dataset.path=patients.csv", *task, *TINY)
        assert done.code == 0, done.err
        assert not (done.folders[-1] / "errors.csv").exists()
        assert "RMSE on test values" not in done.out
        hint = "to test how gaps are filled, set dataset.observed_fraction=0.5"
        assert (hint in done.out) == ("interpolation" in task[0])


def test_many_features_are_shortened_on_the_terminal():
    names = [f"x{n}" for n in range(20)]
    table = pd.DataFrame(
        {"model": 1.0, "last_value": 2.0, "series_mean": 3.0, "training_mean": 4.0, "values": 9},
        index=pd.Index(names, name="feature"),
    )
    text = shown_errors(table)
    assert "x11" in text
    assert "x12" not in text
    assert "... and 8 more features" in text
    assert "no better" not in text


def test_an_error_that_is_not_a_number_is_not_better_and_a_name_with_a_comma_is_quoted():
    table = pd.DataFrame(
        {"model": [np.nan, 2.0, 0.5], "last_value": 1.0, "training_mean": 4.0, "values": 9},
        index=pd.Index(["hr", "bp, mean", "temp"], name="feature"),
    )
    assert shown_errors(table).endswith("no better than a simple forecast: hr, 'bp, mean'")
    table.loc["temp", "model"] = 0.96
    *_, line = shown_errors(table).splitlines()
    assert line == "less than 5% better than a simple forecast: temp"


def test_a_checkpoint_that_does_not_tell_the_training_mean_computes_it(tmp_path, caplog):
    patients().to_csv(tmp_path / "patients.csv", index=False)
    for scaling, said in (("minmax", True), ("standard", False)):
        settings = CSVConfig(path=str(tmp_path / "patients.csv"), scaling=scaling, batch_size=8)
        new = csv_data(settings)
        caplog.clear()
        old = csv_data(settings, learned={k: v for k, v in new.learned.items() if k != "mean"})
        assert ("did not store the mean of its training series" in caplog.text) == said
        np.testing.assert_allclose(old.mean, new.mean, atol=1e-5)


def test_a_feature_without_a_hidden_test_value_is_named(node_run, tmp_path):
    rows = patients()
    rows.loc[rows["time"] > 20, "temp"] = np.nan
    rows.to_csv(tmp_path / "patients.csv", index=False)
    done = node_run("experiment=csv_gru_d", "dataset.path=patients.csv", *TINY)
    assert done.code == 0, done.err
    assert "the table of errors lacks temp: the test series have no value" in done.out + done.err


def two_paces(count, seed):
    """Waves that are observed every quarter of a unit up to 10, and every two units after that."""
    draw = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        phase = draw.uniform(0, 2 * np.pi)
        times = [
            *np.sort(draw.uniform(0, 10, 40)),
            *(np.arange(11, 21, 2) + draw.uniform(-0.5, 0.5, 5)),
        ]
        rows += [(f"w{n:02d}", round(t, 3), 50 + 10 * np.sin(t / 2 + phase)) for t in times]
    table = pd.DataFrame(rows, columns=["series", "time", "level"])
    return table.drop_duplicates(["series", "time"])


@pytest.mark.parametrize("model", ["rnn_dt", "gru_d", "ode_rnn", "rnn_vae", "latent_ode"])
def test_the_errors_are_those_of_the_forecasts_that_are_written(node_run, tmp_path, model):
    """Also where a roll-out from target to target differs: with other gaps beyond the cut."""
    two_paces(20, 0).to_csv(tmp_path / "waves.csv", index=False)
    new = two_paces(8, 1)
    new.to_csv(tmp_path / "new.csv", index=False)
    done = node_run(f"experiment=csv_{model}", "dataset.path=waves.csv", *TINY)
    assert done.code == 0, done.err
    run = done.folders[0]
    measured = node_run("mode=eval", f"checkpoint={run}", "dataset.path=new.csv")
    assert measured.code == 0, measured.err
    errors = pd.read_csv(measured.folders[-1] / "errors.csv", index_col="feature")
    settings = yaml.safe_load((run / "config.yaml").read_text())["dataset"]
    data = csv_data(CSVConfig(**settings))
    elapsed = new["time"] - new.groupby("series")["time"].transform("min")
    seen = elapsed <= data.cut * data.time_unit.scale
    new[seen].to_csv(tmp_path / "past.csv", index=False)
    new[~seen].drop(columns="level").to_csv(tmp_path / "rows.csv", index=False)
    written = node_run(
        "mode=predict", f"checkpoint={run}", "dataset.path=past.csv", "predict.rows=rows.csv",
        "predict.out=forecasts.csv",
    )  # fmt: skip
    assert written.code == 0, written.err
    forecasts = pd.read_csv(tmp_path / "forecasts.csv")
    differences = forecasts["level"].to_numpy() - new.loc[~seen, "level"].to_numpy()
    assert errors.loc["level", "values"] == len(differences)
    error = float(np.sqrt((differences**2).mean()))
    assert errors.loc["level", "model"] == pytest.approx(error, rel=1e-4)


def test_a_forecast_takes_steps_as_long_as_in_training(tmp_path):
    """In extrapolation those between targets, the first from the last observation."""
    two_paces(20, 0).to_csv(tmp_path / "waves.csv", index=False)
    data = csv_data(CSVConfig(path=str(tmp_path / "waves.csv"), scaling="none"))
    unit = data.time_unit.scale
    assert data.mean_gap * unit == pytest.approx(0.25, rel=0.1)
    assert data.target_gap * unit == pytest.approx(2, rel=0.2)  # the first gap is shorter
    assert forecast_step(SimpleNamespace(), data) == data.target_gap
    encoder = SimpleNamespace(encode=None)
    for task, steps in (
        ("extrapolation", (data.target_gap, data.target_gap)),
        ("interpolation", (data.mean_gap, data.target_gap)),
    ):
        data.task = task
        assert (forecast_step(SimpleNamespace(), data), forecast_step(encoder, data)) == steps
    hidden = csv_data(
        CSVConfig(path=str(tmp_path / "waves.csv"), task="interpolation", observed_fraction=0.2)
    )
    assert hidden.mean_gap > 3 * hidden.target_gap
