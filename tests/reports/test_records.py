"""Runs that are older than a setting count as runs with its default."""

from dataclasses import fields

import pandas as pd
import pytest

from node_experiments.config import TrainerConfig
from node_experiments.reports.grouped import grouped
from node_experiments.reports.records import (
    by_settings,
    differences,
    most_alike,
    one_per_seed,
    settings,
    unfinished,
    varying,
)
from node_experiments.runs.frame import frame_of

DEFAULTS = {entry.name: entry.default for entry in fields(TrainerConfig)}


def run(seed=0, **trainer):
    """A run of 7 epochs that knows these settings of the trainer."""
    own = {"trainer.epochs": 7, **{f"trainer.{name}": value for name, value in trainer.items()}}
    config = {f"config.{name}": value for name, value in own.items()}
    return {"seed": seed, "directory": f"run{seed}", "status": "completed", **config}


@pytest.mark.parametrize("name", sorted(DEFAULTS.keys() - {"epochs", "loggers"}))
def test_a_setting_at_its_default_counts_as_one_that_a_run_did_not_know(name):
    old, new = run(0), run(1, **{name: DEFAULTS[name]})
    assert most_alike([old, new]) == [old, new]
    assert settings(old) == settings(new)
    assert differences([[old, new]]) == []
    assert varying([settings(old), settings(new)]) == []


def test_another_value_tells_it_from_an_older_run():
    old, default, other = run(0), run(1, accumulate=1), run(2, accumulate=4)
    assert most_alike([other, old, default]) == [old, default]
    (note,) = differences([[old, default, other]])
    assert note == "Runs of one cell also differ in: trainer.accumulate (1, 4)."
    assert varying([settings(each) for each in (old, default, other)]) == ["trainer.accumulate"]


def test_settings_that_came_later_count_as_what_was_done_before():
    name = {"config.model.name": "gru_d"}
    old, new = {**run(0), **name}, {**run(1), **name, "config.model.kl_weight": 1.0}
    other = {**run(2), **name, "config.model.kl_weight": 0.1}
    assert most_alike([other, old, new]) == [old, new]
    assert differences([[old, new]]) == []


def test_other_defaults_of_models_are_not_known():
    old, new = run(0), {**run(1), "config.model.hidden": 64}
    assert len(most_alike([old, new])) == 1
    (note,) = differences([[old, new]])
    assert "model.hidden (64, absent)" in note


def test_settings_of_elsewhere_and_of_a_repetition_never_count():
    named = {
        "predict.out": "x", "places.data": "/a", "trainer.loggers": "[csv]", "seed": 3,
        "outputs": "o", "resume": "auto", "trainer.progress": False,
    }  # fmt: skip
    other = run(1) | {f"config.{name}": value for name, value in named.items()}
    assert settings(other) == settings(run(0))
    assert most_alike([run(0), other]) == [run(0), other]


def test_runs_are_grouped_by_what_they_computed():
    """An older run is with one of the default, and one of another data file is not."""
    old, default, other = run(0), run(1, accumulate=1), run(2, accumulate=4)
    assert by_settings([old, default, other]) == (
        ["trainer.accumulate"], {("1",): [old, default], ("4",): [other]},
    )  # fmt: skip
    one, two = ({**run(seed), "data_sha256": each} for seed, each in enumerate("ab"))
    assert by_settings([one, two]) == (["dataset.sha256"], {("a",): [one], ("b",): [two]})
    profiled = run(3, profile=True)  # takes longer, and computes the same
    assert by_settings([old, profiled]) == ([], {(): [old, profiled]})


def test_a_run_without_settings_of_a_trainer_is_given_none():
    found = settings({"seed": 1, "config.model.name": "mlp"})
    assert not any(name.startswith(("trainer.", "dataset.")) for name in found)


def test_a_table_of_old_and_new_runs_has_one_row():
    rows = [
        {**run(0), "loss/test": 1.0},
        {**run(1, accumulate=1), "loss/test": 3.0},
        {**run(2, accumulate=4), "loss/test": 9.0},
    ]
    runs = pd.DataFrame(rows).astype(object).where(lambda frame: frame.notna(), float("nan"))
    table = grouped(runs, "runs")
    assert table.headings[:2] == ["trainer.accumulate", "runs"]
    assert [tuple(row[:2]) for row in table.rows()] == [("1", 2), ("4", 1)]


def test_the_last_run_of_a_seed_counts():
    first, second = run(0), {**run(0), "directory": "again"}
    assert one_per_seed([first, run(1), second]) == [second, run(1)]
    unknown = [{"directory": name} for name in ("a", "b")]
    assert one_per_seed(unknown) == unknown


def test_runs_of_other_files_and_modes_are_not_pooled():
    rows = [
        {**run(0), "data_sha256": "a", "loss/test": 1.0},
        {**run(0), "data_sha256": "b", "loss/test": 2.0},
        {**run(1), "data_sha256": "b", "loss/test": 4.0},
        {**run(0), "mode": "eval", "data_sha256": "a", "loss/test": 1.0},
        {**run(0), "mode": "predict", "data_sha256": "c"},
    ]
    runs = pd.DataFrame(rows).astype(object).where(lambda frame: frame.notna(), float("nan"))
    table = grouped(runs, "runs")
    assert table.headings[:2] == ["dataset.sha256", "runs"]
    assert [tuple(map(str, row)) for row in table.rows()] == [
        ("a", "1", "1.0000"),
        ("b", "2", "3.0000 ± 1.4"),
    ]
    (evaluations,) = table.more
    assert (evaluations.title, len(evaluations.frame)) == ("runs, mode=eval", 1)


def test_errors_on_different_files_are_not_for_comparison():
    own = [
        {**run(0), "config.dataset.path": path, "data_sha256": digits, "mse/test": 0.1}
        for path, digits in (("a.csv", "a"), ("b.csv", "b"))
    ]
    (note,) = [note for note in grouped(frame_of(own), "").notes if "different data files" in note]
    assert "compare only numbers of the same file" in note
    for same in (own[:1] * 2, [{**each, "config.dataset.path": None} for each in own]):
        notes = grouped(frame_of(same), "").notes
        assert not any("different data files" in note for note in notes)


def test_of_two_runs_with_a_seed_the_one_that_started_last_counts():
    early = {**run(0), "directory": "z", "started": "2026-01-01T00:00:00+00:00"}
    late = {**run(0), "directory": "a", "started": "2026-01-02T00:00:00+00:00"}
    for order in ([early, late], [late, early]):
        assert one_per_seed(order) == [late]


def test_runs_that_did_not_complete_are_named_unless_they_were_repeated():
    done = [run(0), run(1)]
    lost = [{**run(seed), "status": "diverged"} for seed in (1, 2, 3)]
    lost += [{**run(4), "status": "failed"}, {**run(0, epochs=9), "status": "failed"}]
    assert unfinished([*done, *lost], done, "on spirals") == [
        "Runs on spirals that did not complete, not counted: 2 diverged, 2 failed."
    ]
    assert unfinished(done, done, "on spirals") == []


def test_evaluations_of_one_network_count_once_whatever_their_own_seed():
    origin = {"mode": "eval", "config.checkpoint": "a", "accuracy/test": 0.5}
    first = {**run(0), **origin, "trained.seed": 7}
    second = {**run(1), **origin, "trained.seed": 7}
    other = {**run(0), **origin, "trained.seed": 8}
    assert one_per_seed([first, other, second]) == [second, other]
    table = grouped(frame_of([first, second]), "")
    assert [str(row[table.headings.index("runs")]) for row in table.rows()] == ["1"]
    assert any("evaluate the same network again" in note for note in table.notes)


def test_evaluations_of_several_networks_are_several_rows_or_seeds():
    both = [
        {
            **run(0),
            "mode": "eval",
            "config.checkpoint": name,
            "trained.seed": seed,
            "loss/test": 1.0,
        }
        for name, seed in (("a", 0), ("b", 1))
    ]
    assert len(one_per_seed(both)) == 2
    assert len(grouped(frame_of(both), "").rows()) == 2
