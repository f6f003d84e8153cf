"""Series relative to the mean of what a model sees of them (`dataset.centre_series`)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from node_experiments import load
from node_experiments.chapters.irregular_series.calibration import holdouts
from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.config import ConfigError

TINY = ("protocol=smoke", "trainer.threads=1", "trainer.progress=false")


def levels(count=30, seed=4, shift=0.0):
    """Sensors that swing around levels far apart; `temp` is often missing."""
    draw = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        level = 50 * draw.normal()
        for t in np.sort(draw.uniform(0, 20, 10)).round(4):
            temp = level / 10 + draw.normal() if n % 3 and draw.random() < 0.6 else np.nan
            rows.append((f"s{n:02d}", t, shift + level + np.sin(t), temp))
    return pd.DataFrame(rows, columns=["series", "time", "flow", "temp"])


@pytest.fixture
def path(tmp_path):
    levels().to_csv(tmp_path / "sensors.csv", index=False)
    return str(tmp_path / "sensors.csv")


def both_kinds(path):
    settings = CSVConfig(path=path, batch_size=8)
    return csv_data(settings), csv_data(replace(settings, centre_series=True))


def test_what_a_model_sees_has_mean_zero_and_tells_the_level(path):
    plain, centred = both_kinds(path)
    assert (plain.static, centred.static) == (0, 2)
    everything = torch.arange(len(plain.test.data))
    raw, batch = (data.test.data.select(everything) for data in (plain, centred))
    there = batch.observed.observed_features
    assert float((batch.observed.values * there).sum(1).abs().max()) < 1e-5
    level = batch.observed.static.unsqueeze(1)
    assert torch.equal(level, batch.centre.level)
    for part, whole in ((batch.observed, raw.observed), (batch.target, raw.target)):
        found = (part.values + level).where(part.observed_features, 0.0)
        torch.testing.assert_close(found, whole.values)
    # A feature of which nothing is seen is relative to the mean of the training series.
    unseen = ~there.any(1)
    assert unseen.any()
    assert torch.equal(level[:, 0][unseen], plain.mean.expand_as(level[:, 0])[unseen])


def test_a_held_out_value_does_not_tell_its_level(path):
    """A change of a value that is hidden changes nothing that the model reads."""
    _, data = both_kinds(path)
    batch = data.test.data.select(torch.arange(4))
    told = [observed for observed, _, _ in holdouts([batch], data.cut)]
    changed = batch.observed.values + batch.centre.level
    where = batch.observed.observed_features[..., 0]
    first = where.int().argmax(1)
    changed[torch.arange(4), first, 0] += 100.0
    whole = replace(batch.observed, values=changed, static=None)
    centre = type(batch.centre).of(whole, batch.centre.usual)
    other = replace(batch, observed=centre.model_input(whole), centre=centre)
    again = [observed for observed, _, _ in holdouts([other], data.cut)]
    hidden = 0
    for one, two in zip(told, again, strict=True):
        for i in range(len(one)):
            shown = one.observed_features[i, :, 0]
            same = torch.allclose(one.values[i], two.values[i], atol=1e-4)
            if len(one) == 4 and not bool(
                (
                    one.times.expand(4, -1)[i, shown]
                    == batch.observed.times.expand(4, -1)[i, first[i]]
                ).any()
            ):
                hidden += 1
                assert same
                torch.testing.assert_close(one.static[i], two.static[i], rtol=1e-4, atol=1e-4)
    assert hidden


def test_simple_forecasts_have_the_errors_that_they_have_without(path):
    plain, centred = both_kinds(path)
    from node_experiments.chapters.irregular_series.simple_forecasts import simple_errors

    everything = torch.arange(len(plain.test.data))
    errors = []
    for data in (plain, centred):
        batch = data.test.data.select(everything)
        groups = {"flow": [0], "temp": [1]}
        errors.append(simple_errors(batch.target.values, batch, groups, data.mean))
    assert errors[0].keys() == errors[1].keys()
    for name, values in errors[0].items():
        torch.testing.assert_close(errors[1][name], values, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("model", ["gru_d", "latent_ode"])
def test_forecasts_are_in_the_units_of_the_file(node_run, tmp_path, path, model):
    done = node_run(
        f"experiment=csv_{model}", "dataset.path=sensors.csv", "dataset.centre_series=true", *TINY
    )
    assert done.code == 0, done.err
    run = load(done.folders[0], device="cpu")
    seen = levels()
    seen = seen[seen["time"] <= 10]
    found = run.predict(seen, times=[15.0], samples=20)
    mean = seen.groupby("series")["flow"].mean()
    # After one step of training the forecast is about the level, which no other series tells.
    far = (found.set_index("series")["flow"] - mean).abs()
    assert far.max() < 0.5 * mean.std()
    assert (found["flow_q05"] < found["flow"]).all()
    measured = pd.read_csv(done.folders[0] / "errors.csv", index_col="feature")
    assert measured.loc["flow", "model"] < 0.5 * measured.loc["flow", "training_mean"]
    again = node_run("mode=eval", f"checkpoint={done.folders[0]}")
    assert again.code == 0, again.err
    other = pd.read_csv(again.folders[-1] / "errors.csv", index_col="feature")
    pd.testing.assert_frame_equal(other, measured, rtol=1e-5)


@pytest.mark.parametrize("task", ["interpolation", "classification"])
def test_only_forecasts_are_relative(task):
    with pytest.raises(ConfigError, match="centre_series=True must be false"):
        CSVConfig(task=task, centre_series=True)


def test_series_far_apart_that_hardly_change_do_not_count_as_diverged(node_run, tmp_path):
    """A new network is worse than the level of a series, which no model has to beat."""
    draw = np.random.default_rng(0)
    rows = [
        (f"s{n:02d}", t, 100 * n + 0.1 * draw.normal()) for n in range(30) for t in range(0, 20, 2)
    ]
    pd.DataFrame(rows, columns=["series", "time", "x"]).to_csv(tmp_path / "x.csv", index=False)
    done = node_run(
        "experiment=csv_gru_d", "dataset.path=x.csv", "dataset.centre_series=true", *TINY
    )
    assert done.code == 0, done.err
    errors = pd.read_csv(done.folders[0] / "errors.csv").iloc[0]
    assert errors["model"] < 0.1 * errors["training_mean"]
