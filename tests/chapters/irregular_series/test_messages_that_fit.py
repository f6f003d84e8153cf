"""Messages about a table that say what is wrong there, and no more."""

import logging

import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.predict_source import prediction_source
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.user_table import user_file
from node_experiments.errors import DataError
from node_experiments.files import user_path
from tests.chapters.irregular_series.test_later_tables import trained_on


def frame_of(series=20, times=6):
    rows = [(f"s{n:02d}", k, k * n % 7, 5) for n in range(series) for k in range(times)]
    return pd.DataFrame(rows, columns=["series", "time", "x", "room"])


def written(tmp_path, frame):
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


@pytest.mark.parametrize("name", ["~x.csv", "~$file.csv", "~nobody-of-this-name/x.csv"])
def test_a_name_that_starts_with_a_tilde_is_a_name(name, monkeypatch):
    assert str(user_file(CSVConfig(path=name))) == name
    with pytest.raises(DataError, match=r"x\.csv|file\.csv"):
        csv_data(CSVConfig(path=name))
    monkeypatch.setenv("HOME", "/home/me")
    assert str(user_path("~/x.csv")) == "/home/me/x.csv"


@pytest.mark.parametrize(("room", "said"), [(9, "9"), (900, "900"), (5, None), (None, None)])
def test_a_feature_that_never_changed_has_another_value(tmp_path, caplog, room, said):
    trained = trained_on(written(tmp_path, frame_of()), value_columns=["x", "room"])
    caplog.clear()
    later = frame_of(3).assign(room=room)
    with caplog.at_level(logging.WARNING):
        prediction_source(trained, later)
    lines = [r.getMessage() for r in caplog.records if "'room' is" in r.getMessage()]
    assert len(lines) == (said is not None)
    if said:
        assert (
            f"'room' is {said} in some rows, far from what the model was trained on (always 5)"
            in (lines[0])
        )


def test_a_static_column_that_never_changed_has_another_value(tmp_path, caplog):
    trained = trained_on(written(tmp_path, frame_of()), static_columns=["room"])
    caplog.clear()
    prediction_source(trained, frame_of(3).assign(room=6))
    assert "'room' is 6 in some series, far from what the model was trained on (always 5)" in (
        caplog.text
    )


def test_checkpoints_without_constants_are_read(tmp_path):
    trained = trained_on(written(tmp_path, frame_of()), value_columns=["x", "room"])
    del trained.data.learned["schema"]["constants"]
    assert len(prediction_source(trained, frame_of(3).assign(room=9))[1]) == 3


def test_a_later_long_table_has_a_row_of_every_variable(tmp_path):
    """As a wide one has its column; a single series need not."""
    long = frame_of().melt(["series", "time"], ["x", "room"])
    trained = trained_on(written(tmp_path, long))
    some = long[(long["variable"] == "x") | (long["series"] == "s03")]
    assert len(prediction_source(trained, some)[1]) == 20
    with pytest.raises(DataError, match=r"'variable' is never 'room'; the model was trained with"):
        prediction_source(trained, long[long["variable"] == "x"])
    empty = pd.DataFrame({"series": ["s00"], "time": [0], "variable": ["room"], "value": [None]})
    added = pd.concat([long[long["variable"] == "x"], empty])
    assert len(prediction_source(trained, added)[1]) == 20  # as the message advises


def test_both_rows_beside_a_long_gap_are_named(tmp_path, caplog):
    frame = frame_of().assign(room=3)
    frame["time"] = pd.Timestamp("2024-03-01") + pd.to_timedelta(frame["time"], "h")
    frame.loc[frame.index % 6 == 3, "x"] += 1
    frame.loc[[15, 27, 33, 45], "time"] = pd.Timestamp("1970-01-01")
    csv_data(CSVConfig(path=str(written(tmp_path, frame)), task="interpolation"))
    (line,) = (r.getMessage() for r in caplog.records if "times as long as half" in r.getMessage())
    named = [f"at {tmp_path}/t.csv, line {k + 2} or at {tmp_path}/t.csv, line {k - 1} is wrong"
             for k in (15, 27, 33, 45)]  # fmt: skip
    assert any(each in line for each in named)


@pytest.mark.parametrize("cell", ["1.#QNAN", "-1.#IND", "1.#INF", "-1.#INF00", "1.#SNAN"])
def test_what_windows_writes_for_no_number_is_none(tmp_path, cell):
    frame = frame_of().astype({"x": object})
    frame.loc[8, "x"] = cell
    config = {"path": str(written(tmp_path, frame)), "task": "interpolation"}
    with pytest.raises(DataError, match="is not a number; if it means that nothing was") as error:
        csv_data(CSVConfig(**config))
    assert "unit" not in str(error.value)
    assert "dataset.missing=[" in str(error.value)
    csv_data(CSVConfig(missing=[cell], **config))


def test_a_table_to_evaluate_on_needs_its_label_column(tmp_path):
    frame = frame_of()
    frame["state"] = [f"{int(name[1:]) % 2}" for name in frame["series"]]
    settings = {"task": "classification", "label_column": "state"}
    path = written(tmp_path, frame)
    learned = csv_data(CSVConfig(path=str(path), **settings)).learned
    written(tmp_path, frame.drop(columns="state"))
    with pytest.raises(DataError, match=r"the column 'state' is not there; found .*mode=predict"):
        csv_data(CSVConfig(path=str(path), **settings), learned=learned)


@pytest.mark.parametrize("column", [None, "series"])
def test_only_a_series_column_that_is_there_is_to_be_joined(tmp_path, column):
    frame = frame_of().drop(columns="room")
    frame = frame.assign(x=[n / 2 for n in range(len(frame))])  # so that no row is repeated
    frame = (
        frame.rename(columns={"series": "sensor"}) if column is None else frame.assign(series=1)
    )
    path = written(tmp_path, frame)
    with pytest.raises(DataError, match="another row at the time '0'") as error:
        csv_data(CSVConfig(path=str(path), series_column=column, value_columns=["x"]))
    advised = "name it with dataset.series_column" if column is None else "join it with 'series'"
    assert advised in str(error.value)
