"""A user's series in several files: the same as in one, by the name of each file or a column."""

import shutil

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
from node_experiments.errors import DataError
from node_experiments.runner.data_files import resolved_dataset
from tests.composed import composed_config

SMOKE = ["experiment=csv_rnn_dt", "protocol=smoke", "seed=0"]


@pytest.fixture
def runs(tmp_path):
    """One file per series, and the same rows in one file."""
    draw = np.random.default_rng(0)
    folder, tables = tmp_path / "runs", []
    folder.mkdir()
    for number in range(12):
        times = np.sort(draw.choice(1000, 9, replace=False)) / 10
        table = pd.DataFrame({"time": times, "temp": draw.normal(20, 3, 9).round(3)})
        table.to_csv(folder / f"{number:03d}.csv", index=False)
        tables.append(table.assign(file=f"{number:03d}"))
    pd.concat(tables).to_csv(tmp_path / "all.csv", index=False)
    return tmp_path


def read(path, **settings):
    config = CSVConfig(path=str(path), **settings)
    return read_training_table(read_user_table(config), config)


def test_a_series_per_file_is_the_same_as_a_column_with_its_name(runs):
    found = [
        csv_data(CSVConfig(path=str(runs / name), series_column="file"))
        for name in ("runs/*.csv", "all.csv")
    ]
    assert found[0].test_names == found[1].test_names != ()
    assert found[0].features == ("temp",)  # names of digits are no feature
    for several, one in zip(*(data.source[1].values for data in found), strict=True):
        assert torch.equal(torch.as_tensor(several), torch.as_tensor(one))
    assert found[0].learned["sha256"] != found[1].learned["sha256"]


def test_a_missing_series_column_suggests_the_files(runs):
    with pytest.raises(DataError, match=r"\(12 files\).* try dataset\.series_column=file$"):
        read(runs / "runs/*.csv")
    (runs / "runs/001.csv").write_text("time,temp\n1,2\n2,hot\n")
    with pytest.raises(DataError, match=r"001\.csv, line 3: 'temp' is 'hot'"):
        read(runs / "runs/*.csv", series_column="file")
    with pytest.raises(DataError, match=r"runs/none\*\.csv is missing"):
        read(runs / "runs/none*.csv", series_column="file")


def test_a_column_named_file_is_read_as_it_is(runs):
    table = pd.read_csv(runs / "all.csv", dtype=str)
    table[:50].to_csv(runs / "part0.csv", index=False)
    table[50:].to_csv(runs / "part1.csv", index=False)
    _, _, seen = read(runs / "part*.csv", series_column="file")
    assert seen.names == [f"{n:03d}" for n in range(12)]


def test_series_go_on_in_the_next_file(runs, caplog):
    """As in monthly exports; series of one name that are different ones would be mixed up."""
    table = pd.read_csv(runs / "all.csv", dtype=str).rename(columns={"file": "series"})
    early = table["time"].astype(float) < 50
    for name, part in (("early", table[early]), ("late", table[~early])):
        part.to_csv(runs / f"month_{name}.csv", index=False)
    _, _, seen = read(runs / "month_*.csv")
    assert "series that are in several files are read as one series each: 000, 001" in caplog.text
    table.to_csv(runs / "whole.csv", index=False)
    caplog.clear()
    _, _, whole = read(runs / "whole.csv")
    assert seen.names == whole.names
    assert np.array_equal(seen.values, whole.values)
    assert "several files" not in caplog.text
    _, _, one = read(runs / "runs/00[0-1].csv", series_column=None, window=40, duplicates="mean")
    assert one.names == ["all"]


def test_files_may_be_groups_of_series(runs):
    for path in sorted((runs / "runs").iterdir()):
        table = pd.read_csv(path)
        table["series"] = [f"{path.stem}_{n}" for n in np.arange(len(table)) // 3]
        table.to_csv(path, index=False)
    data = csv_data(
        CSVConfig(path=str(runs / "runs/*.csv"), group_column="file", task="interpolation")
    )
    tested = {name.partition("_")[0] for name in data.test_names}
    assert len(data.test_names) == 3 * len(tested) > 0


def test_a_model_of_several_files_predicts_one_or_several(runs, node_run):
    by_file = "dataset.series_column=file"
    node_run(*SMOKE, "dataset.path=runs/*.csv", by_file)
    shutil.copytree(runs / "runs", runs / "later")
    for path in (runs / "later").iterdir():
        path.rename(path.with_name(f"late{path.name}"))
    node_run(
        "mode=predict", "checkpoint=latest", "dataset.path=later/late00*.csv",
        "predict.out=forecasts.csv", "predict.after_last=true", "predict.times=[1,2]",
    )  # fmt: skip
    forecasts = pd.read_csv("forecasts.csv")
    assert forecasts["file"].tolist() == [f"late00{n // 2}" for n in range(20)]
    run = load(str(next((runs / "outputs").glob("csv_rnn_dt/*"))))
    for inputs in ("later/late003.csv", "later/late003.*"):
        found = run.predict(inputs, times=[1, 2], after_last=True)
        pd.testing.assert_frame_equal(
            found.reset_index(drop=True),
            forecasts[forecasts["file"] == "late003"].reset_index(drop=True),
            check_exact=False,
            rtol=1e-5,
        )
    frame = pd.read_csv("later/late003.csv").assign(file="mine")
    assert run.predict(frame, times=[90.0])["file"].tolist() == ["mine"]
    with pytest.raises(DataError, match="'file' is not there"):
        run.predict(frame.drop(columns="file"), times=[90.0])


def test_a_pattern_is_found_from_elsewhere_and_in_a_folder_that_was_moved(runs, monkeypatch):
    config = composed_config(["experiment=csv_rnn_dt", "dataset.path=runs/*.csv"])
    config.places = {"path": str(runs / "runs/*.csv")}
    (runs / "elsewhere").mkdir()
    monkeypatch.chdir(runs / "elsewhere")
    assert resolved_dataset(config).path == str(runs / "runs/*.csv")
    (runs / "runs").rename(runs / "elsewhere/runs")
    assert resolved_dataset(config).path == "runs/*.csv"


def test_a_folder_is_named_with_a_pattern_for_its_files(runs):
    with pytest.raises(DataError, match=r"runs is a folder.*'dataset\.path=.*/runs/\*\.csv'"):
        read(runs / "runs", series_column="file")


def test_a_file_more_is_other_data(runs, node_run):
    by_file = "dataset.series_column=file"
    node_run(
        *SMOKE, "dataset.path=runs/*.csv", by_file, "scheduler=none", "hydra.run.dir=outputs/one"
    )
    shutil.copy("runs/001.csv", "runs/101.csv")
    found = node_run("resume=outputs/one", "trainer.epochs=3")
    assert found.code == 2
    assert "have changed" in found.err
