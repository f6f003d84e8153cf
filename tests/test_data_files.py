"""Where a run's data are, whether they are the same, and names in place of run folders."""

import importlib.util
import json
import os
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from node_experiments import load
from node_experiments.config import ConfigError
from node_experiments.errors import UserError
from node_experiments.runs.checkpoint_names import pretrained_runs, resolved_checkpoint

TINY = ("protocol=smoke", "trainer.threads=1", "trainer.progress=false", "trainer.epochs=1")


def write(path, seed=3):
    draw = random.Random(seed)
    rows = [(f"p{n:02d}", t, round(draw.gauss(80, 9), 2)) for n in range(12) for t in range(6)]
    pd.DataFrame(rows, columns=["series", "time", "hr"]).to_csv(path, index=False)


@pytest.fixture
def run(node_run, tmp_path):
    """A completed run, started in `work` with a relative path."""
    (tmp_path / "work").mkdir()
    write(tmp_path / "work" / "patients.csv")

    os.chdir(tmp_path / "work")
    done = node_run("experiment=csv_rnn_dt", "dataset.path=patients.csv", *TINY)
    assert done.code == 0, done.err
    return done.folders[-1]


def test_a_relative_path_is_found_from_another_directory(node_run, run, tmp_path, monkeypatch):
    info = json.loads((run / "run_info.json").read_text())["data"]
    assert [file["path"] for file in info] == [str(tmp_path / "work" / "patients.csv")]
    assert "path: patients.csv" in (run / "config.yaml").read_text()  # as it was typed
    monkeypatch.chdir(tmp_path)
    done = node_run("mode=eval", f"checkpoint={run}")
    assert done.code == 0, done.err
    assert "is not what the model was trained on" not in done.out
    done = node_run(f"resume={run}")
    assert "was completed before" in done.out
    # Moved: it may be given again, and must be the same.
    shutil.move("work/patients.csv", "moved.csv")
    done = node_run(f"resume={run}")
    assert (done.code, "dataset.path=<file>" in done.err) == (2, True)
    done = node_run(f"resume={run}", "dataset.path=moved.csv")
    assert "was completed before" in done.out, done.err
    done = node_run("mode=eval", f"checkpoint={run}", "dataset.path=moved.csv")
    assert (done.code, "is not what the model" in done.out) == (0, False)
    write(tmp_path / "moved.csv", seed=4)
    done = node_run(f"resume={run}", "dataset.path=moved.csv")
    assert (done.code, "have changed" in done.err) == (2, True)


def test_changed_data_are_not_resumed_nor_called_completed(node_run, run, tmp_path):

    os.chdir(tmp_path / "work")
    words = ("experiment=csv_rnn_dt", "dataset.path=patients.csv", *TINY, "resume=auto")
    assert "was completed before" in node_run(*words).out
    write("patients.csv", seed=4)
    done = node_run(f"resume={run}")
    assert (done.code, "have changed" in done.err, done.err.count("\n")) == (2, True, 1)
    assert json.loads((run / "result.json").read_text())["status"] == "completed"
    done = node_run(*words)
    assert (done.code, "was completed before" in done.out) == (0, False)
    assert len(done.folders) == 2
    done = node_run("mode=eval", f"checkpoint={run}")
    assert done.code == 0
    assert "is not what the model was trained on: that was" in done.out
    assert "on 12 " in done.out  # all series of another file


def test_settings_are_those_of_the_checkpoint(node_run, run):
    done = node_run("mode=eval", f"checkpoint={run}", "dataset.extrapolate_from=0.7")
    assert done.code == 0, done.err
    new = done.folders[-1] if done.folders[-1] != run else done.folders[0]
    text = (new / "config.yaml").read_text()
    assert "extrapolate_from: 0.7" in text
    assert "path: patients.csv" in text
    done = node_run("mode=eval", f"checkpoint={run}", "model=gru_d")
    assert (done.code, "checkpoint holds model 'irregular_rnn_dt'" in done.err) == (2, True)
    done = node_run(f"resume={run}", "dataset.task=interpolation")
    assert (done.code, "dataset.task cannot be changed" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("column", "cell", "remedy"),
    [
        ("hr", "80,5", r"decimal comma; make it a point with .str.replace\(',', '.'\)"),
        ("hr", "1,234,567", r"thousands; remove it with .str.replace\(',', ''\)"),
        ("hr", "<60", "a number that stands for it, or None"),
        ("hr", "x", "if it means that nothing was observed, write None"),
    ],
)
def test_a_dataframe_is_mended_with_pandas(run, column, cell, remedy):
    rows = {"series": ["a", "a"], "time": [0.0, 1.0], "hr": [80.0, 82.0]}
    rows[column][1] = cell
    with pytest.raises(Exception, match=remedy) as error:
        load(run).predict(pd.DataFrame(rows), times=[2])
    assert "dataset." not in str(error.value)


def test_latest_is_the_run_that_was_saved_last(node_run, run, tmp_path):
    assert load("latest").folder.resolve() == run.resolve()
    done = node_run("resume=latest")
    assert "was completed before" in done.out, done.err
    (run / "checkpoints").rename(run / "elsewhere")
    for words in (("mode=eval", "checkpoint=latest"), ("resume=latest",)):
        done = node_run(*words)
        assert (done.code, "no run in outputs has a checkpoint" in done.err) == (2, True)
    done = node_run("mode=eval", "checkpoint=lastest")
    assert (done.code, "did you mean latest?" in done.err) == (2, True)
    with pytest.raises(ConfigError, match=r"no run in .* has a checkpoint"):
        load("latest")
    with pytest.raises(Exception, match=r"there is no file .*last.pt; give a run folder or a .pt"):
        load(run)
    with pytest.raises(Exception, match="is missing"):
        load(tmp_path / "nowhere")


def test_a_loaded_run_needs_no_data(run, tmp_path):
    (tmp_path / "work" / "patients.csv").unlink()
    loaded = load(run)
    assert loaded.metrics["mse/test"] > 0
    assert loaded.config.model.name == "irregular_rnn_dt"
    rows = pd.DataFrame({"series": ["a", "a"], "time": [0.0, 1.0], "hr": [80.0, 82.0]})
    found = loaded.predict(rows, times=[2, 3], samples=5)
    assert list(found.columns) == ["series", "time", "hr", "hr_q05", "hr_q95"]
    assert found.equals(loaded.predict(rows.set_index("time"), times=pd.Series([2, 3]), samples=5))
    with pytest.raises(Exception, match=r"the DataFrame: the column 'hr' is not there"):
        loaded.predict(rows.drop(columns="hr"), times=[2])
    with pytest.raises(Exception, match=r"patients.csv is missing"):
        loaded.predict(times=[2])
    with pytest.raises(Exception, match="whose times are numbers"):
        loaded.predict(rows, times=["2024-03-01"])


def test_a_loaded_run_is_used_wrongly(run):
    loaded = load(run)
    table = pd.DataFrame({"series": ["a", "a"], "time": [0, 1], "hr": [80.0, 81.0]})
    for wrong, said in (
        ({"inputs": [1, 2]}, "this is a list; give a pandas.DataFrame"),
        ({"inputs": table.drop(columns="hr")}, "the DataFrame: the column 'hr' is not there"),
        ({"inputs": table, "samples": "x"}, "samples='x' must be an integer"),
        ({"inputs": table, "times": [pd.Timestamp("2024-03-01")]}, "whose times are numbers"),
        ({"inputs": "away.csv"}, "away.csv is missing"),
    ):
        with pytest.raises(UserError, match=said):
            loaded.predict(**wrong)
    with pytest.raises(UserError, match=r"trainer\.device=cud is not available"):
        load(run, device="cud")


def test_names_of_series_and_times_are_those_of_the_frame(run):
    loaded = load(run)
    table = pd.DataFrame({"series": [7, 7, 12], "time": [0, 1, 0], "hr": [80.0, 81.0, 70.0]})
    found = loaded.predict(table, times=[3])
    assert found["series"].tolist() == [7, 12]
    assert pd.api.types.is_integer_dtype(found["series"])
    far = loaded.predict(table, times=[-1, 1, 1e9])  # before, within, and of nothing learned
    assert far["hr"].isna().tolist() == [True, False, True] * 2


def test_a_checkpoint_that_is_not_there_is_said_before_its_settings(node_run):
    done = node_run("mode=predict", "checkpoint=away", "dataset.path=new.csv")
    assert (done.code, "checkpoint=away is missing" in done.err) == (2, True)
    done = node_run("mode=predict", "dataset.path=new.csv")
    assert (done.code, "mode=predict needs checkpoint=" in done.err) == (2, True)


def test_what_ships_is_small_and_evaluates(node_run):
    assert set(pretrained_runs()) >= {
        "csv_latent_ode", "mnist_odenet", "planar_cnf", "spirals_latent_ode",
    }  # fmt: skip
    sizes = [f.stat().st_size for p in pretrained_runs().values() for f in p.rglob("*")]
    assert sum(sizes) < 2e6
    for name, folder in pretrained_runs().items():
        info = json.loads((folder / "run_info.json").read_text())
        assert info["git"]["commit"], name
        assert not info["git"]["changed"], name
        assert not any("/" in word for word in info["command"]), name
        weights = torch.load(folder / "checkpoints" / "best.pt", weights_only=True)
        assert "optimizer" not in weights
    with pytest.raises(ConfigError, match=r"did you mean planar_cnf\? \(allowed: csv_latent_ode,"):
        resolved_checkpoint("pretrained:planar_cnn")
    done = node_run("mode=eval", "checkpoint=pretrained:csv_latent_ode", "trainer.threads=1")
    assert done.code == 0, done.err
    told = json.loads((pretrained_runs()["csv_latent_ode"] / "result.json").read_text())
    assert f"mse {told['best']['mse/test']:.3f}" in done.out
    done = node_run("--list", "pretrained")
    assert "checkpoint=pretrained:mnist_odenet  protocol=quick, test accuracy 0.99" in done.out


def test_the_sample_is_what_its_script_writes(node_run, tmp_path):

    script = Path(__file__).parent.parent / "scripts" / "make_sample_series.py"
    spec = importlib.util.spec_from_file_location("make_sample_series", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    for name in ("patients", "new_patients", "new_patients_later"):
        printed = node_run("dataset=csv", "--sample", name)
        assert printed.out == (tmp_path / f"{name}.csv").read_text()
    assert "--sample nobody is unknown" in node_run("dataset=csv", "--sample", "nobody").err
    assert "--sample needs a dataset" in node_run("--sample").err
