"""What does not change within a series enters every model of irregular series."""

import math

import pandas as pd
import pytest
import torch

from node_experiments.chapters import models
from node_experiments.chapters.chapter import resolve
from node_experiments.chapters.irregular_series.chapter import CHAPTER
from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig, SeriesModelConfig
from node_experiments.errors import DataError
from node_experiments.ode import Backprop, Solver
from tests.grids import always


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Every series is 0 at first and then 1 or -1, as its static column says."""
    rows = []
    for n in range(60):
        kind = "up" if n % 2 else "down"
        for t in range(8):
            value = 0.0 if t == 0 else (1 if n % 2 else -1)
            rows.append((f"s{n}", t, value, kind, 30 + n % 2, n % 5))
    file = tmp_path_factory.mktemp("static") / "rising.csv"
    columns = ["series", "time", "value", "kind", "age", "luck"]
    pd.DataFrame(rows, columns=columns).to_csv(file, index=False)
    return file


def settings(path, *columns, **others):
    return CSVConfig(
        path=str(path), value_columns=["value"], static_columns=list(columns), batch_size=48,
        scaling="none", validation_size=0, extrapolate_from=0.1, **others,
    )  # fmt: skip


def error_after_training(name, data, steps):
    sizes = {"latent": 6, "encoder_size": 6, "unit_hidden": 16, "hidden": 16, "head_hidden": 16}
    settings = SeriesModelConfig(
        name, euler_steps=4, layers=1, encoder_layers=1, noise_std=None, objective="elbo",
        kl_weight=0.01, kl_wait=0, samples=1, **sizes,
    )  # fmt: skip
    torch.manual_seed(0)
    entry = models()[name]
    model = resolve(entry.build)(settings, data, Solver("euler", num_steps=4), Backprop())
    (task,) = entry.tasks.values()
    task = resolve(CHAPTER.tasks[task].build)(settings, data)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    (batch,) = list(data.train)
    for step in range(steps):
        optimizer.zero_grad()
        task.loss(model, batch, step)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        return task.evaluate(model, data.test)["mse"]


@pytest.mark.parametrize(
    "name",
    always(
        ["gru_d", "irregular_latent_ode"],
        ["irregular_rnn_dt", "gru_d", "ode_rnn", "rnn_vae", "irregular_latent_ode"],
    ),
)
def test_it_decides_what_is_forecast(name, path):
    # All that is observed is 0 for everybody: without the column nothing is better than 0.
    assert error_after_training(name, csv_data(settings(path, "kind")), steps=80) < 0.3


def test_without_it_the_same_forecast_is_impossible(path):
    assert error_after_training("gru_d", csv_data(settings(path, "luck")), steps=80) > 0.8


@pytest.mark.parametrize("batching", ["independent", "union"])
def test_the_state_before_any_observation_is_that_of_the_series(path, batching):
    data = csv_data(settings(path, "kind", "age"))
    build = resolve(models()["ode_rnn"].build)
    small = SeriesModelConfig("ode_rnn", latent=3, unit_hidden=4, hidden=4, batching=batching)
    model = build(small, data, Solver("euler", num_steps=4), Backprop())
    batch = next(iter(data.test)).select(torch.arange(4))
    states = model.read(batch.observed)
    first = model.predict(states, torch.zeros(1, 1))[:, 0, 0]
    kinds = batch.observed.static[:, 0]
    assert len(set(kinds.tolist())) == 2
    same = kinds.unsqueeze(0) == kinds.unsqueeze(1)
    close = (first.unsqueeze(0) - first.unsqueeze(1)).abs() < 1e-7
    assert bool((same == close).all())
    # Nor does it matter which series are in the batch with it.
    alone = model.predict(model.read(batch.observed.select(torch.tensor([2]))), torch.ones(1, 1))
    torch.testing.assert_close(model.predict(states, torch.ones(1, 1))[2:3], alone)


def test_numbers_are_scaled_and_words_become_indicators(path):
    data = csv_data(settings(path, "kind", "luck"))
    schema, _, series = data.source
    assert data.static == 6  # down, up, luck, and whether each is known
    assert schema.names()["static columns"] == ["kind=down", "kind=up", "luck"]
    assert series.static.shape == (60, 6)
    assert bool((series.static[:, 3:] == 1).all())
    assert math.isclose(float(series.static[:, 2].std()), 1, rel_tol=0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="kind"), "'kind' is not there.*was trained with it"),
        (lambda table: table.replace({"kind": {"up": "sideways"}}), "one of down, up"),
        (lambda table: table.assign(kind=["up", "down"] * 240), "changes within series"),
    ],
)
def test_a_new_file_needs_the_same_columns(path, tmp_path, change, message):
    learned = csv_data(settings(path, "kind")).learned
    change(pd.read_csv(path)).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(DataError, match=message):
        csv_data(settings(tmp_path / "new.csv", "kind"), learned=learned)
