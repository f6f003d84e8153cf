"""A long series that is cut into windows, from the file to forecasts."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from node_experiments import load
from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.measurements import Measurements
from node_experiments.chapters.irregular_series.user_tables.training_table import (
    read_training_table,
)
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.chapters.irregular_series.user_tables.windows import (
    latest_window,
    training_windows,
    windows,
)
from node_experiments.config import ConfigError
from node_experiments.errors import DataError


def seen_of(*times, labels=None, dated=False):
    lengths = [len(some) for some in times]
    rows = sum(lengths)
    return Measurements(
        names=[f"s{i}" for i in range(len(times))],
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        times=np.concatenate(times).astype(float),
        origins=np.full(len(times), 10**18 if dated else 5.0),
        values=np.arange(rows, dtype=float)[:, None],
        static=np.arange(len(times), dtype=float)[:, None],
        labels=labels or [""] * len(times),
        where=lambda row: f"row {row}",
    )


def contents(seen):
    """The values of each series, which number the rows."""
    return [seen.values[a:b, 0].astype(int).tolist()
            for a, b in zip(seen.offsets, seen.offsets[1:], strict=False)]  # fmt: skip


def test_every_observation_is_in_one_window():
    seen = seen_of([0, 0.5, 1.9, 2, 7, 7.1], [0, 3.9], labels=["a", "b"])
    cut = windows(seen, 2)  # of the first series to 7.1, 5.1, 3.1 and 1.1; of the other to 1.9
    assert contents(cut) == [[0, 1], [2, 3], [4, 5], [6], [7]]
    assert cut.names == ["s0 [1]", "s0 [2]", "s0 [3]", "s1 [1]", "s1 [2]"]
    np.testing.assert_allclose(cut.times, [0, 0.5, 0, 0.1, 0, 0.1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(cut.origins, [5, 6.9, 12, 5, 8.9])
    assert cut.static[:, 0].tolist() == [0, 0, 0, 1, 1]
    assert cut.labels == ["a", "a", "a", "b", "b"]
    assert cut.where(5) == "row 5"


@pytest.mark.parametrize("length", [0.1, 0.3, 1 / 3, 0.7, 1.0])
def test_times_on_the_edge_of_a_window_are_in_one(length):
    cut = windows(seen_of(np.arange(1000) * 0.1, np.arange(1000) / 3), length)
    assert sorted(row for rows in contents(cut) for row in rows) == list(range(2000))


def test_origins_of_dates_are_nanoseconds():
    cut = windows(seen_of([0, 3600, 7200.5], dated=True), 3600)
    assert cut.origins.tolist() == [10**18, 10**18 + 3600 * 10**9, 10**18 + 7200_500_000_000]


def test_labels_of_rows_stay_with_them():
    cut = windows(seen_of([0, 1, 2], labels=["x", "y", "z"]), 2)
    assert cut.labels == ["x", "y", "z"]


def test_parts_follow_in_time_and_share_nothing():
    seen = seen_of(np.arange(200) / 10, np.arange(100) / 10)
    cut, split = training_windows(seen, 1.0)
    rows = contents(cut)
    parts = [{row for i in part.tolist() for row in rows[i]} for part in split]
    assert set().union(*parts) == set(range(300))
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]
    assert not parts[0] & parts[2]
    for of_series in (range(200), range(200, 300)):
        mine = [part & set(of_series) for part in parts]
        assert max(mine[0]) < min(mine[1])
        assert max(mine[1]) < min(mine[2])
    # 20 windows: 13 train, 3 validate, 4 test; a training one starts every quarter of a window.
    assert [len(part) for part in split] == [4 * 12 + 1 + 4 * 5 + 1, 3 + 2, 4 + 2]
    assert rows[1] == list(range(2, 12))


def test_a_gap_has_no_windows():
    seen = seen_of([0, 0.1, 50, 50.1, 100, 100.1, 150, 150.1, 200.5])
    cut, split = training_windows(seen, 1.0)
    assert all(contents(cut))
    assert len(split.test) == 1


def test_the_latest_window_is_what_was_seen_last():
    last = latest_window(seen_of([0, 5, 6, 7.5], [0, 1]), 2.0)
    assert contents(last) == [[2, 3], [4, 5]]
    assert last.names == ["s0", "s1"]
    np.testing.assert_allclose(last.origins, [11, 5])
    np.testing.assert_allclose(last.times, [0, 1.5, 0, 1])


@pytest.fixture
def one_series(tmp_path):
    time = np.arange(400) * 0.5
    table = pd.DataFrame({"time": time, "level": np.sin(time / 6), "flow": np.cos(time / 9)})
    table.to_csv(tmp_path / "pump.csv", index=False)
    return tmp_path / "pump.csv"


def test_a_table_without_a_column_of_series_is_one_series(one_series):
    settings = CSVConfig(path=str(one_series), series_column=None, window=20.0)
    data = csv_data(settings)
    assert data.features == ("level", "flow")
    assert [len(part.data) for part in (data.train, data.validation, data.test)] == [21, 2, 2]


def test_dates_are_cut_by_hours(one_series):
    table = pd.read_csv(one_series)
    table["time"] = pd.Timestamp("2024-03-30 12:00") + pd.to_timedelta(table["time"], unit="h")
    table.to_csv(one_series, index=False)
    data = csv_data(CSVConfig(path=str(one_series), series_column=None, window=20.0))
    assert [len(part.data) for part in (data.train, data.validation, data.test)] == [21, 2, 2]


def test_long_series_of_several_pumps_are_cut_too(one_series):
    table = pd.read_csv(one_series)
    pd.concat([table.assign(pump="a"), table.iloc[:100].assign(pump="b")]).to_csv(one_series)
    settings = CSVConfig(path=str(one_series), series_column="pump", window=10.0)
    _, seen, _ = csv_data(settings).source
    assert {name.partition(" ")[0] for name in seen.names} == {"a", "b"}


@pytest.mark.parametrize("dates", [False, True])
def test_a_few_long_series_should_be_cut(one_series, caplog, dates):
    table = pd.read_csv(one_series)
    table = pd.concat([table.assign(pump="a"), table.assign(pump="b")])
    if dates:
        table["time"] = pd.Timestamp("2024-03-01") + pd.to_timedelta(table["time"], unit="h")
    table.to_csv(one_series, index=False)
    settings = {"path": str(one_series), "series_column": "pump"}
    read_training_table(read_user_table(CSVConfig(**settings)), CSVConfig(**settings))
    said = "a model learns from many series, and there are 2, of 400 times each"
    assert said in caplog.text
    window = float(re.search(r"dataset\.window=(\S+) ", caplog.text)[1])
    assert window == pytest.approx(20, rel=0.01)
    caplog.clear()
    assert len(csv_data(CSVConfig(**settings, window=window)).train.data) > 10
    assert said not in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "the column 'series' is not there.*dataset.series_column=null dataset.window=20"),
        ({"series_column": None}, "all rows are one series.*dataset.window=<length"),
        ({"series_column": None, "window": 150.0}, "too few windows.*at most a fifth of a ser"),
        ({"series_column": None, "window": 200.0}, "leaves every series whole; .* takes 199.5"),
    ],
)
def test_what_cannot_be_cut(one_series, settings, message):
    with pytest.raises(DataError, match=message):
        csv_data(CSVConfig(path=str(one_series), **settings))


def test_a_column_of_series_is_not_passed_over(one_series):
    pd.read_csv(one_series).assign(series="a").to_csv(one_series, index=False)
    with pytest.raises(DataError, match="has a column 'series'; rename it, or set"):
        csv_data(CSVConfig(path=str(one_series), series_column=None, window=20.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0.0}, "window=.* must be a number > 0, or null"),
        ({"window": float("inf")}, "window=.* must be a number > 0, or null"),
        ({"window": 1.0, "time_origin": "file"}, "time_origin=.* must be series with a window"),
        ({"window": 1.0, "validation_size": 3}, "validation_size=3 must be null with a window"),
    ],
)
def test_settings_that_do_not_go_together(settings, message):
    with pytest.raises(ConfigError, match=message):
        CSVConfig(**settings)


def test_from_one_long_series_to_its_future(one_series, node_run, tmp_path):
    trained = node_run(
        "experiment=csv_ode_rnn", "protocol=smoke", "trainer.threads=1", "trainer.epochs=1",
        f"dataset.path={one_series}", "dataset.series_column=null", "dataset.window=20",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    (folder,) = trained.folders
    asked = node_run(
        "mode=predict", f"checkpoint={folder}", "predict.out=ahead.csv", "predict.times=[1,5]",
        "predict.after_last=true",
    )  # fmt: skip
    assert asked.code == 0, asked.err
    assert "times as long as any" not in asked.out  # what it is forecast from is one window
    found = pd.read_csv(next(tmp_path.rglob("ahead.csv")))
    assert found["series"].tolist() == ["all", "all"]
    assert found["time"].tolist() == [200.5, 204.5]
    assert found.notna().all(axis=None)
    # In Python the same, of the table and of its last ten hours alone: what is before is not read.
    run, table = load(Path(folder)), pd.read_csv(one_series)
    late = [run.predict(some, times=[201.0]) for some in (table, table.iloc[-21:])]
    pd.testing.assert_frame_equal(*late)
    # Another file is tested as a whole.
    tested = node_run("mode=eval", f"checkpoint={folder}", f"dataset.path={one_series}")
    assert "on 2 samples" in tested.out
    table.iloc[:200].to_csv(tmp_path / "other.csv", index=False)
    tested = node_run("mode=eval", f"checkpoint={folder}", "dataset.path=other.csv")
    assert "on 5 samples" in tested.out
