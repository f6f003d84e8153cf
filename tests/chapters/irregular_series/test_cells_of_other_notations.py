"""Cells that people mean as numbers, recordings within a series, and the lines above the data."""

import logging
import re
import shlex

import numpy as np
import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.training_table import (
    read_training_table,
)
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.errors import DataError
from node_experiments.runner.predict import save_arrays


def read(tmp_path, caplog, head, rows, **settings):
    (tmp_path / "t.csv").write_text("\n".join([head, *rows, ""]))
    config = CSVConfig(path=str(tmp_path / "t.csv"), **settings)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        _, columns, seen = read_training_table(read_user_table(config), config)
    return columns, seen, [record.getMessage() for record in caplog.records]


def with_cells(tmp_path, caplog, cells, name="price", **settings):
    rows = [f"p{n},{k},{70 + n * n % 7 + k * k % 5},{cell}"
            for n in range(12) for k, cell in enumerate(cells)]  # fmt: skip
    return read(tmp_path, caplog, f"series,time,hr,{name}", rows, **settings)


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ('"$1,200.00"', "an amount with a currency"),
        ("-$5.20", "an amount with a currency"),
        ("kr 100", "an amount with a currency"),
        ("₹120", "an amount with a currency"),
        ("USD 12.5", "an amount with a currency"),
        ('"1,234.50 USD"', "an amount with a currency"),
        ('"1,234.5 kg"', "a number with a unit"),
        ('"1,23,456"', "a number with a separator of thousands; set dataset.thousands=','"),
        ("36.5±0.1", "holds two numbers"),
        ("1.5D-03", "a number in another notation"),
        ("1.5x10^3", "a number in another notation"),
        ("'12.5", "a number in another notation"),
        ('"=""12.5"""', "a number in another notation"),
    ],
)
def test_a_column_of_numbers_in_another_notation_is_not_dropped(tmp_path, caplog, cell, what):
    with pytest.raises(DataError, match=rf"line 2: 'price' is .*{re.escape(what)}"):
        with_cells(tmp_path, caplog, [cell, cell, cell])


@pytest.mark.parametrize("cells", [["walk", "run", "rest"], ["A1", "B12", "C3"], ["ICU 3"] * 3,
                                   ["Low", "High", "Low"], ["12_001", "12_002", "12_003"],
                                   ["0x1A", "0x1F", "0x2B"], ["3D2", "1D4", "2D1"],
                                   ["4x100", "5x100", "4x100"]])  # fmt: skip
def test_words_and_codes_are_not_taken_for_numbers(tmp_path, caplog, cells):
    columns, _, _ = with_cells(tmp_path, caplog, cells)
    assert columns.features == ("hr",)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [(["yes", "1", "0", "no"], [1, 1, 0, 0]), (["on", "", "off", "1"], [1, np.nan, 0, 1])],
)
def test_yes_and_no_beside_one_and_zero(tmp_path, caplog, cells, numbers):
    _, seen, _ = with_cells(tmp_path, caplog, cells)
    np.testing.assert_array_equal(seen.values[:4, 1], numbers)
    with pytest.raises(DataError, match="'yes', which is not a number"):
        with_cells(tmp_path, caplog, ["yes", "2", "no"])


def test_words_for_missing_values_are_added_to_those_that_are_set(tmp_path, caplog):
    cells = ["OVLD", "3", "n.d.", "4", "x"]
    with pytest.raises(DataError, match="beyond a limit") as error:
        with_cells(tmp_path, caplog, cells, missing=["x"])
    (setting,) = re.findall(r"'dataset\.missing=\[(.*?)\]'", str(error.value))
    assert setting == "x,OVLD,n.d."
    _, seen, _ = with_cells(tmp_path, caplog, cells, missing=setting.split(","))
    assert np.isnan(seen.values[:5, 1]).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("cells", "features"),
    [
        (["31", "35", "31"], ("hr", "index")),  # an index of air quality, say
        (["0", "1", "2"], ("hr",)),  # the rows of each series
        (["0", "3", "4"], ("hr",)),  # those that a filter has left
    ],
)
def test_a_column_named_index(tmp_path, caplog, cells, features):
    columns, _, _ = with_cells(tmp_path, caplog, cells, name="index")
    assert columns.features == features


@pytest.mark.parametrize(
    ("head", "columns"),
    [("series,time,hr,hr", {}), ("series,time,time,hr", {})],
)
def test_names_that_occur_twice(tmp_path, caplog, head, columns):
    with pytest.raises(DataError, match=r"occurs more than once; .*give each its own name"):
        read(tmp_path, caplog, head, ["a,0,1,2", "a,1,1,2"])


def test_columns_that_are_not_read_may_have_one_name(tmp_path, caplog):
    rows = [f"p{n},{k},{n + k},x,y" for n in range(4) for k in range(3)]
    head = "series,time,hr,remark,remark"
    columns, _, _ = read(tmp_path, caplog, head, rows, value_columns=["hr"])
    assert columns.features == ("hr",)


def test_a_parquet_file_with_a_large_number_in_its_first_row(tmp_path, caplog):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"series": list("aaabbb"), "time": [0.0, 1, 2] * 2, "hr": range(6)})
    frame["hr"] = frame["hr"].astype(float)
    frame.loc[0, "hr"] = 1e20
    frame.to_parquet(tmp_path / "t.parquet")
    config = CSVConfig(path=str(tmp_path / "t.parquet"))
    _, _, seen = read_training_table(read_user_table(config), config)
    assert seen.values[0, 0] == 1e20


@pytest.mark.parametrize("first", ["a,Predose,0.1", "a,baseline,70", "a,,70"])
def test_a_first_row_with_a_number_is_no_line_of_units(tmp_path, caplog, first):
    with pytest.raises(DataError, match="line 2: 'time' is") as error:
        read(tmp_path, caplog, "series,time,hr", [first, "a,0.5,2.3", "b,1,2", "b,2,2"])
    assert "units" not in str(error.value)


def test_blanks_between_decimal_commas(tmp_path):
    (tmp_path / "t.csv").write_text("series time hr\np0 0,5 70,1\np0 1,5 71,2\n")
    with pytest.raises(DataError, match=r"set .dataset\.delimiter=' '"):
        read_user_table(CSVConfig(path=str(tmp_path / "t.csv")))


def test_a_word_of_other_letters_for_missing_values(tmp_path, caplog):
    with pytest.raises(DataError, match=r"dataset\.missing=\[.*ungültig") as error:
        with_cells(tmp_path, caplog, ["3", "ungültig", "4"])
    shown = str(error.value).partition("set ")[2].partition("; if")[0]
    (word,) = shlex.split(shown)
    assert word == "dataset.missing=['ungültig']"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("lead", (3, 4, 6)),
        ("signal", (-70, -60, -55)),
        ("test", (0, 1, 1)),
        ("sensor", (-1, 0, 1)),
    ],
)
def test_features_of_whole_numbers_are_not_taken_for_names(tmp_path, caplog, name, values):
    rows = [f"p{n},{k},{values[k * k % 3]},{k * k % 7}" for n in range(12) for k in range(15)]
    _, _, said = read(tmp_path, caplog, f"series,time,{name},hr", rows)
    assert not [line for line in said if "seem to be names" in line]


def test_a_first_row_of_words_is_no_line_of_units(tmp_path, caplog):
    rows = ["a,2024-03-01 00:00,n.d.", "a,2024-03-01 01:00,7", "b,2024-03-01 00:00,6",
            "b,2024-03-01 01:00,8"]  # fmt: skip
    with pytest.raises(DataError, match=r"line 2: 'hr' is 'n.d.', which is not a number"):
        read(tmp_path, caplog, "series,time,hr", rows)
    with pytest.raises(DataError, match=r"line 2 seems to be a line of units \(id, h, bpm, 1\)"):
        read(tmp_path, caplog, "series,time,hr,x", ["id,h,bpm,1", "a,0,1,2", "a,1,1,2"])


TOA5 = """"TOA5","CR1000","CR1000","1234","CR1000.Std.32","CPU:prog.CR1","5678","Table1"
"TIMESTAMP","RECORD","AirTC","RH"
"TS","RN","Deg C","%"
"2024-03-31 00:00:00",0,12.3,45
"""
HOBO = """"Plot Title: 10234567"
"#","Date Time, GMT-05:00","Temp, °C","RH, %"
1,03/31/24 12:00:00 AM,12.3,45
2,03/31/24 12:10:00 AM,12.4,46
"""


@pytest.mark.parametrize(
    ("text", "advice"),
    [(TOA5, "lines about the file are above the one"), (HOBO, "first line seems to be a title")],
)
def test_lines_of_a_logger_above_the_names(tmp_path, text, advice):
    (tmp_path / "logger.dat").write_text(text)
    with pytest.raises(DataError, match=f"{advice}.*remove"):
        read_user_table(CSVConfig(path=str(tmp_path / "logger.dat")))


def test_a_parquet_file_with_times_in_an_index_without_a_name(tmp_path, caplog):
    pytest.importorskip("pyarrow")
    times = pd.date_range("2024-01-01", periods=6, freq="h")
    pd.DataFrame({"series": list("aaabbb"), "hr": range(6)}, index=times).to_parquet(
        tmp_path / "t.parquet"
    )
    config = CSVConfig(path=str(tmp_path / "t.parquet"))
    with pytest.raises(DataError, match=r"\.rename_axis\('time'\) makes it a column"):
        read_training_table(read_user_table(config), config)


def test_recordings_within_a_series_are_said(tmp_path, caplog):
    rows = [f"p{n},{w},{k + 0.1 * j + 0.01 * n},{k * k % 7},{k * n % 5}"
            for n in range(12) for j, w in enumerate(("walk", "run", "jump"))
            for k in range(5)]  # fmt: skip
    _, _, said = read(tmp_path, caplog, "series,trial,time,x,y", rows)
    assert "if 'trial' tells several series apart, join it with 'series'" in said[0]
    rows = [f"p{n},{k},{k % 3 + 1},{k * k % 7}" for n in range(12) for k in range(15)]
    for name in ("sensor", "channel", "itemid", "replicate_no", "probe id"):
        _, _, said = read(tmp_path, caplog, f"series,time,{name},hr", rows)
        assert f"numbers of {name!r} seem to be names, which change within series" in said[0]


def test_the_night_in_which_clocks_are_set_back(tmp_path, caplog):
    rows = [f"a,2024-10-27 02:{m}:00,1" for m in ("10", "40", "10")]
    with pytest.raises(DataError, match="if clocks were set back here, write dates with their o"):
        read(tmp_path, caplog, "series,time,hr", rows)


def test_a_feature_may_have_the_name_of_an_argument(tmp_path):
    arrays = {
        "file": np.arange(3.0),
        "allow_pickle": np.array(["a", "b"]),
        "hr (1/min)": np.eye(2),
    }
    with (tmp_path / "f.npz").open("wb") as file:
        save_arrays(file, arrays)
    with np.load(tmp_path / "f.npz") as found:
        assert set(found) == set(arrays)
        for name in arrays:
            np.testing.assert_array_equal(found[name], arrays[name])
