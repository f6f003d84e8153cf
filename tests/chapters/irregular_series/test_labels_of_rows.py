"""Labels of rows: those without any value are classified too, and one time has one label."""

import random

import numpy as np
import pandas as pd
import pytest
import torch

from node_experiments import load
from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.training_table import (
    read_training_table,
)
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.chapters.irregular_series.user_tables.windows import latest_window, windows
from node_experiments.errors import DataError
from tests.test_predict import trained


def scored(series=20, times=9):
    """Series in which every third time has a label alone, as in the scoring of sleep stages."""
    draw = random.Random(0)
    rows = [
        (f"s{n:02d}", k + 0.5 * (k % 3 == 2), *(
            ("", "", draw.choice("xy")) if k % 3 == 2
            else (round(draw.gauss(60, 9), 1), round(draw.gauss(36, 1), 1), "")
        ))
        for n in range(series) for k in range(times)
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["series", "time", "hr", "temp", "stage"])


def settings_of(tmp_path, table, **others):
    table.to_csv(tmp_path / "t.csv", index=False)
    others = {"task": "classification", "label_column": "stage", "label_per": "time"} | others
    return CSVConfig(path=str(tmp_path / "t.csv"), **others)


def long_form(table):
    return table.melt(["series", "time", "stage"], ["hr", "temp"])


@pytest.mark.parametrize("form", [lambda table: table, long_form], ids=["wide", "long"])
def test_labels_in_rows_without_a_value_are_used(tmp_path, form):
    table = scored()
    data = csv_data(settings_of(tmp_path, form(table), value_columns=None))
    counts = [sum(part[name] for part in data.class_counts.values()) for name in "xy"]
    assert counts == [int((table["stage"] == name).sum()) for name in "xy"]


def test_models_do_not_read_rows_without_a_value(tmp_path):
    table = scored()
    table.loc[table.index % 9 == 0, "stage"] = "x"
    batch = next(iter(csv_data(settings_of(tmp_path, table)).test))
    assert batch.target.times.shape[1] == batch.label.shape[1] == 9
    assert batch.observed.times.shape[1] == 6
    assert bool(batch.observed.observed_features.all())
    assert int((batch.label >= 0).sum()) == 4 * len(batch)


def test_fractions_are_drawn_of_the_rows_with_values(tmp_path):
    settings = settings_of(tmp_path, scored(), observed_fraction=0.5)
    batch = next(iter(csv_data(settings).test))
    assert batch.observed.mask.sum(1).tolist() == [3] * len(batch)


def test_rows_without_a_value_are_left_out_of_other_tasks(tmp_path):
    settings = settings_of(tmp_path, scored(), task="interpolation")
    _, _, seen = read_training_table(read_user_table(settings), settings)
    assert len(seen.times) == 20 * 6


def test_series_without_any_value_are_left_out_with_their_labels(tmp_path, caplog):
    table = scored()
    table.loc[table["series"] == "s03", ["hr", "temp"]] = ""
    settings = settings_of(tmp_path, table)
    _, _, seen = read_training_table(read_user_table(settings), settings)
    assert "s03" not in seen.names
    assert "series without any value are left out: s03" in caplog.text


@pytest.mark.parametrize("name", ["csv_gru_d", "csv_ode_rnn", "csv_latent_ode", "csv_rnn_vae"])
def test_every_row_of_a_later_table_is_classified(node_run, tmp_path, name):
    """Also where it has no value, which changes no probability of the other rows."""
    table = scored()
    table.to_csv(tmp_path / "t.csv", index=False)
    run = load(trained(
        node_run, name, "dataset.path=t.csv", "dataset.task=classification",
        "dataset.label_column=stage", "dataset.label_per=time",
    ))  # fmt: skip
    later = table.drop(columns="stage").replace("", np.nan)
    found = run.predict(later).sort_values(["series", "time"], ignore_index=True)
    assert found[["series", "time"]].equals(later[["series", "time"]])
    assert found["probability of x"].notna().all()
    if name == "csv_rnn_vae":  # whose states depend on the times before, as in training
        return
    fewer = run.predict(later.dropna())
    joined = fewer.merge(found, on=["series", "time"])
    assert len(joined) == len(fewer) < len(found)
    torch.testing.assert_close(
        torch.tensor(joined["probability of x_x"].to_numpy()),
        torch.tensor(joined["probability of x_y"].to_numpy()), atol=1e-4, rtol=0,
    )  # fmt: skip


def test_windows_without_a_value_are_left_out_with_a_warning(tmp_path, caplog):
    rows = [("a", t, "" if 10 <= t < 20 else t % 3, "xy"[t % 2]) for t in range(40)]
    table = pd.DataFrame(rows, columns=["series", "time", "hr", "stage"])
    settings = settings_of(tmp_path, table, window=4.0)
    _, _, seen = read_training_table(read_user_table(settings), settings)
    cut = windows(seen, 4.0)
    valued = np.split(np.isfinite(cut.values[:, 0]), cut.offsets[1:-1])
    assert all(part.any() for part in valued)
    assert "8 of 40 rows are in windows without any value" in caplog.text


def test_forecasts_start_from_a_window_with_a_value(tmp_path):
    rows = [("a", t, "" if t >= 30 else t % 3, "xy"[t % 2]) for t in range(40)]
    table = pd.DataFrame(rows, columns=["series", "time", "hr", "stage"])
    settings = settings_of(tmp_path, table, window=4.0)
    _, _, seen = read_training_table(read_user_table(settings), settings)
    assert latest_window(seen, 4.0).times.tolist() == list(range(15))


@pytest.mark.parametrize("per", ["series", "time"])
def test_a_label_column_without_a_label_is_rejected(tmp_path, per):
    table = scored().assign(stage="")
    settings = settings_of(tmp_path, table, label_per=per)
    with pytest.raises(
        DataError, match="'stage' has no label in any series that has values; write"
    ):
        csv_data(settings)


def test_labels_of_series_without_values_alone_are_rejected(tmp_path):
    """As where values and labels have other names for the same series."""
    table = scored()
    table.loc[table["stage"] != "", "series"] += " scored"
    with pytest.raises(DataError, match="'stage' has no label in any series that has values"):
        csv_data(settings_of(tmp_path, table))


@pytest.mark.parametrize("form", [lambda table: table, long_form], ids=["wide", "long"])
def test_two_labels_at_one_time_have_no_mean(tmp_path, form):
    table = scored()
    twice = pd.concat([table, table.iloc[[2]].assign(stage="z")])
    settings = settings_of(tmp_path, form(twice), duplicates="mean")
    with pytest.raises(DataError, match=r"series 's00' has the label 'z' after '[xy]'; write one"):
        csv_data(settings)
    settings = settings_of(tmp_path, form(pd.concat([table, table])), duplicates="mean")
    _, _, seen = read_training_table(read_user_table(settings), settings)
    assert len(seen.times) == len(table)


def test_the_last_of_two_labels_is_taken_if_asked_for(tmp_path):
    table = scored()
    twice = pd.concat([table, table.iloc[[2]].assign(stage="z")])
    settings = settings_of(tmp_path, twice, duplicates="last")
    _, _, seen = read_training_table(read_user_table(settings), settings)
    assert seen.labels[2] == "z"


def test_labels_beside_values_of_the_same_time_are_joined(tmp_path):
    """As where a file of labels was appended to one of values."""
    table = scored().assign(stage="")
    labels = table.iloc[::2].assign(hr="", temp="", stage=["x", "y"] * 45)
    settings = settings_of(tmp_path, pd.concat([table, labels]), duplicates="mean")
    _, _, seen = read_training_table(read_user_table(settings), settings)
    assert len(seen.times) == len(table)
    assert sum(label != "" for label in seen.labels) == 90


@pytest.mark.parametrize("code", ["-1", "stage:-1"])
def test_codes_of_labels_are_compared_as_numbers(tmp_path, caplog, code):
    """A column with empty cells is written as 0.0, 1.0 and -1.0 by pandas."""
    table = scored()
    known = table["stage"] != ""
    table["stage"] = table["stage"].map({"x": 0.0, "y": 1.0})
    table.loc[known & (table.index % 5 == 0), "stage"] = -1.0
    unknown = int((table["stage"] == -1).sum())
    found = csv_data(settings_of(tmp_path, table))
    assert "'-1' of 'stage' is read as a class; if it means that the class is un" in caplog.text
    assert sum(part["-1"] for part in found.class_counts.values()) == unknown
    counts = csv_data(settings_of(tmp_path, table, missing=[code])).class_counts
    assert set(counts["train"]) == {"0", "1"}
    assert sum(map(sum, (part.values() for part in counts.values()))) == known.sum() - unknown
