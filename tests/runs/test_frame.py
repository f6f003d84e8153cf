"""load_runs: one table of all runs, in which a damaged one is a row and no end of it."""

import json
import shutil
import time
from pathlib import Path

import pandas
import pytest

from node_experiments.cli.report import TABLES, main
from node_experiments.runs import load_runs
from node_experiments.runs.directory import status
from node_experiments.runs.jobs import Job

REFERENCE = Path(__file__).parent.parent.parent / "outputs" / "reference"
ONE = REFERENCE / "table1" / "mnist_resnet_1block_seed1"


def copy(target, source=ONE, **changed):
    """A run folder like a committed one, some keys of its result changed."""
    shutil.copytree(source, target)
    result = json.loads((source / "result.json").read_text()) | changed
    (target / "result.json").write_text(json.dumps(result))
    return target


def test_settings_choices_and_numbers_are_columns(tmp_path):
    copy(tmp_path / "resnet" / "one")
    runs = load_runs(tmp_path)
    (run,) = runs.to_dict("records")
    result = json.loads((ONE / "result.json").read_text())
    assert run["directory"] == str(tmp_path / "resnet" / "one")
    assert (run["name"], run["status"], run["seed"]) == ("mnist_resnet_1block", "completed", 1)
    assert run["accuracy/test"] == result["best"]["accuracy/test"]
    assert run["last/accuracy/test"] == result["metrics"]["accuracy/test"]
    assert run["accuracy/test"] != run["last/accuracy/test"]
    assert (run["epoch"], run["last/epoch"]) == (9, 10)
    assert run["epoch_chosen_by"] == "accuracy/validation"
    assert run["epoch_phrase"] == "at the best validation epoch (9 of 10)"
    assert run["seconds"] == result["seconds"]["total"]
    assert run["config.model.blocks"] == 1
    assert isinstance(run["config.model.blocks"], int)
    assert run["config.solver.num_steps"] is None, "a setting of None is no missing value"
    assert run["choices.optimizer"] == "mnist"
    assert runs["accuracy/test"].dtype == float


def test_means_over_seeds_are_one_line_of_pandas():
    runs = load_runs(REFERENCE / "table1")
    means = runs.groupby("name")["last/accuracy/test"].mean()
    assert 100 * (1 - means["mnist_mlp"]) == pytest.approx(1.69)


def test_no_runs_have_the_documented_columns(tmp_path):
    runs = load_runs(tmp_path)
    assert runs.empty
    assert {"directory", "name", "status", "seed", "epoch", "seconds"} <= set(runs.columns)


def test_committed_runs_are_read_when_asked_for(tmp_path):
    outputs = tmp_path / "outputs"
    copy(outputs / "net" / "mine")
    copy(outputs / "reference" / "table1" / "theirs")
    assert len(load_runs(outputs)) == 1
    assert len(load_runs(outputs, reference=True)) == 2
    assert len(load_runs(outputs / "reference")) == 1
    # A run of this name elsewhere is no committed one.
    copy(outputs / "net" / "reference")
    assert len(load_runs(outputs)) == 2


DAMAGES = {
    "no JSON": ("result.json", b"{"),
    "choices": ("result.json", b'{"status": "completed", "choices": 5}'),
    "best": ("result.json", b'{"status": "completed", "best": "x"}'),
    "metrics": ("result.json", b'{"status": "completed", "metrics": null}'),
    "future": ("result.json", b'{"version": 2}'),
    "bytes": ("result.json", b"\xff\xfe\x00"),
    "YAML": ("config.yaml", b"a: ["),
    "a list": ("config.yaml", b"- 1"),
    "a python tag": ("config.yaml", b"!!python/object/apply:os.system [ls]"),
    "itself": ("config.yaml", b"a: &a\n  b: *a"),
}
# Read as far as they can be: these have a name, and lack or confuse settings.
ODD = {
    "few settings": ("config.yaml", b"dataset: {name: mnist}\nmode: train\n"),
    "odd settings": ("config.yaml", b"name: [1]\nseed: x\ndataset: 5\nmode: {a: 1}\nmodel: [1]"),
    "metrics.jsonl": ("metrics.jsonl", b'5\n[1]\n{"epoch": "x"}\n{"epoch": 1'),
}


def damage(folder, name):
    file, content = (DAMAGES | ODD)[name]
    (copy(folder) / file).write_bytes(content)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_run_is_a_row_with_the_reason(tmp_path, name):
    damage(tmp_path / "bad", name)
    copy(tmp_path / "good")
    bad, good = load_runs(tmp_path).to_dict("records")
    assert (bad["status"], good["status"]) == ("damaged", "completed")
    assert DAMAGES[name][0] in bad["reason"]
    assert "damaged" in bad["reason"]
    assert "\n" not in bad["reason"]
    if DAMAGES[name][0] == "result.json":
        assert status(tmp_path / "bad") == "damaged", "it is run again"


def test_no_report_fails_for_damaged_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in DAMAGES | ODD:
        damage(tmp_path / "outputs" / name, name)
    good = copy(tmp_path / "outputs" / "good")
    (tmp_path / "outputs" / "jobs.jsonl").write_text('x\n5\n{"job": 1}\n{"job": "a"}\n')
    for command in (
        ["list"],
        ["table", "mnist_resnet_1block"],
        ["html"],
        ["figure", "curves", "mnist_resnet_1block"],
        ["figure", "cost", "mnist_resnet_1block"],
        *(["compare", f"outputs/{name}", "outputs/good"] for name in DAMAGES | ODD),
    ):
        assert main(command) == 0, (command, capsys.readouterr().err)
    capsys.readouterr()
    for table in TABLES:
        code = main([table, "--format", "md"])
        out, err = capsys.readouterr()
        assert code == 0 or len(err.splitlines()) == 1
        if table == "table1":
            accuracy = json.loads((good / "result.json").read_text())["metrics"]["accuracy/test"]
            assert f"| {100 * (1 - accuracy):.2f} |" in out, "the other run is there"


def test_jobs_that_never_had_a_directory_are_rows(tmp_path):
    sweep = tmp_path / "sweeps" / "tuned" / "today"
    sweep.mkdir(parents=True)
    job = {"job": 3, "overrides": "experiment=mnist_mlp,seed=0", "folder": "x/3", "reason": "no"}
    (sweep / "jobs.jsonl").write_text(json.dumps(job) + '\n{"job": 4, "ov')
    (run,) = load_runs(tmp_path).to_dict("records")
    assert (run["name"], run["status"], run["reason"]) == ("mnist_mlp", "failed", "no")
    assert run["sweep"] == "tuned"
    assert Path(run["directory"]) == sweep / "3"


def test_a_comma_inside_a_value_parts_no_overrides():
    job = Job(0, "dataset.value_columns=[hr,bp],+model.hidden=8,seed=1", "x/0")
    assert job.varied == {"dataset.value_columns": "[hr,bp]", "+model.hidden": "8", "seed": "1"}


def test_it_is_quick():
    assert isinstance(load_runs(REFERENCE / "table1"), pandas.DataFrame)
    started = time.process_time()
    assert len(load_runs(REFERENCE)) > 280
    assert time.process_time() - started < 3, "under a second where nothing else runs"


def test_an_evaluation_names_the_epoch_of_its_weights(tmp_path):
    """Evaluations of two checkpoints of one run would not be told apart otherwise."""
    for epoch in (3, 9):
        copy(tmp_path / str(epoch), mode="eval", of_checkpoint={"file": "a.pt", "epoch": epoch})
    assert list(load_runs(tmp_path)["trained.epoch"]) == [3, 9]
