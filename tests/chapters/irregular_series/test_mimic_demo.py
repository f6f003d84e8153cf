"""Stays in intensive care: bins, what is left out, and the last value carried forward."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from node_experiments.chapters.irregular_series.batches import ForecastBatch
from node_experiments.chapters.irregular_series.centring import series_means
from node_experiments.chapters.irregular_series.shipped import (
    MimicDemoConfig,
    PBCSeqConfig,
    package_files,
)
from node_experiments.chapters.irregular_series.shipped.mimic_demo import (
    first_hours,
    mimic_demo_data,
)
from node_experiments.chapters.irregular_series.shipped.package_files import (
    FILES,
    own_or_shipped,
    shipped_path,
)
from node_experiments.chapters.irregular_series.shipped.pbcseq import pbcseq_data
from node_experiments.chapters.irregular_series.simple_forecasts import last_values, simple_errors
from node_experiments.config import ConfigError
from node_experiments.data.table_file import read_table
from node_experiments.data.time_series import TimeSeries
from node_experiments.errors import DataError


def binned(tmp_path, text, **settings):
    path = tmp_path / "stays.csv"
    path.write_text(text)
    return first_hours(read_table(path), MimicDemoConfig(**settings)).rows


def test_readings_of_a_bin_are_averaged_and_later_ones_left_out(tmp_path):
    rows = binned(
        tmp_path,
        "hospitalization_id,hour,heart_rate,lactate\n"
        "1,0.1,80,\n1,0.2,90,2\n1,0.6,70,8\n1,0.4,100,\n1,60,99,1\n",
    )
    assert rows["hour"].tolist() == [0.0, 0.5]
    assert rows["heart_rate"].tolist() == [85.0, 85.0]
    # The laboratory's values are logarithms.
    assert rows["log lactate"].tolist() == pytest.approx([math.log(2), math.log(8)])


def test_readings_before_admission_are_left_out_and_counted(tmp_path, caplog):
    text = "hospitalization_id,hour,heart_rate\n1,-2,80\n1,-0.1,85\n1,1,90\n"
    rows = binned(tmp_path, text)
    assert rows["heart_rate"].tolist() == [90.0]
    assert "2 rows before admission are left out" in caplog.text


def test_readings_that_no_body_gives_are_left_out(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    text = "hospitalization_id,hour,heart_rate,temp_c\n1,1,80,99\n1,2,0,37\n"
    rows = binned(tmp_path, text)
    assert rows["temp_c"].isna().tolist() == [True, False]
    assert rows["heart_rate"].isna().tolist() == [False, True]
    assert "2 implausible readings" in caplog.text


def test_a_cell_that_is_no_number_is_named(tmp_path):
    with pytest.raises(DataError, match=r"line 3: 'heart_rate' is 'fast'"):
        binned(tmp_path, "hospitalization_id,hour,heart_rate\n1,1,80\n1,2,fast\n2,1,81\n",
               value_columns=["heart_rate"])  # fmt: skip


STAYS = (
    "hospitalization_id,hour,heart_rate,sex,age,person\n"
    "1,0.1,80,f,70,a\n1,0.2,90,f,70,a\n1,3,70,f,70,a\n2,0.6,70,,NA,b\n2,9,80,m,61,b\n"
)


def test_properties_of_a_stay_are_kept(tmp_path):
    rows = binned(tmp_path, STAYS, static_columns=["sex", "age"], group_column="person")
    assert rows["sex"].tolist() == ["f", "f", "m", "m"]
    assert rows["age"].tolist() == ["70", "70", "61", "61"]
    assert rows["person"].tolist() == ["a", "a", "b", "b"]
    assert rows["heart_rate"].tolist() == [85, 70, 70, 80]


def test_static_columns_and_groups_reach_the_model(tmp_path):
    path = tmp_path / "stays.csv"
    rows = "".join(
        f"{stay},{hour},{60 + 7 * stay % 11 + hour},{'fm'[stay % 2]},{50 + stay},{stay // 2}\n"
        for stay in range(40)
        for hour in range(0, 48, 6)
    )
    path.write_text(STAYS.splitlines()[0] + "\n" + rows)
    settings = MimicDemoConfig(
        path=str(path), static_columns=["sex", "age"], group_column="person", validation_size=8
    )
    data = mimic_demo_data(settings)
    # Each of f, m and the age, with an indicator of being known.
    assert data.train.data.select(torch.arange(2)).observed.static.shape == (2, 6)
    assert data.features == ("heart_rate",)
    parts = [part.data for part in (data.train, data.validation, data.test)]
    assert sum(map(len, parts)) == 40


def test_a_property_that_changes_within_a_stay_is_named(tmp_path):
    with pytest.raises(DataError, match="'sex' changes within stay '1', and must be the same"):
        binned(tmp_path, STAYS.replace("0.2,90,f", "0.2,90,m"), static_columns=["sex"])


def test_all_rows_may_be_one_stay(tmp_path):
    table = tmp_path / "stay.csv"
    table.write_text("hour,heart_rate\n0,80\n0.1,90\n7,60\n")
    settings = MimicDemoConfig(path=str(table), series_column=None)
    rows = first_hours(own_or_shipped(settings, "mimic_demo_icu.csv.gz")[0], settings).rows
    assert rows["series"].tolist() == ["all", "all"]


@pytest.mark.parametrize("name", ["label_column", "variable_column", "value_column"])
def test_a_setting_that_stays_cannot_have_is_rejected(name):
    message = f"dataset.{name}='sex' must be null: stays are forecast"
    with pytest.raises(ConfigError, match=message):
        MimicDemoConfig(**{name: "sex"})


def test_settings_on_how_a_file_is_written_are_for_the_users_file(tmp_path):
    written = {"delimiter": ";", "decimal": ",", "thousands": "."}
    table, _ = own_or_shipped(PBCSeqConfig(**written), "pbcseq.csv.gz")
    assert {"id", "day", "bili"} <= set(table.names)
    path = tmp_path / "visits.csv"
    path.write_text("id;day;bili\n1;0;1,5\n")
    table, _ = own_or_shipped(PBCSeqConfig(path=str(path), **written), "pbcseq.csv.gz")
    assert table.rows["bili"].tolist() == ["1,5"]


def test_the_users_file_needs_no_shipped_one(tmp_path, monkeypatch):
    monkeypatch.setattr(package_files, "FILES", tmp_path)
    path = tmp_path / "visits.csv"
    path.write_text("id,day,bili\n1,0,1.5\n")
    table, _ = own_or_shipped(PBCSeqConfig(path=str(path)), "pbcseq.csv.gz")
    assert len(table.rows) == 1


def series(times, values, features=None):
    mask = torch.ones(1, len(times), dtype=torch.bool)
    values = torch.tensor(values).view(1, len(times), -1)
    return TimeSeries(torch.tensor([times]), values, mask, True, features)


def test_the_last_value_before_is_carried_forward():
    seen = torch.tensor([[[True, False], [True, True], [True, False]]])
    batch = ForecastBatch(
        series([0.1, 0.2, 0.4], [[1.0, 0.0], [2.0, 5.0], [3.0, 0.0]], seen),
        series([0.05, 0.2, 0.3, 0.9], [[9.0, 9.0]] * 4),
    )
    found = last_values(batch, torch.tensor([7.0, 8.0]))[0]
    # Nothing before the first, and a value is not carried to its own time.
    assert found[:, 0].tolist() == [7, 1, 2, 3]
    assert found[:, 1].tolist() == [8, 8, 5, 5]


def test_only_values_that_were_not_seen_count():
    batch = ForecastBatch(
        series([0.1, 0.4], [[1.0], [3.0]]), series([0.1, 0.2, 0.4], [[1.0], [5.0], [3.0]])
    )
    found = simple_errors(torch.zeros(1, 3, 1), batch, {"all": [0]}, torch.tensor([3.0]))
    assert found["mse_all"].tolist() == [25]
    assert found["carried_mse_all"].tolist() == [16]
    assert found["series_mean_mse_all"].tolist() == [9]
    assert found["mean_mse_all"].tolist() == [4]


def test_the_mean_of_a_series_is_that_of_its_observed_values():
    seen = torch.tensor([[[True, False], [True, False], [False, False]]])
    batch = ForecastBatch(
        series([0.1, 0.2, 0.4], [[1.0, 9.0], [2.0, 9.0], [9.0, 9.0]], seen),
        series([0.5], [[9.0, 9.0]]),
    )
    assert series_means(batch.observed, torch.tensor([7.0, 8.0])).tolist() == [[[1.5, 8.0]]]


@pytest.mark.parametrize("scaling", ["standard", "minmax", "none"])
def test_the_mean_is_that_of_the_training_series(scaling):
    data = mimic_demo_data(MimicDemoConfig(scaling=scaling, task="interpolation"))
    assert data.mean.shape == (data.dim,)
    observed = data.train.data.target
    points = observed.values.where(observed.feature_mask, torch.nan)
    torch.testing.assert_close(data.mean, points.nanmean(0), rtol=1e-4, atol=1e-4)
    # A checkpoint stores it, so that it stays the same beside another file's series.
    assert data.learned["mean"] == data.mean.tolist()


@pytest.fixture(scope="module")
def mimic():
    return mimic_demo_data(MimicDemoConfig())


def test_the_shipped_stays_are_split_and_reach_two_days(mimic):
    assert mimic.dim == 33
    assert mimic.span == (0.0, 1.0)
    assert float(mimic.train.data.visible.times.max()) <= 0.5
    assert len(mimic.train.data) > 60


def test_the_visits_of_pbcseq_are_all_there():
    data = pbcseq_data(PBCSeqConfig(task="interpolation"))
    parts = [part.data.target for part in (data.train, data.validation, data.test)]
    assert sum(map(len, parts)) == 312
    assert sum(len(part.times) for part in parts) == 1945
    assert "log bili" in data.features


def test_an_altered_file_is_not_read(tmp_path, monkeypatch):
    for file in FILES.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "storms.csv.gz").write_bytes(b"")
    (tmp_path / "pbcseq.csv.gz").unlink()
    monkeypatch.setattr(package_files, "FILES", tmp_path)
    with pytest.raises(DataError, match="truncated or altered"):
        shipped_path("storms.csv.gz")
    with pytest.raises(DataError, match="missing; install"):
        shipped_path("pbcseq.csv.gz")


def test_every_shipped_file_is_small_and_comes_with_its_source():
    readme = (FILES / "README.md").read_text()
    for file in FILES.glob("*.gz"):
        assert file.stat().st_size < 300_000
        assert f"`{file.name}`" in readme
    assert "ODC Open Database" in (FILES / "ODbL-1.0.txt").read_text().replace(
        "Open Data Commons", "ODC"
    )
