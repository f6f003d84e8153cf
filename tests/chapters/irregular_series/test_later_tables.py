"""Later files are read as they are written, and what is unlike the training file is said."""

import logging
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.predict_source import prediction_source
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.errors import DataError


def trained_on(path, **settings):
    settings = CSVConfig(path=str(path), task="interpolation", **settings)
    return SimpleNamespace(data=csv_data(settings), config=SimpleNamespace(dataset=settings))


def numbers(n, k):
    return 1000 * (n + 2) + 137 * k


WRITTEN = {
    "thousands": ("\t", "x", lambda v: f"{v:,}", {"thousands": ","}),
    "points": (";", "x", lambda v: f"{v:,}".replace(",", "."), {"thousands": "."}),
    "decimal": (";", "x", lambda v: f"{v / 1000:.3f}".replace(".", ","), {"decimal": ","}),
    "delimiter": (" ", "x", str, {"delimiter": " "}),
    "encoding": (",", "größe", str, {"encoding": "mac-roman"}),
    "missing": (",", "x", lambda v: -5 if v % 5 == 0 else v, {"missing": ["-5"]}),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_file_of_points_is_read_as_the_settings_say(tmp_path, how):
    """`predict.points=FILE` and `run.predict("file")` as `dataset.path`."""
    delimiter, name, form, settings = WRITTEN[how]
    rows = [(f"s{n}", k, form(numbers(n, k))) for n in range(12) for k in range(6)]
    lines = [("series", "time", name), *rows]
    path = tmp_path / "t.csv"
    text = "\n".join(delimiter.join(map(str, row)) for row in lines) + "\n"
    path.write_bytes(text.encode(settings.get("encoding", "utf-8")))
    trained = trained_on(path, **settings)
    _, seen, table = prediction_source(trained, path)
    _, expected, _ = (
        prediction_source(trained, None) if how == "none" else (0, trained.data.source[1], 0)
    )
    np.testing.assert_array_equal(seen.values, expected.values)
    assert table.source == str(path)
    if how == "thousands":
        assert seen.values.max() == numbers(11, 5)


def test_a_setting_of_the_later_file_is_that_of_its_points(tmp_path):
    rows = [(f"s{n}", k, numbers(n, k)) for n in range(12) for k in range(6)]
    frame = pd.DataFrame(rows, columns=["series", "time", "x"])
    frame.to_csv(tmp_path / "t.csv", index=False)
    trained = trained_on(tmp_path / "t.csv")
    frame.assign(x=frame["x"].map("{:,}".format)).to_csv(tmp_path / "l.csv", index=False, sep="|")
    with pytest.raises(DataError, match=r"set dataset\.thousands=','"):
        prediction_source(trained, tmp_path / "l.csv")
    trained.config.dataset = CSVConfig(thousands=",", task="interpolation")
    _, seen, _ = prediction_source(trained, tmp_path / "l.csv")
    np.testing.assert_array_equal(seen.values, trained.data.source[1].values)


def after_last(tmp_path, times, ahead):
    rows = [(n, time, k * n % 5) for n in range(12) for k, time in enumerate(times)]
    frame = pd.DataFrame(rows, columns=["series", "time", "x"])
    frame["time"] = frame["time"].map(repr)
    frame.to_csv(tmp_path / "t.csv", index=False)
    schema, seen, _ = trained_on(tmp_path / "t.csv").data.source
    found = schema.times.after_last(seen, np.array(ahead, dtype=float))
    written = schema.times.unparse(found)
    model = schema.times.to_model(found, schema.times.origins(seen)[:, None])
    expected = (times[-1] - times[0] + np.array(ahead)) / (times[-1] - times[0])
    np.testing.assert_allclose(model[0], expected, rtol=1e-6)
    return written.iloc[: len(ahead)]


@pytest.mark.parametrize(
    ("times", "ahead", "expected"),
    [
        ([1704067200123, 1704067200174], [5, 10], [1704067200179, 1704067200184]),
        ([1704067200000000256, 1704067200001000192], [512, 1024],
         [1704067200001000704, 1704067200001001216]),
        ([1704067200, 1704067260], [60, 3600], [1704067320, 1704070860]),
        ([0, 7], [1, 30], [8, 37]),
    ],
)  # fmt: skip
def test_whole_times_after_the_last_are_whole(tmp_path, times, ahead, expected):
    found = after_last(tmp_path, times, ahead)
    assert found.dtype == np.int64
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("times", "ahead", "expected"),
    [
        ([0.1, 0.2], [0.1, 0.7], [0.3, 0.9]),  # and not 0.30000000000000004
        ([1.1, 48.3], [6.0, 12.0], [54.3, 60.3]),
        ([1704067200.123, 1704067260.174], [0.005, 0.01], [1704067260.179, 1704067260.184]),
        ([0, 7], [0.5, 1.0], [7.5, 8.0]),
        (
            [1711893500.000012, 1711893600.000133],
            [1e-6, 2e-6, 5e-6, 1e-5],
            [1711893600.000134, 1711893600.000135, 1711893600.000138, 1711893600.000143],
        ),
        ([1711893600.25, 1711893601.000133], [0.1, 0.25], [1711893601.100133, 1711893601.250133]),
        ([-1000.1, 0.2], [0.1, 0.7], [0.3, 0.9]),
        ([0.1, 0.30000000000000004], [0.1], [0.4]),
        ([1e-9, 3e-9], [1e-9, 2e-9], [4e-9, 5e-9]),
        ([123456.789012345, 123457.1], [0.000000001, 0.9], [123457.100000001, 123458.0]),
        ([-0.7, -0.1], [0.1, 0.3], [0.0, 0.2]),
    ],
)
def test_decimal_times_after_the_last_have_no_noise(tmp_path, times, ahead, expected):
    found = after_last(tmp_path, times, ahead)
    assert found.dtype == np.float64
    assert found.tolist() == expected


def said_of(caplog, trained, later):
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        prediction_source(trained, later)
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(scope="module")
def sample():
    return trained_on("sample:patients")


@pytest.fixture
def later():
    rows = read_user_table(CSVConfig(path="sample:new_patients")).rows
    features = rows.columns[1:]
    return rows.assign(**{name: pd.to_numeric(rows[name]) for name in features})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(time=t["time"] / 24), "observed .* times as often; is the unit of"),
        (lambda t: t.assign(time=t["time"] / 60), "observed .* times as often; is the unit of"),
        (lambda t: t.assign(bp=t["bp"] * 0.133322), "'bp' is .* far from .*around 123"),
        (lambda t: t.assign(hr=t["hr"] / 60), "'hr' is .* far from"),  # per second
        (lambda t: t.assign(bp=t["bp"] * 7.50062), "'bp' is .* far from"),
        (lambda t: t, None),
        (lambda t: t[t["time"] < 4], None),  # a short past
        (lambda t: t.groupby("series").head(1), None),
        (lambda t: t.groupby("series").head(2), None),
        (lambda t: t[t["series"] == t["series"].iloc[0]], None),
        (lambda t: t.assign(bp=t["bp"] * 0.8, hr=t["hr"] * 1.3), None),
    ],
)
def test_units_of_a_later_file(caplog, sample, later, change, said):
    found = [x for x in said_of(caplog, sample, change(later)) if "trained on" in x]
    if said is None:
        assert not found
    else:
        (line,) = found
        assert pd.Series([line]).str.contains(said).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"smoker": lambda v: v + 1}, r"'smoker' is 2 in some series, .* \(0 and 1\)"),
        ({"ward": lambda v: v - 1}, r"'ward' is 0 in some series, .* \(1 and 2\)"),
        ({"vent": lambda v: v + 1}, r"'vent' is 2 in some rows, .* \(0 and 1\)"),
        ({"age": lambda v: 12 * v}, "'age' is .* in some series, far from"),
        ({"age": lambda v: v.where(v > 45, -999)}, "'age' is -999 in some series"),
        ({"sex": lambda v: v}, None),
        ({"age": lambda v: v + 5, "smoker": lambda v: 0 * v}, None),
    ],
)
def test_static_columns_and_codes_of_a_later_file(tmp_path, caplog, change, said):
    rows = [(f"p{n}", k, 60 + n * k % 9, (n + k) % 2, "MF"[n % 2], 40 + n, n // 3 % 2, 1 + n % 2)
            for n in range(20) for k in range(5)]  # fmt: skip
    frame = pd.DataFrame(
        rows, columns=["series", "time", "hr", "vent", "sex", "age", "smoker", "ward"]
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    static = ["sex", "age", "smoker", "ward"]
    trained = trained_on(tmp_path / "t.csv", static_columns=static)
    changed = frame.assign(**{name: how(frame[name]) for name, how in change.items()})
    found = [x for x in said_of(caplog, trained, changed) if "trained on" in x]
    if said is None:
        assert not found
    else:
        (line,) = found
        assert pd.Series([line]).str.contains(said).all()


def said_in_training(caplog, tmp_path, rows):
    pd.DataFrame(rows, columns=["series", "time", "x"]).to_csv(tmp_path / "t.csv", index=False)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        csv_data(CSVConfig(path=str(tmp_path / "t.csv"), task="interpolation"))
    return [x.getMessage() for x in caplog.records if "the unit of" in x.getMessage()]


@pytest.mark.parametrize("factor", [1000, 24, 1 / 60])
def test_series_in_two_units_of_time_are_named(caplog, tmp_path, factor):
    rng = np.random.default_rng(0)
    rows = [
        (f"s{n:02d}", round(t * (factor if n % 2 else 1), 6), rng.normal())
        for n in range(20)
        for t in np.sort(rng.uniform(0, 48, 10))
    ]
    (line,) = said_in_training(caplog, tmp_path, rows)
    assert "10 series are observed every" in line
    assert "is the unit of 'time' the same in all of them?" in line


def test_series_of_one_unit_may_be_observed_more_or_less_often(caplog, tmp_path):
    rng = np.random.default_rng(0)
    for _ in range(3):
        paces = np.exp(rng.normal(size=30))  # a factor of 50 between the extremes
        rows = [
            (f"s{n:02d}", round(t, 6), rng.normal())
            for n, pace in enumerate(paces)
            for t in np.cumsum(rng.exponential(pace, 10))
        ]
        assert not said_in_training(caplog, tmp_path, rows)
