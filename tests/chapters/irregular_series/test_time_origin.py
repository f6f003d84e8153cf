"""Times that count from the first one of the training file (`dataset.time_origin=file`)."""

import numpy as np
import pandas as pd
import pytest

from node_experiments import load

TINY = ("protocol=smoke", "trainer.threads=1", "trainer.progress=false")
DATES = pd.Timestamp("2024-03-01")


def sensors(dates, seed=0):
    """Six sensors, which start one after the other; 30 hours in all."""
    draw = np.random.default_rng(seed)
    rows = []
    for n in range(6):
        times = np.sort(draw.uniform(0, 20, 12)) + 2 * n
        rows += [(f"s{n}", round(t, 2), np.sin(t) + n) for t in times]
    table = pd.DataFrame(rows, columns=["series", "time", "level"])
    return table.assign(time=DATES + pd.to_timedelta(table["time"], unit="h")) if dates else table


@pytest.fixture(params=[False, True], ids=["numbers", "dates"])
def dates(request):
    return request.param


@pytest.fixture
def run(node_run, tmp_path, dates):
    sensors(dates).to_csv(tmp_path / "sensors.csv", index=False)
    done = node_run(
        "experiment=csv_latent_ode", "dataset.path=sensors.csv", "dataset.time_origin=file", *TINY
    )
    assert done.code == 0, done.err
    return load(done.folders[0], device="cpu")


def by_series(table):
    return table.groupby("series")["time"]


def test_nothing_is_predicted_before_the_first_observation(run, dates, caplog):
    table = sensors(dates)
    at = [DATES + pd.Timedelta(hours=h) for h in (5, 40)] if dates else [5, 40]
    found = run.predict(table, times=list(map(str, at)) if dates else at)
    before = found["time"] < found["series"].map(by_series(table).min())
    assert 0 < before.sum() < 6
    assert found["level"].isna().equals(before)
    assert f"{before.sum()} rows are before the first observation of their series" in caplog.text


def test_a_grid_starts_at_the_first_observation_of_each_series(run, dates):
    table = sensors(dates)
    found = run.predict(table)
    close = pd.Timedelta(seconds=1) if dates else 1e-3
    assert ((by_series(found).min() - by_series(table).min()).abs() <= close).all()
    assert ((by_series(found).max() - table["time"].max()).abs() <= close).all()
    assert found["level"].notna().all()
    assert (by_series(found).nunique() == 50).all()


def test_a_file_of_other_dates_is_warned_of(run, dates, caplog):
    late = sensors(dates)
    late["time"] += pd.Timedelta(hours=35) if dates else 35
    found = run.predict(late)
    assert "all times are from" in caplog.text
    assert "knows only those from" in caplog.text
    # They start with the series, end with it, and do not lie between.
    assert (by_series(found).min() >= late["time"].min()).all()
    assert (by_series(found).max() <= late["time"].max()).all()
    single = late.groupby("series").head(1)
    assert (by_series(run.predict(single)).nunique() == 50).all()
    caplog.clear()
    run.predict(sensors(dates))
    assert "all times are from" not in caplog.text


def test_the_time_from_which_series_are_extrapolated_is_said_as_it_counts(node_run, tmp_path):
    sensors(False).to_csv(tmp_path / "sensors.csv", index=False)
    done = node_run(
        "experiment=csv_latent_ode", "dataset.path=sensors.csv", "dataset.time_origin=file",
        "dataset.extrapolate_from=0.2", *TINY,
    )  # fmt: skip
    assert "after the first time of the training file, where extrapolation starts" in done.err
