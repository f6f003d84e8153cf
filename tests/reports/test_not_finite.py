"""Results that are NaN or infinite are named, and no mean counts them in silence."""

import json
import math

import pytest

from node_experiments.chapters.gallery.spheres_report import spheres_table
from node_experiments.cli.sweep_table import print_summary
from node_experiments.reports.grouped import grouped
from node_experiments.reports.records import not_finite
from node_experiments.runs import load_runs
from node_experiments.runs.jobs import note_job
from tests.reports.test_reports import call, write_run

NAN, INF = math.nan, math.inf


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for seed, value in enumerate((0.9, NAN, 0.8)):
        write_run(tmp_path / "outputs", seed, value, seed=seed)
    return tmp_path / "outputs"


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_mean_says_over_how_many_runs_it_is(tmp_path, value):
    for seed, each in enumerate((0.9, value, 0.8)):
        write_run(tmp_path, seed, each, seed=seed)
    table = grouped(load_runs(tmp_path), "mine")
    row = dict(zip(table.headings, map(str, table.rows()[0]), strict=True))
    assert row["runs"] == "3"
    assert row["accuracy/test"] == "0.8500 ± 0.071 (2)"
    assert row["evaluations forward"] == "22 ± 0"
    (note,) = [note for note in table.notes if "no finite" in note]
    assert note == (
        "1 of 3 runs has no finite accuracy/test (seed 1); its mean is over the others."
    )


def test_a_number_that_is_finite_in_no_run_is_shown_as_nan(tmp_path):
    for seed in range(2):
        write_run(tmp_path, seed, NAN, seed=seed)
    table = grouped(load_runs(tmp_path), "mine")
    assert str(table.rows()[0][table.headings.index("accuracy/test")]) == "nan"
    assert any("2 of 2 runs have no finite accuracy/test" in note for note in table.notes)
    assert any("(seed 0, 1)" in note for note in table.notes)


def test_lists_and_comparisons_show_nan(outputs, capsys):
    _, out, _ = call(capsys, "list", "--format", "md")
    assert "accuracy nan" in out
    folders = sorted(map(str, outputs.glob("*/*")))
    code, out, _ = call(capsys, "compare", *folders[:2], "--format", "md")
    assert "| accuracy/test | 0.9 | nan |" in out
    code, out, _ = call(capsys, "table", "mnist_odenet", "--format", "json")
    assert code == 0
    assert json.loads(out)["rows"][0]["accuracy/test count"] == 2


def test_the_summary_of_a_sweep_counts_them(outputs, tmp_path, capsys):
    for seed, folder in enumerate(sorted(outputs.glob("*/*"))):
        note_job(tmp_path / "sweep", seed, f"seed={seed}", folder, None)
    assert print_summary(tmp_path / "sweep") == 0
    out = capsys.readouterr().out
    assert "0.8500 ± 0.071 (2)" in out
    assert "1 of 3 runs has no finite accuracy/test (seed 1)" in out
    assert " nan " in out


def test_finite_numbers_need_no_note(tmp_path):
    for seed in range(2):
        write_run(tmp_path, seed, seed=seed)
    table = grouped(load_runs(tmp_path), "mine")
    assert not any("finite" in note for note in table.notes)
    assert " (2)" not in str(table.texts())
    assert not_finite([{"seed": 1}, {"not_finite": ""}], ["loss/test", ""]) == []


def test_the_tables_of_chapters_name_them_too(tmp_path):
    for seed, value in enumerate((0.995, NAN)):
        folder = write_run(tmp_path, seed, value, seed=seed)
        (folder / "config.yaml").write_text(
            f"name: mnist_odenet\nseed: {seed}\ndataset: {{name: spheres, dim: 2}}\n"
            "model: {name: sphere_ode, augment: 0}\n"
        )
    table = spheres_table(load_runs(tmp_path))
    (row,) = table.texts()
    assert row[table.headings.index("test accuracy")] == "0.9950 (1)"
    assert row[table.headings.index("failures")] == "1"
    assert any("1 of 2 runs has no finite accuracy/test" in note for note in table.notes)
