"""A small file in the published format, with repeated times and several tags."""

import json
from pathlib import Path

import pytest
import torch

from node_experiments.chapters.irregular_series.human_activity import (
    FILE,
    human_activity_data,
    load_human_activity,
)
from node_experiments.chapters.irregular_series.settings import HumanActivityConfig
from node_experiments.chapters.irregular_series.time_unit import TimeUnit
from node_experiments.config import ConfigError
from node_experiments.errors import DataError
from node_experiments.runner.data_files import check_same_data, fingerprints
from tests.composed import composed_config

START = 633790226051280329  # as published
TAGS = ("010-000-024-033", "010-000-030-096", "020-000-033-111", "020-000-032-221")


def line(recording, ticks, tag, value, activity="walking"):
    x, y, z = value, value + 1, value + 2
    return (
        f"{recording},{TAGS[tag]},{START + ticks},27.05.2009 14:03:25:127,{x},{y},{z},{activity}"
    )


def recording(name, points=60, activity="walking", gap=500_000):
    """A point every 50 ms, the tags in turn."""
    return [line(name, i * gap, i % 4, i, activity) for i in range(points)]


def write(root, lines):
    (root / FILE).write_text("\n".join(lines) + "\n")
    return root / FILE


def test_readings_within_10_ms_are_one_point(tmp_path):
    lines = [
        line("A01", 0, 0, 1.0),
        line("A01", 40_000, 0, 3.0),  # the same tag again: averaged
        line("A01", 40_000, 2, 5.0),
        line("A01", 160_000, 3, 7.0, "falling"),  # 16 ms are nearer to 20
        line("A01", 300_000, 1, 9.0, "lying down"),
    ]
    series, names = load_human_activity(write(tmp_path, lines), 3, 1, official=False)
    assert names == ["A01"]
    torch.testing.assert_close(series.times, torch.tensor([0.0, 0.02, 0.03]))
    assert series.values[0].tolist() == [2, 3, 4, 0, 0, 0, 5, 6, 7, 0, 0, 0]
    assert series.feature_mask[0].tolist() == [True] * 3 + [False] * 3 + [True] * 3 + [False] * 3
    assert series.label.tolist() == [0, 1, 2]
    assert series.label_per == "time"


def test_windows_overlap_by_half_and_start_at_0(tmp_path):
    path = write(tmp_path, recording("A01", 100))
    series, _ = load_human_activity(path, 50, 25, official=False)
    assert len(series) == 3
    starts = series.offsets[:-1]
    assert series.times[starts].tolist() == [0, 0, 0]
    assert series.values[starts].amax(1).tolist() == [2, 27, 52]
    # The official code leaves out a window that ends with the recording, and counts bins.
    official, _ = load_human_activity(path, 50, 25, official=True)
    assert len(official) == 2
    assert official.times[1] == 5


def test_several_activities_in_a_bin(tmp_path):
    lines = [line("A01", 0, 0, 1.0, "on all fours"), line("A01", 10, 1, 1.0, "lying")]
    lines += [line("A01", 10**6, 0, 1.0)]
    series, _ = load_human_activity(write(tmp_path, lines), 2, 1, official=False)
    assert series.label.tolist() == [2, 0]


def test_nobody_is_in_two_parts(tmp_path):
    lines = [
        text
        for person, name in enumerate("ABCDE")
        for take in (1, 2)
        for text in recording(f"{name}0{take}", 80 + person)
    ]
    write(tmp_path, lines)
    settings = {"root": str(tmp_path), "task": "classification", "batch_size": 4}
    data = human_activity_data(HumanActivityConfig(validation_size=50, **settings))
    assert (data.dim, data.classes, data.label_per) == (12, 7, "time")
    assert [len(part.data) for part in (data.train, data.validation, data.test)] == [12, 4, 4]
    batch = next(iter(data.train))
    assert batch.label.shape == batch.target.mask.shape == (4, 50)
    assert data.features[:4] == ("left ankle x", "left ankle y", "left ankle z", "right ankle x")
    assert (len(data.features), data.time_unit) == (data.dim, TimeUnit("s"))
    by_recording = human_activity_data(
        HumanActivityConfig(split="recording", validation_size=0, **settings)
    )
    assert [len(part.data) for part in (by_recording.train, by_recording.test)] == [16, 4]


def test_the_official_code_draws_windows_again(tmp_path):
    write(tmp_path, recording("A01", 1500))
    data = human_activity_data(
        HumanActivityConfig(
            variant="official_code",
            root=str(tmp_path),
            validation_size=0,
            task="classification",
            batch_size=8,
        )
    )
    assert (data.classes, len(data.train.data), len(data.test.data)) == (11, 46, 12)
    starts = data.train.data.target.values.view(46, 50, 12)[:, 0].amax(1)
    assert len(starts.unique()) < 40  # of 46, drawn with replacement
    assert float(next(iter(data.train)).target.times.max()) == 1


def test_a_person_alone_cannot_be_split(tmp_path):
    write(tmp_path, recording("A01", 100))
    with pytest.raises(DataError, match="too few to hold out"):
        human_activity_data(HumanActivityConfig(root=str(tmp_path)))


GOOD = recording("A01", 3)
BAD = {
    "cells": (["A01,x"], "line 1: a line is recording,tag,ticks,date,x,y,z,activity"),
    "cut off": ([*GOOD, GOOD[0][:40]], f"{FILE}, line 4: a line is"),
    "tag": ([GOOD[0].replace(TAGS[0], "7")], "line 1: the tag '7' is none of"),
    "activity": ([*GOOD, line("A01", 9, 0, 1.0, "flying")], "line 4: the activity is one of"),
    "no label": ([line("A01", 0, 0, 1.0, "")], "line 1: the activity is one of"),
    "number": ([GOOD[0].replace("127,0,", "127,west,")], "line 1: could not convert"),
    "time": ([GOOD[0].replace(str(START), "noon")], "line 1: invalid literal"),
    "short": (GOOD, "no recording has 50 time points"),
    "empty": ([], "has no line"),
}


@pytest.mark.parametrize(("lines", "message"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_rejected_with_their_line(tmp_path, lines, message):
    with pytest.raises(DataError) as raised:
        load_human_activity(write(tmp_path, lines), 50, 25, official=False)
    assert message in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_where_to_get_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"is missing; get it from https://archive\.ics\.uci\.edu"):
        human_activity_data(HumanActivityConfig(root=str(tmp_path)))


def test_changed_recordings_are_not_resumed_from(tmp_path):
    write(tmp_path, recording("A01"))
    words = ["experiment=human_activity_rnn_dt", f"dataset.root={tmp_path}"]
    config = composed_config(words)
    before = fingerprints(config)
    assert [Path(each["path"]).name for each in before] == [FILE]
    (tmp_path / "run_info.json").write_text(json.dumps({"data": before}))
    check_same_data(config, tmp_path)
    write(tmp_path, recording("A01", activity="falling"))
    with pytest.raises(ConfigError, match=r"the data of the run .* have changed"):
        check_same_data(config, tmp_path)
