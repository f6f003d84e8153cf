"""Tables whose columns have other names are answered with what to write."""

from __future__ import annotations

import ast
import re
import shlex

import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.errors import DataError

TRY = "try dataset.series_column={} dataset.time_column={}"


def rows(head, count=12):
    """Three series of some points, whatever the columns are called."""
    more = [1.5] * (head.count(",") - 1)
    cells = (["abc"[n // 4], n % 4, *more] for n in range(count))
    return "\n".join([head, *(",".join(map(str, row)) for row in cells), ""])


def message(tmp_path, text, **settings):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        csv_data(CSVConfig(path=str(path), **settings))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("head", "series", "time"),
    [
        ("patient_id,charttime,hr", "patient_id", "charttime"),
        ("charttime,patient_id,hr", None, "charttime"),  # whose values are all different there
        ("Series,Time,hr", "Series", "Time"),
        ("subject,day,weight", "subject", "day"),
        ("Kunden-ID,Datum,x", "Kunden-ID", "Datum"),
        ("Subject ID,Time h,x", "'Subject ID'", "'Time h'"),
        ("stationId,timestamp,x", "stationId", "timestamp"),
        ("RecordID,Hours,x", "RecordID", "Hours"),
        ("country,year,gdp", "country", "year"),
        ("foo,date,x", "foo", "date"),
        ("foo,mjd,x", "foo", "mjd"),
        ("foo,bar,x", "NAME", "NAME"),
        ("unit,cycle,x", "unit", "NAME"),
    ],
)
def test_both_columns_are_named_in_one_go(tmp_path, head, series, time):
    text = rows(head)
    if series is None:
        text, series = (
            "\n".join([head, *(f"{n},p{n // 4},1" for n in range(12)), ""]),
            "patient_id",
        )
    said = message(tmp_path, text)
    assert "the columns 'series', 'time' are not there; found " in said
    assert TRY.format(series, time) in said
    assert ("if all rows are one series, set it to null" in said) == (series == "NAME")
    if "NAME" not in (series, time):
        given = dict(
            word[8:].split("=") for word in shlex.split(said) if word.startswith("dataset.")
        )
        csv_data(CSVConfig(path=str(tmp_path / "t.csv"), **given))  # as it was told


@pytest.mark.parametrize(
    ("head", "first", "step", "window"),
    [
        ("timestamp,load", "2024-01-01", "6h", "59"),
        ("date,sales", "2024-01-01", "1D", "238"),
        ("t,x", 0, 2, "20"),
    ],
)
def test_one_long_series_is_to_be_cut(tmp_path, head, first, step, window):
    times = range(0, 200, step) if first == 0 else pd.date_range(first, periods=100, freq=step)
    said = message(
        tmp_path, "\n".join([head, *(f"{time},{n}" for n, time in enumerate(times)), ""])
    )
    assert "no time occurs twice: if all rows are one series, it is cut into windows" in said
    name = head.partition(",")[0]
    words = f"dataset.series_column=null dataset.time_column={name} dataset.window={window}"
    assert said.endswith(f"try {words}")
    settings = {"series_column": None, "time_column": name, "window": float(window)}
    assert len(csv_data(CSVConfig(path=str(tmp_path / "t.csv"), **settings)).test_names) > 0


def test_parts_of_a_date_are_to_be_joined(tmp_path):
    said = message(tmp_path, rows("station,year,month,rain"))
    assert said.endswith("make one column of dates from 'year', 'month' with pandas.to_datetime")
    said = message(tmp_path, rows("station,year,quarter,rain"))
    assert "from 'year', 'quarter' with the first day of each quarter (2024-04-01" in said


@pytest.mark.parametrize(
    ("head", "pair"),
    [
        ("series,time,heure,x", ("2024-02-01,08h30,1", "2024-02-01,20h15,2")),
        ("series,time,clock,x", ("2024-02-01,8:30,1", "2024-02-01,20:15,2")),
        ("series,time,Quarter,x", ("2024,1,1", "2024,2,2")),
        ("series,time,month,x", ("2024,Jan,1", "2024,Feb,2")),
    ],
)
def test_the_rest_of_a_time_is_to_be_joined_with_it(tmp_path, head, pair):
    name = head.split(",")[2]
    lines = "".join(f"{series},{cells}\n" for series in "abc" for cells in pair)
    settings = {"value_columns": ["x"]}
    said = message(tmp_path, f"{head}\n{lines}", **settings)
    assert f"; if {name!r} is part of the time, join it with 'time' in one column (2024" in said
    same = lines.replace(pair[1].rpartition(",")[0], pair[0].rpartition(",")[0])
    assert "part of the time" not in message(tmp_path, f"{head}\n{same}", **settings)
    other = f"{head.replace(name, 'load')}\n{lines.replace('h', '.').replace(':', '.')}"
    assert "part of the time" not in message(tmp_path, other, **settings)


def test_a_second_row_at_a_time_is_answered_by_what_differs(tmp_path):
    lines = "".join(
        f"S{site},1990,{species},{n}.5\n"
        for site in range(3)
        for n, species in enumerate(("Parus major", "Sitta"))
    )
    roles = {"series_column": "site", "time_column": "year"}
    said = message(tmp_path, f"site,year,species,count\n{lines}", **roles)
    settings = "dataset.variable_column=species dataset.value_column=count"
    assert f"; if each row has the value of one variable, set {settings}; " in said
    assert "; if 'species' tells series apart, join it with 'site'; else join them" in said
    repeated = "".join(f"S{n % 3},{1990 + n // 6},x,7\n" for n in range(12))
    said = message(tmp_path, f"site,year,species,count\n{repeated}", **roles)
    assert said.endswith(
        "has another row at the time '1990'; all of its cells are those of an earlier row; join "
        "them, or set dataset.duplicates=mean or last"
    )
    numbers = "".join(f"S{n % 3},1990,{n},{n}.5\n" for n in range(6))
    said = message(tmp_path, f"site,year,a,b\n{numbers}", **roles)
    assert "set dataset.variable_column and value_column; if another column tells" in said


@pytest.mark.parametrize(
    ("head", "series", "time"), [("plot,t_us,x", "plot", "t_us"), ("site,t_s,x", "site", "t_s")]
)
def test_names_of_sites_and_times_with_their_unit(tmp_path, head, series, time):
    lines = "".join(f"{n % 3},{n // 3},{n}\n" for n in range(12))
    assert TRY.format(series, time) in message(tmp_path, f"{head}\n{lines}")


@pytest.mark.parametrize(
    "times",
    [
        ("2024-02-01 08:30", "2024-02-02 08:30"),
        ("2024-02-01T08:30Z", "2024-02-02T08:30Z"),
        ("13/02/2024", "14/02/2024"),
        ("13. Feb 2024", "14. Feb 2024"),
    ],
)
def test_columns_are_known_by_what_they_hold(tmp_path, times):
    lines = "".join(f"{time},ok,Sète {s},{s}.5,7\n" for time in times for s in range(5))
    said = message(tmp_path, f"quand,flag,lieu,x,y\n{lines}")
    assert TRY.format("lieu", "quand") in said
    said = message(tmp_path, f"quand,flag,lieu,x,y\n{lines}", time_column="quand")
    assert said.endswith("; try dataset.series_column=lieu")


@pytest.mark.parametrize(
    "named", [{}, {"series_column": None, "time_column": "Month", "window": 3.0}]
)
@pytest.mark.parametrize("empty", ["", ";;\n"])
def test_a_title_above_the_names_is_said(tmp_path, named, empty):
    rows = "".join(f"2019-{month:02d}-01;{month};{2 * month}\n" for month in range(1, 13))
    said = message(tmp_path, f"Production 2019;;\n{empty}Month;Plant A;Plant B\n{rows}", **named)
    line = 2 + bool(empty)
    assert said.endswith(f"t.csv, line {line} to name the columns: remove what is above")
    assert "'series', 'time' are" in said or "found 'Production 2019', '', '';" in said


def test_columns_that_no_file_has_are_not_found(tmp_path):
    said = message(tmp_path, rows("who,charttime,hr"), series_column=None, window=1.0)
    assert "found 'who', 'charttime', 'hr';" in said


def test_what_was_named_is_left_alone(tmp_path):
    said = message(tmp_path, rows("who,charttime,hr"), series_column="who")
    assert "the column 'time' is not there" in said
    assert said.endswith("; try dataset.time_column=charttime")
    said = message(tmp_path, rows("who,hour,hr"), series_column=None, window=1.0)
    assert said.endswith("; try dataset.time_column=hour")


@pytest.mark.parametrize(
    ("head", "first", "last"),
    [
        ("country,1990,1991,1992", "1990", "1992"),
        ("series,day1,day2,day3,day4", "day1", "day4"),
        ("id,t_0,t_1,t_2", "t_0", "t_2"),
        ("id,2020-01-01,2020-02-01,2020-04-01", "2020-01-01", "2020-04-01"),
        ("meter,0,15,30,45", "0", "45"),
    ],
)
def test_series_in_rows_are_to_be_melted(tmp_path, head, first, last):
    said = message(tmp_path, rows(head))
    assert f"{first!r} to {last!r} seem to be times, with one series in each row" in said
    kept = head.partition(",")[0]
    assert f"table.melt(['{kept}'], var_name='time')" in said
    assert (f"dataset.series_column={kept}" in said) == (kept != "series")
    assert (f"with numbers for '{first}'" in said) == (not first[0].isdigit())


def test_rows_of_variables_over_the_years_are_to_be_melted(tmp_path):
    path = tmp_path / "bank.csv"
    cells = [(c, n, v) for c in ("Chad", "Peru") for n, v in enumerate(("gdp", "area", "people"))]
    table = pd.DataFrame([(c, f"{c}{n}", v, n, n + 1, n + 2) for c, n, v in cells])
    table.columns = ["country", "code", "indicator", "1990", "1991", "1992"]
    table.to_csv(path, index=False)
    with pytest.raises(DataError, match="a row for each variable of a series") as error:
        csv_data(CSVConfig(path=str(path)))
    said = str(error.value)
    assert said.endswith("dataset.series_column=country dataset.variable_column=indicator")
    kept = re.search(r"table.melt\((\[.*?\]), var_name='time'\)", said)[1]
    table.melt(ast.literal_eval(kept), var_name="time").to_csv(path, index=False)
    settings = {"series_column": "country", "variable_column": "indicator"}
    assert csv_data(CSVConfig(path=str(path), **settings)).features == ("area", "gdp", "people")


@pytest.mark.parametrize("head", ["a,0.0,36.6,80", "a,0,36,80", "7,2,1.5,3"])
def test_a_first_line_of_data_is_no_row_of_times(tmp_path, head):
    assert re.search("the first line must name the columns", message(tmp_path, rows(head)))


@pytest.mark.parametrize("head", ["patient,charttime,x1,x2,x3", "series,when,x1,x2,x3"])
def test_numbered_features_are_no_times(tmp_path, head):
    said = message(tmp_path, rows(head))
    assert "melt" not in said


def test_a_plate_with_a_column_for_each_well_is_to_be_melted(tmp_path):
    wells = [f"{row}{column}" for row in "AB" for column in range(1, 9)]
    lines = [",".join(["Time", *wells]), *(f"0:{m:02d}:00" + ",0.1" * 16 for m in range(0, 60, 5))]
    said = message(tmp_path, "\n".join([*lines, ""]), time_column="Time")
    assert "pandas' table.melt(['Time'], var_name='series') makes such a table" in said
