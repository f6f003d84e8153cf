"""The table of test errors in the units of the file, beside those of simple forecasts."""

import numpy as np
import pandas as pd
import pytest
import yaml

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
