"""A test series is none that was trained on: what decides that stays as it was in training."""

import random

import pytest
import torch

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import (
    CSVConfig,
    HopperConfig,
    HumanActivityConfig,
    JapaneseVowelsConfig,
    PeriodicConfig,
    PhysioNet2012Config,
)
from node_experiments.chapters.irregular_series.shipped import (
    MimicDemoConfig,
    StormBirthsConfig,
    StormsConfig,
)
from node_experiments.chapters.pharmacokinetics.chapter import RemifentanilConfig
from node_experiments.config import ConfigError
from node_experiments.errors import DataError
from node_experiments.runner.checkpoint_overrides import check_learned


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (PeriodicConfig, "scaling", "standard"),
        (HopperConfig, "trajectories", 500),
        (JapaneseVowelsConfig, "split_seed", 7),
        (PhysioNet2012Config, "split_seed", 7),
        (PhysioNet2012Config, "sets", "b"),
        (HumanActivityConfig, "split", "recording"),
        (HumanActivityConfig, "window", 20),
        (StormsConfig, "last_training_year", 2005),
        (StormBirthsConfig, "last_training_year", 2005),
        (MimicDemoConfig, "hours", 6.0),
        (RemifentanilConfig, "fold", 3),
        (CSVConfig, "split_seed", 7),
    ],
)
def test_what_decides_which_series_train_cannot_be_changed(kind, name, value):
    trained, later = kind(), kind(**{name: value})
    with pytest.raises(ConfigError, match=rf"dataset\.{name}={value} cannot be changed with"):
        check_learned(trained, later, "eval")
    check_learned(trained, kind(), "eval")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (JapaneseVowelsConfig, {"dropped": 0.5}),
        (PeriodicConfig, {"observed_fraction": 0.5, "task": "extrapolation"}),
        (HopperConfig, {"test_size": 20}),
    ],
)
def test_other_settings_can(kind, settings):
    check_learned(kind(), kind(**settings), "eval")


def test_storms_are_forecast_from_two_days():
    with pytest.raises(ConfigError, match=r"extrapolate_from=0\.3 must be 0\.5: two days"):
        StormsConfig(extrapolate_from=0.3)


@pytest.fixture
def table(tmp_path):
    draw = random.Random(0)
    rows = [
        (f"s{n:02d}", f"w{n // 2:02d}", t, draw.gauss(0, 1), "-" if n == 3 else 1)
        for n in range(30)
        for t in range(5)
    ]
    path = tmp_path / "table.csv"
    lines = [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(["series,ward,time,x,y", *lines]) + "\n")
    return path


def test_the_training_file_is_read_as_the_same_series(table):
    settings = {"value_columns": ["x"], "duplicates": "mean"}
    learned = csv_data(CSVConfig(path=str(table), **settings)).learned
    again = csv_data(CSVConfig(path=str(table), **settings), learned=learned)
    assert len(again.test.data) == 6
    other = CSVConfig(path=str(table), series_column="ward", **settings)
    with pytest.raises(DataError, match="other series are found than when the model was trained"):
        csv_data(other, learned=learned)


def test_a_new_file_is_tested_on_all_its_series(table, tmp_path):
    settings = {"value_columns": ["x"], "train_size": 15, "test_size": 2, "validation_size": 3}
    data = csv_data(CSVConfig(path=str(table), **settings))
    assert len(data.train.data.target) == 15
    short = "".join(table.read_text().splitlines(keepends=True)[: 1 + 5 * 10])
    (tmp_path / "new.csv").write_text(short)
    new = CSVConfig(path=str(tmp_path / "new.csv"), **settings)
    assert len(csv_data(new, learned=data.learned).test.data.target) == 10
    assert torch.equal(torch.tensor(data.span), torch.tensor(data.learned["span"]))
