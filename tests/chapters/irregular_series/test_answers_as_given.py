"""Series and times in a table of predictions are written as in the table of the user."""

import numpy as np
import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.predict import in_user_form
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table

HOURS = (0, 25, 49, 73)


def frame_of(times, series="{}"):
    rows = [
        (series.format(s), time, 70.0 + s + n) for s in range(12) for n, time in enumerate(times)
    ]
    return pd.DataFrame(rows, columns=["series", "time", "x"])


def answer_of(path):
    """The first and last time of the first series, as predictions have them."""
    settings = CSVConfig(path=str(path))
    schema, seen, _ = csv_data(settings).source
    times = schema.times.to_user(np.array([0.0, 1.0]), schema.times.origins(seen)[:1])
    found = pd.DataFrame({"series": seen.names[0], "time": times})
    return in_user_form(found, schema, None, read_user_table(settings)), schema


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([str(pd.Timedelta(hours=h)) for h in HOURS], ["0 days 00:00:00", "3 days 01:00:00"]),
        (["0 days", "1 day 01:00:00", "3 days 01:00:00"], ["0 days 00:00:00", "3 days 01:00:00"]),
        ([f"{h}:00" for h in HOURS], ["00:00:00", "73:00:00"]),
    ],
)
def test_durations_of_days_stay_so(tmp_path, times, expected):
    path = tmp_path / "t.csv"
    frame_of(times).to_csv(path, index=False)
    found, schema = answer_of(path)
    assert found["time"].tolist() == expected
    assert (schema.times.parse(found["time"]) == [0, 73 * 3.6e12]).all()  # and are read again


@pytest.mark.parametrize(
    ("convert", "expected"),
    [
        (str, "0"),
        (int, 0),
        (lambda name: f"p{name}", "p0"),
    ],
)
def test_names_of_a_parquet_file_keep_their_type(tmp_path, convert, expected):
    pytest.importorskip("pyarrow", reason="parquet files are read by an extra")
    path = tmp_path / "t.parquet"
    frame = frame_of(HOURS)
    frame.assign(series=frame["series"].map(convert)).to_parquet(path)
    found, _ = answer_of(path)
    assert found["series"].tolist() == [expected] * 2


def test_durations_of_a_parquet_file_stay_so(tmp_path):
    pytest.importorskip("pyarrow", reason="parquet files are read by an extra")
    path = tmp_path / "t.parquet"
    frame_of([pd.Timedelta(hours=h) for h in HOURS]).to_parquet(path)
    found, _ = answer_of(path)
    assert found["time"].tolist() == [pd.Timedelta(0), pd.Timedelta(hours=73)]
    assert pd.api.types.is_timedelta64_dtype(found["time"])


def test_whole_numbers_of_a_text_are_as_a_table_is_read_again(tmp_path):
    path = tmp_path / "t.csv"
    frame_of(HOURS).to_csv(path, index=False)
    assert answer_of(path)[0]["series"].tolist() == [0, 0]
