"""mode=predict of the data of the package, and the times that predictions carry."""

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from node_experiments import load
from node_experiments.chapters import datasets
from node_experiments.chapters.irregular_series.predict import row_times
from node_experiments.chapters.irregular_series.predict_source import prediction_source
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.shipped import MimicDemoConfig, PBCSeqConfig
from node_experiments.chapters.irregular_series.shipped.mimic_demo import mimic_demo_data
from node_experiments.chapters.irregular_series.shipped.package_files import shipped_path
from node_experiments.chapters.irregular_series.shipped.pbcseq import pbcseq_data
from node_experiments.chapters.irregular_series.user_tables.measurements import read_measurements
from node_experiments.chapters.irregular_series.user_tables.series_schema import SeriesSchema
from node_experiments.chapters.irregular_series.user_tables.table_columns import find_columns
from node_experiments.chapters.irregular_series.user_tables.table_format import TableFormat
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.data.table_file import TableFile, read_table
from node_experiments.errors import DataError
from node_experiments.runner.build import resolve
from tests.chapters.irregular_series import test_human_activity, test_physionet2012
from tests.test_predict import trained


def of(settings):
    """A model that was trained on these data, as far as they matter."""
    data = resolve(datasets()[settings.name].build)(settings)
    return SimpleNamespace(data=data, config=SimpleNamespace(dataset=settings))


def small(tmp_path, name):
    """A few series of each dataset of the package that is no table."""
    more = {}
    if name == "storms":
        more = {"every": 1000.0}
    elif name == "hopper":
        pytest.importorskip("mujoco", reason="the extra `mujoco` is not installed")
        more = {"root": str(tmp_path), "trajectories": 12, "validation_size": 2, "batch_size": 2}
    elif name == "periodic":
        more = {"trajectories": 12, "validation_size": 2, "batch_size": 2}
    elif name.startswith("physionet2012"):
        root = test_physionet2012.many(tmp_path)
        more = {"root": str(root), "sets": "a", "validation_size": 2, "batch_size": 2}
    elif name.startswith("human_activity"):
        lines = [x for person in "ABCDE" for x in test_human_activity.recording(f"{person}01")]
        test_human_activity.write(tmp_path, lines)
        more = {"root": str(tmp_path), "validation_size": 0, "batch_size": 1}
    if name.endswith(" official_code"):
        more |= {"variant": "official_code"}
    return datasets()[name.split()[0]].settings(name=name.split()[0], **more)


@pytest.mark.parametrize(
    ("name", "unit", "last"),
    [
        ("storms", 5.0, 2.0),  # days, of which two are seen
        ("japanese_vowels", 28.0, 28.0),  # frames
        ("hopper", 1.0, 0.495),  # s; half of the trajectory's 200 steps
        ("periodic", 1.0, None),
        ("physionet2012", 48.0, 40.0),  # h
        ("physionet2012 official_code", 40.0, 40.0),
        ("human_activity", 1.0, 2.45),  # s
        ("human_activity official_code", 245.0, 245.0),  # hundredths of them
    ],
)
def test_series_are_in_the_unit_of_the_data(tmp_path, name, unit, last):
    """The model's time 1 is a span of them; what it reads of a series stays as it was."""
    model = of(small(tmp_path, name))
    schema, seen, none = prediction_source(model, None)
    assert none is None
    assert schema.times.to_model(np.array([unit]), np.zeros(1))[0] == pytest.approx(1, rel=1e-6)
    if last is not None:
        rounded = name.startswith("physionet2012")  # as the data are, whose minutes are 1 / 60
        assert seen.times.max() == (pytest.approx(last, rel=1e-6) if rounded else last)
    read, observed = schema.series(seen), model.data.test.data.observed
    divided = schema.time_scale if name.endswith(" official_code") else 1.0
    assert torch.equal(read.times, (observed.times.double() / divided).float())
    torch.testing.assert_close(read.values, observed.values, rtol=1e-4, atol=1e-5)
    # A table of the user's has the same units.
    table = pd.DataFrame(np.nan_to_num(seen.values), columns=schema.columns.features)
    table["series"] = np.repeat(seen.names, np.diff(seen.offsets))
    _, given, _ = prediction_source(model, table.assign(time=seen.times))
    assert torch.equal(schema.series(given).times, read.times)


def test_hours_are_asked_and_written(node_run, tmp_path):
    root = test_physionet2012.many(tmp_path)
    run = load(trained(
        node_run, "physionet2012_rnn_dt", f"dataset.root={root}", "dataset.sets=a",
        "dataset.validation_size=2", "dataset.batch_size=2", "dataset.train_size=null",
        "dataset.test_size=null", "dataset.task=extrapolation",
    ))  # fmt: skip
    found = run.predict(times=[36, 48], samples=3)
    assert found["time"].tolist() == [36, 48] * 4
    assert found["HR"].notna().all()
    assert run.predict(samples=3)["time"].between(1, 40.0001).all()
    ahead = run.predict(times=[6], after_last=True, samples=3)
    assert ahead["time"].tolist() == [7] * 4  # after the reading at 1:00
    # A table of the user's counts hours as well.
    stay = pd.DataFrame({"series": "mine", "time": [2.0, 20.0], "HR": [70, 80]})
    features = run.trained.data.features
    stay = stay.reindex(columns=["series", "time", *features])
    assert run.predict(stay, times=[36], samples=3)["HR"].notna().all()


@pytest.mark.parametrize("name", ["pbcseq", "mimic_demo"])
def test_test_series_of_a_shipped_table_keep_their_names_and_times(name):
    settings = datasets()[name].settings(name=name, task="extrapolation", observed_fraction=0.7)
    model = of(settings)
    data, (schema, seen, _) = model.data, prediction_source(model, None)
    assert sorted(seen.names) == sorted(data.test_names)
    assert [int(n) for n in seen.names] == sorted(int(n) for n in seen.names)
    series, observed = schema.series(seen), data.test.data.observed
    for series_name, number in zip(data.test_names, data.test.order().tolist(), strict=True):
        one = series.take(torch.tensor([seen.names.index(series_name)]))
        other = observed.take(torch.tensor([number]))
        assert torch.equal(one.times, other.times)
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.feature_mask, other.feature_mask)
    _, table, _ = data.source
    for i, series_name in enumerate(seen.names):
        assert seen.origins[i] == table.origins[table.names.index(series_name)]


def test_visits_are_forecast_in_days(node_run, tmp_path):
    """Of the test patients without a table; of others from a table as the shipped one is."""
    folder = trained(node_run, "pbcseq_rnn_dt")
    done = node_run("mode=predict", "checkpoint=latest", "predict.after_last=true",
                    "predict.times=[0,365]", "predict.samples=3")  # fmt: skip
    assert done.code == 0, done.err
    found = pd.read_csv(tmp_path / "predictions.csv")
    visits = pd.read_csv(shipped_path("pbcseq.csv.gz"))
    known = visits[visits["day"] <= 0.25 * 5152].groupby("id")["day"].max()
    assert found["day"][::2].tolist() == known[found["id"][::2]].tolist()
    assert (found["day"][1::2].to_numpy() - found["day"][::2].to_numpy() == 365).all()
    assert found["log bili"].notna().all()
    past = visits[(visits["id"] < 4) & (visits["day"] < 1000)]
    past.to_csv(tmp_path / "past.csv", index=False)
    given = load(folder).predict(past, times=[1200], samples=3)
    assert given["id"].tolist() == [1, 2, 3]
    done = node_run("mode=predict", "checkpoint=latest", "predict.points=past.csv",
                    "predict.times=[1200]", "predict.samples=3", "predict.out=a.csv")  # fmt: skip
    assert done.code == 0, done.err
    np.testing.assert_allclose(pd.read_csv(tmp_path / "a.csv"), given, rtol=1e-5)
    visits[visits["id"] < 9].to_csv(tmp_path / "visits.csv", index=False)
    done = node_run("mode=predict", "checkpoint=latest", "dataset.path=visits.csv",
                    "predict.times=[1200]", "predict.samples=3", "predict.out=a.csv")  # fmt: skip
    assert done.code == 0, done.err
    assert pd.read_csv(tmp_path / "a.csv")["id"].tolist() == list(range(1, 9))


def test_a_table_of_visits_goes_through_the_logarithms():
    model = of(PBCSeqConfig())
    visits = pd.read_csv(shipped_path("pbcseq.csv.gz"))
    _, seen, _ = prediction_source(model, visits[visits["id"] < 4])
    _, table, _ = model.data.source
    assert np.array_equal(seen.values, table.values[: len(seen.values)], equal_nan=True)
    assert seen.names == ["1", "2", "3"]
    with pytest.raises(DataError, match=r"'ast' is not there; .*; a table of visits needs bili, "):
        prediction_source(model, visits.drop(columns="ast"))


def test_a_table_of_visits_without_a_column_does_not_train(tmp_path):
    visits = pd.read_csv(shipped_path("pbcseq.csv.gz"))
    visits.drop(columns="ast").to_csv(tmp_path / "visits.csv", index=False)
    with pytest.raises(DataError, match="'ast' is not there"):
        pbcseq_data(PBCSeqConfig(path=str(tmp_path / "visits.csv")))


def test_a_table_of_stays_goes_through_the_bins(tmp_path):
    """Also where a feature was never measured in it."""
    stays = read_table(shipped_path("mimic_demo_icu.csv.gz")).rows
    first = stays["hospitalization_id"].unique()
    stays[stays["hospitalization_id"].isin(first[:20])].to_csv(tmp_path / "all.csv", index=False)
    some = stays[stays["hospitalization_id"].isin(first[:4])]
    own = MimicDemoConfig(path=str(tmp_path / "all.csv"), validation_size=4, batch_size=2)
    model = of(own)
    data, (_, seen, _) = model.data, prediction_source(model, some)
    _, table, _ = data.source
    assert np.array_equal(seen.values, table.values[: len(seen.values)], equal_nan=True)
    assert np.array_equal(seen.times, table.times[: len(seen.times)])
    lactate = data.features.index("log lactate")
    without = some.assign(lactate="")
    _, unmeasured, _ = prediction_source(model, without)
    assert np.isnan(unmeasured.values[:, lactate]).all()
    path = tmp_path / "stays.csv"
    without.to_csv(path, index=False)
    again = mimic_demo_data(replace(own, path=str(path)), learned=data.learned)
    assert again.dim == data.dim
    with pytest.raises(DataError, match="the column 'lactate' is not there"):
        prediction_source(model, some.drop(columns="lactate"))
    with pytest.raises(DataError, match="the column 'ph' was not there when the model was trai"):
        prediction_source(model, some.assign(ph=7.4))


def test_a_run_finds_its_own_table_from_another_folder(node_run, tmp_path, monkeypatch):
    """And no other one that is called as it is."""
    patients = read_user_table(CSVConfig(path="sample:patients")).rows
    patients.to_csv(tmp_path / "own.csv", index=False)
    run = load(trained(node_run, "csv_rnn_dt", "dataset.path=own.csv"))
    run.trained.config.places["path"] = str(tmp_path / "own.csv")  # as a training notes it
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    Path("own.csv").write_text("series,time\na,1\n")
    found = run.predict(times=[20], samples=2)
    assert found["series"].tolist() == sorted(patients["series"].unique())


def read(frame):
    table, form = TableFile.of(frame), TableFormat(label_column="state", label_per="time")
    columns = find_columns(table, form)
    seen = read_measurements(table, form, columns)
    return SeriesSchema.fit(seen, form, columns), seen, table


def hours(digits, low=0.0, high=48.0):
    draw = random.Random(1)
    return [sorted({round(draw.uniform(low, high), digits) for _ in range(40)}) for _ in "ab"]


@pytest.mark.parametrize(
    "times",
    [
        hours(1),
        hours(17),
        hours(3, -24.0, 24.0),  # the first one is far from 0, where some are near
        hours(3, 1_711_893_900.0, 1_711_893_999.0),
        [pd.Timestamp("2024-03-31") + pd.to_timedelta(x, "h").round("ms") for x in hours(17)],
        [pd.Timestamp("2001-03-31") + pd.to_timedelta(x, "D").round("ms")
         for x in hours(17, high=9000.0)],
        [pd.Timestamp("2024-03-31") + pd.to_timedelta(x, "h").round("ns") for x in hours(17)],
    ],
    ids=["tenths", "digits", "negative", "seconds", "dates", "years", "nanoseconds"],
)  # fmt: skip
def test_times_of_rows_are_those_of_the_table(times):
    rows = [(s, t, n, "xy"[n % 2]) for s, x in zip("ab", times, strict=True)
            for n, t in enumerate(x)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["series", "time", "hr", "state"])
    schema, seen, table = read(frame)
    found = schema.times.unparse(row_times(schema, seen, table))
    assert found.tolist() == frame["time"].tolist()


def test_classes_at_times_are_joined_with_the_table(node_run, tmp_path):
    draw = random.Random(0)
    start = pd.Timestamp("2024-03-01 08:00")
    rows = [
        (f"p{n:02d}", start + pd.Timedelta(f"{600 * k + draw.randrange(600)}s"),
         draw.gauss(80, 9), draw.choice("xy")) for n in range(20) for k in range(9)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["series", "time", "hr", "state"])
    table.to_csv(tmp_path / "t.csv", index=False)
    run = load(trained(
        node_run, "csv_rnn_dt", "dataset.path=t.csv", "dataset.task=classification",
        "dataset.label_column=state", "dataset.label_per=time",
    ))  # fmt: skip
    joined = table.merge(run.predict(table), on=["series", "time"])
    assert len(joined) == len(table)
    assert joined["probability of x"].notna().all()


def test_activities_are_told_at_the_times_of_the_recording(node_run, tmp_path):
    settings = small(tmp_path, "human_activity")
    run = load(trained(
        node_run, "human_activity_rnn_dt", f"dataset.root={settings.root}",
        "dataset.validation_size=0", "dataset.batch_size=1", "dataset.train_size=null",
        "dataset.test_size=null",
    ))  # fmt: skip
    assert run.predict()["time"].tolist() == [n / 20 for n in range(50)]
