"""A user's own file, and what may be wrong with it."""

import gzip

import pytest
import torch

from node_experiments.chapters.irregular_series.chapter import CSVConfig
from node_experiments.chapters.irregular_series.csv_series import (
    csv_data,
    load_csv,
)
from node_experiments.data.errors import DataError

GOOD = """series,time,temperature,pressure,state
a,0.0,21.5,,ok
b,10,1,2,bad
a,0.7,21.9,1013,ok

b,11,nan,3,bad
a,1.5,,,ok
"""


def write(tmp_path, text):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return path


def load(path, label_column="state", label_per="series", values=None, need=True):
    return load_csv(path, "series", "time", values, label_column, label_per, need)


def test_a_file_is_read(tmp_path):
    series, classes, features = load(write(tmp_path, GOOD))
    assert classes == ["bad", "ok"]
    assert features == ["temperature", "pressure"]
    assert series.lengths.tolist() == [2, 2]  # the line without any value says nothing
    torch.testing.assert_close(series.times, torch.tensor([0, 0.7, 10, 11]))
    torch.testing.assert_close(
        series.values, torch.tensor([[21.5, 0], [21.9, 1013], [1, 2], [0, 3]])
    )
    assert series.feature_mask.tolist() == [
        [True, False],
        [True, True],
        [True, True],
        [False, True],
    ]
    assert series.label.tolist() == [1, 0]


def test_columns_are_chosen_and_labels_may_change(tmp_path):
    text = GOOD.replace("a,0.7,21.9,1013,ok", "a,0.7,21.9,1013,")
    chosen = ["temperature"]
    series, _, features = load(write(tmp_path, text), "state", "time", chosen, need=False)
    assert features == chosen
    assert series.dim == 1
    assert series.label.tolist() == [1, -1, 0]  # where a temperature was observed
    assert series.feature_mask is None


def test_a_packed_file_is_unpacked(tmp_path):
    packed = tmp_path / "mine.csv.gz"
    packed.write_bytes(gzip.compress(GOOD.encode()))
    assert torch.equal(load(packed)[0].values, load(write(tmp_path, GOOD))[0].values)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"mine\.csv\.gz is truncated"):
        load(packed)


def test_times_in_seconds_since_1970_keep_their_digits(tmp_path):
    lines = [f"s,{1_700_000_000 + i * 0.5},1" for i in range(4)]
    path = write(tmp_path, "\n".join(["series,time,x", *lines]))
    assert load(path, None)[0].times.tolist() == [0, 0.5, 1, 1.5]


BAD = {
    "empty": ("", "is empty"),
    "header only": ("series,time,x,state\n", "no line after"),
    "no header": (
        GOOD.split("\n", 1)[1],
        "line 1: the column 'series' is not there; found a",
    ),
    "twice": (GOOD.replace("pressure", "time"), "line 1: the column 'time' is twice there"),
    "no values": ("series,time,state\na,1,x\n", "line 1: no column is left"),
    "cells": (GOOD + "a,2.0\n", "line 8: 2 cells; the first line names 5 columns"),
    "number": (GOOD + "a,2.0,hot,1,ok\n", "line 8: temperature is 'hot', which is no number"),
    "infinite": (GOOD + "a,2.0,inf,1,ok\n", "line 8: temperature is infinite"),
    "no time": (GOOD + "a,,1,1,ok\n", "line 8: the column time is empty"),
    "no series": (GOOD + ",2,1,1,ok\n", "line 8: the column series is empty"),
    "order": (GOOD + "a,1.2,1,1,ok\n", "line 8: the times of series 'a' must rise strictly"),
    "repeated": (GOOD + "a,1.5,1,1,ok\n", "1.5 comes after 1.5"),
    "nothing observed": (GOOD + "c,1,,,ok\n", "line 8: series 'c' has no observation"),
    "no label": (GOOD + "c,1,1,1,\n", "line 8: series 'c' has no label"),
    "two labels": (GOOD + "a,2,1,1,bad\n", "line 8: series 'a' has the label 'bad' after 'ok'"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_refused_with_their_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError) as raised:
        load(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_label_of_a_line_is_missing(tmp_path):
    with pytest.raises(DataError, match="line 8: the column state is empty"):
        load(write(tmp_path, GOOD + "a,2,1,1,\n"), label_per="time")


def test_what_a_run_reads(tmp_path):
    lines = [f"s{i},{t},{i + t},{i % 2}" for i in range(20) for t in range(1 + i)]
    path = write(tmp_path, "\n".join(["series,time,x,kind", *lines]))
    settings = {"path": str(path), "label_column": "kind", "batch_size": 8}
    data = csv_data(CSVConfig(task="classification", validation_size=2, **settings))
    assert [len(part.data) for part in (data.train, data.validation, data.test)] == [14, 2, 4]
    assert (data.dim, data.classes, data.label_per) == (1, 2, "series")
    assert (data.features, data.time_unit) == (("x",), "")
    half = csv_data(CSVConfig(observed_fraction=0.5, **settings))
    batch = next(iter(half.test))
    expected = (batch.target.mask.sum(1) // 2).clamp(min=1)
    assert torch.equal(batch.observed.mask.sum(1), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "dataset.path"),
        ({"path": "nowhere.csv"}, "nowhere.csv is missing; dataset.path must name a CSV file"),
    ],
)
def test_no_file(settings, message):
    with pytest.raises(DataError, match=message):
        csv_data(CSVConfig(**settings))


def test_classification_needs_labels(tmp_path):
    path = str(write(tmp_path, GOOD))
    with pytest.raises(DataError, match=r"needs dataset\.label_column"):
        csv_data(CSVConfig(path=path, task="classification", value_columns=["pressure"]))
