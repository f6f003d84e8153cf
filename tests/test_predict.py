"""mode=predict for every model, and the same from Python."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from node_experiments import load
from node_experiments.chapters.image_classification.predict import (
    read_user_images,
    warn_if_inverted,
)
from node_experiments.chapters.irregular_series.user_tables.user_table import SAMPLES
from node_experiments.config import ConfigError
from node_experiments.config.run import PredictConfig
from node_experiments.errors import DataError
from node_experiments.runner.build import build_data, build_model
from node_experiments.runner.compose import to_yaml
from node_experiments.runner.predict import check_outputs, check_predict, parse_times
from node_experiments.runs.checkpoint_names import pretrained_runs
from tests.composed import composed_config

pytestmark = pytest.mark.figures

SPIRALS = ("dataset.train_size=8", "dataset.test_size=3", "dataset.batch_size=8")
IMAGES = (
    "dataset.train_size=32", "dataset.batch_size=16", "dataset.validation_size=16",
    "dataset.test_size=5",
)  # fmt: skip


def trained(node_run, experiment, *overrides):
    """A run folder as training leaves it, with the first weights."""
    config = composed_config([f"experiment={experiment}", "protocol=smoke", *overrides])
    cpu = torch.device("cpu")
    data = build_data(config, cpu)
    model = build_model(config, data, cpu)
    folder = Path("outputs") / experiment / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(asdict(config)))
    content = {"config": asdict(config), "model": model.state_dict(), "data": None, "epoch": 1}
    torch.save(content, folder / "checkpoints" / "last.pt")
    return folder


def drawn(tmp_path):
    with Image.open(next(tmp_path.rglob("prediction.png"))) as picture:
        return picture.size > (300, 100)


def predicted(node_run, tmp_path, *overrides):
    done = node_run("mode=predict", "checkpoint=latest", *overrides)
    assert done.code == 0, done.err
    assert "predictions.csv" in done.out
    assert drawn(tmp_path)
    return pd.read_csv(tmp_path / "predictions.csv")


def test_a_run_that_was_killed_is_said_to_be_unfinished(node_run, tmp_path):
    """Its folder holds a checkpoint and no result."""
    folder = trained(node_run, "ode_demo")
    done = node_run("mode=predict", "checkpoint=latest")
    assert done.code == 0, done.err
    said = done.out + done.err
    assert f"{folder} has not completed its training (it is unfinished)" in said
    assert f"resume={folder} continues it" in said
    assert f"by the model after epoch 1 in {folder}/checkpoints/last.pt" in said
    result = {"status": "completed", "metrics": {"loss/test": 0.5}}
    (folder / "result.json").write_text(json.dumps(result))
    done = node_run("mode=predict", "checkpoint=latest")
    assert "has not completed" not in done.out + done.err


@pytest.mark.parametrize(
    ("experiment", "asked", "said"),
    [
        ("mnist_mlp", {"times": 3}, "predict.times means nothing for model 'mlp'"),
        ("spirals_rnn", {"latent": True}, "it reads only out, times, samples, points"),
        ("ode_demo", {"samples": 3}, "predict.samples means nothing"),
        ("two_moons_ffjord", {"images": "x"}, "predict.images means nothing"),
    ],
)
def test_what_means_nothing_for_a_model_is_rejected_by_name(experiment, asked, said):
    words = [f"experiment={experiment}"]
    if experiment == "two_moons_ffjord":
        words = ["dataset=two_moons", "model=ffjord"]
    config = composed_config([*words, "mode=predict", "checkpoint=x"])
    config.predict = PredictConfig(**asked)
    with pytest.raises(ConfigError, match=said):
        check_predict(config)


def test_no_input_is_written_over(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("patients.csv", "start.npz", "when.csv"):
        (tmp_path / name).write_text("years of work")
    (tmp_path / "link.csv").symlink_to("patients.csv")
    words = ["experiment=csv_latent_ode", "mode=predict", "checkpoint=x"]
    config = composed_config([*words, "dataset.path=patients.csv"])
    for asked in (
        {"out": "patients.csv"}, {"out": str(tmp_path / "patients.csv")}, {"out": "link.csv"},
        {"out": "start.npz", "points": "start.npz"}, {"out": "when.csv", "rows": "when.csv"},
        {"out": "when.csv", "times": "when.csv:t"},
        {"latent": "patients.csv"},
    ):  # fmt: skip
        config.predict = PredictConfig(**asked)
        with pytest.raises(ConfigError, match=r"among the files that are read .* be overwritten"):
            check_outputs(config)
    for asked in ({"out": "latent.csv", "latent": True}, {"out": "a.csv", "latent": "./a.csv"}):
        config.predict = PredictConfig(**asked)
        with pytest.raises(ConfigError, match=r"predict\.latent are one file; name another"):
            check_outputs(config)
    config.predict = PredictConfig(out="new.csv")
    check_outputs(config)
    with pytest.raises(ConfigError, match="must be a file"):
        PredictConfig(out="a\0.csv")


def test_no_file_is_written_that_the_next_command_would_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["experiment=csv_latent_ode", "mode=predict", "checkpoint=x", "dataset.path=*.csv"]
    config = composed_config(words)
    for out in ("patients.csv", "new.csv", str(tmp_path / "new.csv")):
        config.predict = PredictConfig(out=out)
        with pytest.raises(ConfigError, match=r"among the files that are read \(\*\.csv\)"):
            check_outputs(config)
    for asked in ({}, {"latent": True}, {"out": "new.parquet", "latent": "new.csv"}):
        config.predict = PredictConfig(**asked)  # without a name, predictions.csv and latent.csv
        with pytest.raises(ConfigError, match=r"would be among the files that are read"):
            check_outputs(config)
    for asked in ({"out": "forecasts/new.csv"}, {"out": "new.parquet"}):
        config.predict = PredictConfig(**asked)
        check_outputs(config)
    config = composed_config([*words[:-1], "dataset.path=runs/../**/*.csv"])
    for out in ("new.csv", "runs/a/new.csv"):
        config.predict = PredictConfig(out=out)
        with pytest.raises(ConfigError, match=r"would be among the files that are read"):
            check_outputs(config)


def test_an_output_beside_files_that_are_read_elsewhere_is_written(tmp_path, monkeypatch):
    """A relative pattern is of the folder in which the model was trained."""
    (there := tmp_path / "there").mkdir()
    (there / "a.csv").write_text("years of work")
    monkeypatch.chdir(tmp_path)
    words = ["experiment=csv_latent_ode", "mode=predict", "checkpoint=x", "dataset.path=*.csv"]
    config = composed_config(words)
    config.places = {"path": str(there / "*.csv")}
    config.predict = PredictConfig()
    check_outputs(config)


def test_a_later_file_may_be_written_otherwise(node_run, tmp_path):
    """By the settings of the command line, as messages say; what was learned stays as it is."""
    name = "$\\frac{$"  # that is no formula
    rows = [(name, 0, 80, 120, 37), (name, 5, 90, "none seen", 38)]
    table = pd.DataFrame([*rows, rows[1]], columns=["patient", "t (h)", "hr", "bp", "temp"])
    table.to_csv(tmp_path / "new.csv", index=False)
    words = [
        "mode=predict", "checkpoint=pretrained:csv_latent_ode", "dataset.path=new.csv",
        "predict.times=[6]", "predict.samples=2", "dataset.series_column=patient",
        "dataset.time_column='t (h)'", "dataset.missing=['none seen']",
    ]  # fmt: skip
    result = node_run(*words)
    assert result.code == 2
    assert "has another row at the time '5'; all of its cells are those of an" in result.err
    (tmp_path / "predictions.csv").write_text("those of yesterday")
    result = node_run(*words, "dataset.duplicates=mean")
    assert result.code == 0, result.err
    assert re.search(r"completed in \d+ s: predictions-2.csv\n", result.out)
    assert (tmp_path / "predictions.csv").read_text() == "those of yesterday"
    assert drawn(tmp_path)
    found = pd.read_csv(tmp_path / "predictions-2.csv")
    assert list(found.columns[:3]) == ["patient", "t (h)", "hr"]
    assert found["patient"].tolist() == [name]
    for word in ("scaling=none", "value_columns=[hr]", "time_origin=file", "split_seed=3"):
        result = node_run(*words, f"dataset.{word}")
        assert result.code == 2
        assert f"dataset.{word.partition('=')[0]}=" in result.err
        assert "cannot be changed with mode=predict: the checkpoint was trained with" in result.err


def test_images(node_run, tmp_path):
    folder = trained(node_run, "mnist_mlp", *IMAGES)
    found = predicted(node_run, tmp_path)
    shares = found.filter(like="probability of ")
    assert list(shares.columns) == [f"probability of {digit}" for digit in range(10)]
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    assert (found["predicted"] == shares.to_numpy().argmax(1)).all()
    assert len(found) == 5
    # The same images in other forms.
    run = load(folder)
    pixels = run.trained.data.test.data.images[:, 0].numpy()
    (tmp_path / "digits").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "digits" / f"{place}.png")
    np.savez(tmp_path / "digits.npz", images=pixels / 255, other=np.arange(3))
    header = bytes((0, 0, 8, 3)) + b"".join(n.to_bytes(4, "big") for n in pixels.shape)
    (tmp_path / "digits-idx3-ubyte").write_bytes(header + pixels.tobytes())
    for path in ("digits", "digits.npz", "digits-idx3-ubyte"):
        other = run.predict(path)
        np.testing.assert_allclose(other.filter(like="probability of "), shares, rtol=1e-4)
    assert run.predict("digits/3.png")["image"].tolist() == ["3.png"]
    np.testing.assert_allclose(
        run.predict(pixels).filter(like="probability of "), shares, rtol=1e-4
    )
    Image.fromarray(pixels[0][:20]).save(tmp_path / "digits" / "low.png")
    with pytest.raises(DataError, match="has 28 x 20 pixels, the model reads 28 x 28"):
        run.predict("digits")
    with pytest.raises(DataError, match="nowhere is missing"):
        run.predict("nowhere")
    with pytest.raises(DataError, match=r"floats from 0 to 255; pixels are"):
        run.predict(pixels.astype(float))


def test_images_that_would_be_others_when_they_are_read(tmp_path, caplog):
    def read(inputs):
        return read_user_images(inputs, (1, 4, 4))[0]

    grey = np.arange(16, dtype=np.uint8).reshape(1, 4, 4) * 16
    with pytest.raises(DataError, match="images are expected here, and this is a list"):
        read([grey])
    assert read(grey > 99).unique().tolist() == [0, 255]
    with pytest.raises(DataError, match="no integers but 0 and 1; pixels are from 0 to 255"):
        read((grey > 99).astype(int))
    seen = np.dstack([grey[0]] * 3 + [np.full((4, 4), 255)]).astype(np.uint8)
    Image.fromarray(seen).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").flatten().tolist() == grey.flatten().tolist()
    seen[..., 3] = grey
    frames = [Image.fromarray(each) for each in (grey[0], 255 - grey[0])]
    for image, said, more in (
        (Image.fromarray(grey[0].astype(np.uint16) * 200), "16 bits or more", {}),
        (Image.fromarray(seen), "transparent pixels, which have no colour", {}),
        (frames[0], "2 frames; save each", {"save_all": True, "append_images": frames[1:]}),
    ):
        path = tmp_path / ("a.gif" if more else "a.png")
        image.save(path, **more)
        with pytest.raises(DataError, match=said):
            read(path)
    np.savez(tmp_path / "a.npz", images=grey)
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    with pytest.raises(DataError, match="is not a readable file of numpy arrays"):
        read(tmp_path / "a.npz")
    dark, light = torch.full((1, 1, 4, 4), 30), torch.full((1, 1, 4, 4), 220)
    warn_if_inverted(dark, dark)
    assert not caplog.text
    warn_if_inverted(light, dark)
    assert "is 220, that of the test images 30" in caplog.text


def test_a_flow(node_run, tmp_path):
    folder = trained(node_run, "two_moons_planar_cnf", "dataset.test_size=16")
    found = predicted(node_run, tmp_path, "predict.samples=50")
    assert list(found.columns) == ["x1", "x2", "log_density"]
    assert len(found) == 50
    found.assign(name="a").drop(columns="log_density").to_csv(tmp_path / "points.csv", index=False)
    again = load(folder).predict("points.csv")
    assert list(again.columns) == ["x1", "x2", "name", "log_density"]
    # The density of a sample is that of the same point, up to the solver's tolerance.
    np.testing.assert_allclose(again["log_density"], found["log_density"], atol=0.02)
    (tmp_path / "points.csv").write_text("x1;x2\n1,5;0\n0;oops\n")
    run = load(folder)
    with pytest.raises(DataError, match="line 3: 'x2' is 'oops', which is not a number"):
        run.predict(Path("points.csv"))
    with pytest.raises(
        Exception, match="the column 'x2' must occur exactly once; needed are 'x1', 'x2'"
    ):
        run.predict(pd.DataFrame({"x1": [0.0]}))
    assert run.predict(samples=3, seed=1).equals(run.predict(samples=3, seed=1))


def test_a_density_that_was_matched(node_run, tmp_path):
    run = load(trained(node_run, "energies_planar_nf"))
    assert len(run.predict(samples=7)) == 7


def test_spirals(node_run, tmp_path):
    folder = trained(node_run, "spirals_latent_ode", *SPIRALS)
    found = predicted(node_run, tmp_path, "predict.times=[20,0,5]", "predict.latent=true")
    assert found["time"].tolist() == [0, 5, 20] * 3
    assert (found["x1_q05"] < found["x1_q95"]).all()
    latent = pd.read_csv(tmp_path / "latent.csv")
    assert list(latent.columns) == ["series", "time", "z1", "z2", "z3", "z4"]
    run = load(folder)
    with torch.no_grad():  # what is decoded from the latent state is the mean
        z = torch.tensor(latent[["z1", "z2", "z3", "z4"]].to_numpy(), dtype=torch.float32)
        np.testing.assert_allclose(run.model.decoder(z)[:, 1], found["x2"], rtol=1e-4, atol=1e-5)
    # A user's own series, in any order of the rows.
    seen = run.trained.data.test.data.observed
    rows = pd.DataFrame(
        {
            "series": "mine",
            "time": seen.times[0],
            "x1": seen.values[0, :, 0],
            "x2": seen.values[0, :, 1],
        }
    )[::-1]
    mine = run.predict(rows, times=[0, 5, 20])
    np.testing.assert_allclose(mine["x1"], found["x1"][:3], rtol=1e-3, atol=1e-5)
    assert run.latent(rows, times=[1.0]).shape == (1, 6)
    with pytest.raises(Exception, match="another row at the same time"):
        run.predict(pd.concat([rows, rows]))
    with pytest.raises(ConfigError, match="are from -1 to 0; the model predicts from 0 to"):
        run.predict(rows, times=[-1, 0])
    with pytest.raises(DataError, match="'time' holds dates or times; write numbers"):
        run.predict(rows.assign(time=pd.Timestamp("2024-03-31")))
    with pytest.raises(DataError, match="row 0: 'series' is empty"):
        run.predict(rows.assign(series=None))


def test_a_recurrent_network_predicts_what_comes_after(node_run):
    run = load(trained(node_run, "spirals_rnn_dt", *SPIRALS))
    found = run.predict(times="20:30:5", samples=8)
    assert found["time"].unique().tolist() == [20, 25, 30]
    with pytest.raises(ConfigError, match="predicts what comes after the observations"):
        run.predict(times=[1])
    with pytest.raises(ConfigError, match="has no latent trajectory"):
        run.latent()


def test_rates_of_events(node_run):
    run = load(trained(node_run, "poisson_latent_ode", *SPIRALS))
    found = run.predict(times=2)
    assert found["time"].tolist() == [2] * 3
    assert (found["rate_q05"] > 0).all()
    assert {"series", "time", "z1"} <= set(run.latent(times=2))
    events = pd.DataFrame({"series": ["a", "a", "b"], "time": [0.5, 1.5, 0.2]})
    assert run.predict(events, times=[1, 2])["series"].tolist() == ["a", "a", "b", "b"]


def test_the_demo_and_figure_1(node_run, tmp_path):
    folder = trained(node_run, "ode_demo")
    (tmp_path / "starts.csv").write_text("y1,y2\n2,0\n1,1\n")
    run = load(folder)
    found = run.predict("starts.csv", times=[3, 1])
    assert found["time"].tolist() == [1, 3, 1, 3]
    exact = run.model(torch.tensor([[1.0, 1.0]]), torch.tensor([0.0, 1.0, 3.0]))[1:, 0, 1]
    np.testing.assert_allclose(found["y2"][2:], exact.detach(), rtol=1e-4)
    assert run.predict(times=[0]).loc[0, "y1"] == 2
    with pytest.raises(Exception, match="are from -1 to -1; the model predicts from 0 to"):
        run.predict(times=[-1])
    (tmp_path / "x.csv").write_text("x\n0\n1\n")
    found = load(trained(node_run, "figure1")).predict("x.csv")
    assert list(found.columns) == ["x", "residual", "ode"]


@pytest.mark.parametrize("experiment", ["periodic_gru_d", "periodic_latent_ode"])
def test_series_of_the_package(node_run, tmp_path, experiment):
    folder = trained(
        node_run, experiment, "dataset.trajectories=12", "dataset.batch_size=4",
        "dataset.validation_size=2", "dataset.train_size=null", "dataset.test_size=null",
    )  # fmt: skip
    run = load(folder)
    found = run.predict(times=[1, 7], samples=5)
    assert found["time"].tolist() == [1, 7] * found["series"].nunique()
    values = run.trained.data.test.data.target.values
    scaling = run.trained.data.scaling
    low, high = (float(scaling.undo(v)) for v in (values.min(), values.max()))
    spread = high - low
    assert found["value"].between(low - spread, high + spread).all()  # not the model's units


def test_classes_of_the_package(node_run, tmp_path):
    run = load(trained(node_run, "japanese_vowels_rnn_dt", "dataset.test_size=4"))
    found = run.predict()
    np.testing.assert_allclose(found.filter(like="probability of ").sum(axis=1), 1, rtol=1e-5)
    assert len(found) == 4
    with pytest.raises(Exception, match="mean nothing for a classifier"):
        run.predict(times=[1])


def test_times(tmp_path):
    assert parse_times("0:1:0.25") == [0, 0.25, 0.5, 0.75, 1]
    assert parse_times("0:1:0.1") == [n / 10 for n in range(11)]
    assert parse_times("1.05:2:0.1") == [float(f"{105 + 10 * n}e-2") for n in range(10)]
    assert parse_times("3e-3:-1e-3:-1e-3") == [0.003, 0.002, 0.001, 0.0, -0.001]
    assert parse_times("1704067200.1:1704067200.4:0.1")[2] == 1704067200.3
    assert parse_times("0:1e300:5e299") == [0, 5e299, 1e300]
    assert parse_times("5") == [5]
    path = tmp_path / "when.csv"
    path.write_text("a;t\nx;3,5\ny;1,0\nz;3,5\nz;\n")
    assert parse_times(f"{path}:t") == [1.0, 3.5]
    path.write_text("t\n2024-03-02\n2024-03-01T05:00\n")
    assert parse_times(f"{path}:t") == ["2024-03-01T05:00", "2024-03-02"]
    for wrong, said in {
        f"{path}:u": "has no column 'u'; found 't'",
        "0:1:0": "must be a list such as",
        "3:1:1": "this range holds 0 times",
        "0:1e9:1": "this range holds 1000000001 times",
    }.items():
        with pytest.raises(Exception, match=said):
            parse_times(wrong)
    for wrong in ([], [None], [float("nan")], True, [True], [10**400], {}):
        with pytest.raises(Exception, match="must be a list such as"):
            parse_times(wrong)


def test_a_file_of_a_checkpoint_is_enough_and_a_bad_one_is_said(node_run, tmp_path):
    """Away from its run, with a setting that only its dataset has."""
    shipped = pretrained_runs()["csv_latent_ode"] / "checkpoints" / "best.pt"
    shutil.copy(shipped, tmp_path / "model.pt")
    (tmp_path / "bad.pt").write_text("no checkpoint")
    path = SAMPLES / "new_patients.csv"
    words = ["mode=predict", f"dataset.path={path}", "predict.times=[30]", "predict.samples=2"]
    assert node_run(*words, "checkpoint=model.pt").code == 0
    assert len(pd.read_csv(tmp_path / "predictions.csv")) > 1
    result = node_run(*words, "checkpoint=bad.pt")
    assert result.code == 2
    assert "checkpoint bad.pt is damaged, or holds more than tensors" in result.err
    result = node_run("mode=predict", "checkpoint=pretrained:mnist_odenet", f"dataset.path={path}")
    assert result.code == 2
    assert "dataset.path is a setting of another dataset: the checkpoint" in result.err
    assert "was trained with dataset=mnist; name another one" in result.err
