"""Tables with a row for each series, whose columns are called as times, are to be melted."""

import ast
import re

import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.times_in_names import times_in_names
from node_experiments.data.table_file import TableFile
from node_experiments.errors import DataError
from tests.chapters.irregular_series.test_table_guesses import message


def wide(head, ids="p{:02d}", count=12, more=()):
    """A row for each series, with a value below each name but the first ones."""
    names = head.split(",")
    values = [[70 + s + n for n in range(len(names) - 1 - len(more))] for s in range(count)]
    rows = [[ids.format(s), *more, *each] for s, each in enumerate(values)]
    return "\n".join([head, *(",".join(map(str, row)) for row in rows), ""])


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        ("patient,Week 0,Week 2,Week 8", "numbers"),
        ("patient,baseline,Week 2,Week 8", "numbers"),
        ("patient,Week 0,Week 8", "numbers"),
        ("patient,0,0.5,1.0,1.5", ""),
        ("patient,0,1,4,12", ""),
        ("patient,-,0,1,4,12", ""),
        ("patient,00:00,06:00,12:00,18:00", ""),
        ("region,2021Q1,2021Q2,2021Q3", "dates"),
        ("region,Jan 2021,Feb 2021,Apr 2021", "dates"),
        ("region,Jan,Feb,March", "dates"),
        ("patient,0h,6h,24h", "numbers"),
        ("patient,t=0,t=6,t=24", "numbers"),
        ("patient,m0,m3,m6,m12", "numbers"),
        ("patient,01.01.2024,02.01.2024,05.01.2024", ""),
        ("patient,1/1/2024,2/1/2024,5/1/2024", ""),
        ("patient,visit1,visit2,visit4", "numbers"),
    ],
)
def test_names_that_are_times(tmp_path, head, wanted):
    said = message(tmp_path, wide(head))
    kept = head.partition(",")[0]
    names = [name for name in head.split(",")[1:] if name != "-"]
    assert f"{names[0]!r} to {names[-1]!r} seem to be times, with one series in each row" in said
    assert f"table.melt(['{kept}'" in said
    assert said.endswith(f"set dataset.series_column={kept}")
    assert (f"with {wanted} for {names[0]!r}" in said) == bool(wanted)
    assert "window" not in said


@pytest.mark.parametrize("head", ["patient,0,1,4,12", "patient,00:00,06:00,12:00"])
def test_what_is_made_as_it_was_told_is_read(tmp_path, head):
    said = message(tmp_path, wide(head))
    kept = ast.literal_eval(re.search(r"table\.melt\((\[.*?\]), var_name='time'\)", said)[1])
    path = tmp_path / "t.csv"
    pd.read_csv(path).melt(kept, var_name="time").to_csv(path, index=False)
    data = csv_data(CSVConfig(path=str(path), series_column="patient"))
    assert data.source[1].values[:3, 0].tolist() == [70, 71, 72]


@pytest.mark.parametrize("sep", ["_", ".", " ", "_week", "_day_"])
def test_several_variables_at_several_times(tmp_path, sep):
    names = [f"{name}{sep}{n}" for name in ("hr", "bp") for n in (0, 2, 8)]
    said = message(tmp_path, wide(",".join(["patient", *names])))
    assert f"wide_to_long(table, ['hr', 'bp'], i='patient', j='time', sep={sep!r})" in said
    path = tmp_path / "t.csv"
    table = pd.read_csv(path)
    made = re.search(r"pandas' (.*?) makes", said)[1]
    found = eval(f"pd.{made}", {"pd": pd, "table": table})
    found.to_csv(path, index=False)
    data = csv_data(CSVConfig(path=str(path), series_column="patient"))
    assert data.features == ("hr", "bp")
    seen = data.source[1]
    assert seen.times[:3].tolist() == [0, 2, 8]
    assert seen.values[:3].tolist() == [[70, 73], [71, 74], [72, 75]]


def test_the_age_is_no_time_beside_them(tmp_path):
    said = message(tmp_path, wide("patient,age,Week 0,Week 2,Week 8", more=(50,)))
    assert "table.melt(['patient', 'age'], var_name='time')" in said


def test_without_a_name_of_the_series(tmp_path):
    table = "Week 0,Week 2,Week 8\n" + "70,71,72\n" * 5
    said = message(tmp_path, table)
    assert "table.reset_index(names='series').melt(['series'], var_name='time')" in said
    assert "series_column" not in said


@pytest.mark.parametrize(
    "text",
    [
        wide("p00,70,71,72"),  # the first series
        wide("Chad,70,71,72", ids="land"),
        "p0,0,72.3,80\n" + "".join(f"p{n // 4},{n % 4},72.{n},80\n" for n in range(1, 16)),
        "1,5,72,80\n" + "".join(f"1,{5 + n},72,80\n" for n in range(1, 16)),
        "2024-01-01 00:00,20.5,30.1,45\n"
        + "".join(f"2024-01-01 {n:02d}:00,20.5,30.1,45\n" for n in range(1, 16)),
    ],
)
def test_a_first_line_of_data_is_said(tmp_path, text):
    said = message(tmp_path, text)
    assert "the first line must name the columns, and seems to be a row of data" in said


@pytest.mark.parametrize(
    "head",
    [
        "unit,cycle,s2,s3,s4,s7,s11",  # sensors
        "patient,q1,q2,q5",
        "patient,x1,x2,y1,y2",
        "patient,score_1,sex,bmi",
        "patient,marker,decision,maximum",
        "patient,hr,bp,spo2",
        "patient,Week 8,Week 2,Week 0",
    ],
)
def test_names_that_are_none(head):
    frame = pd.DataFrame([range(len(head.split(",")))] * 3, columns=head.split(","))
    assert times_in_names(TableFile.of(frame)) is None


def test_a_column_of_times_is_believed_before_names(tmp_path):
    said = message(tmp_path, wide("patient,charttime,t1,t2,t3", more=("2024-01-01",)))
    assert "dataset.time_column=charttime" in said
    assert "melt" not in said


def index_table(index, **columns):
    frame = pd.DataFrame({"a": range(60), "b": range(60)}, index=index)
    return frame.assign(**columns).to_csv()


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024-01-01", periods=60, freq="h"),
        pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC"),
        pd.timedelta_range("0h", periods=60, freq="h"),
        pd.Index([n * n / 2 for n in range(60)]),
    ],
)
def test_an_index_of_times_without_a_name(tmp_path, index):
    said = message(tmp_path, index_table(index))
    assert "found '', 'a', 'b'; '', the first, seems to be an index of times" in said
    assert "try dataset.series_column=null \"dataset.time_column=''\" dataset.window=" in said
    window = float(said.rpartition("=")[2])
    settings = CSVConfig(
        path=str(tmp_path / "t.csv"), series_column=None, time_column="", window=window
    )
    assert csv_data(settings).features == ("a", "b")


def test_an_index_of_times_of_several_series(tmp_path):
    index = list(pd.date_range("2024-01-01", periods=5, freq="h")) * 12
    said = message(tmp_path, index_table(index, patient=[f"p{n // 5}" for n in range(60)]))
    assert said.endswith("try dataset.series_column=patient \"dataset.time_column=''\"")
    said = message(
        tmp_path,
        index_table(index, patient=[f"p{n // 5}" for n in range(60)]).replace(
            ",a", "Unnamed: 0,a"
        ),
    )
    assert said.endswith("series_column=patient \"dataset.time_column='Unnamed: 0'\"")


@pytest.mark.parametrize("index", [range(60), range(1, 61), [f"r{n}" for n in range(60)]])
def test_numbers_of_rows_are_no_times(tmp_path, index):
    said = message(tmp_path, index_table(pd.Index(index)))
    assert "index of times" not in said
    assert "time_column=NAME" in said


def test_an_index_of_two_levels_without_names(tmp_path):
    one = pd.DataFrame({"a": range(8)}, index=pd.date_range("2024-01-01", periods=8, freq="h"))
    both = pd.concat({name: one for name in "pqrstuv"})
    said = message(tmp_path, both.to_csv())
    assert ".to_csv(..., index_label=['series', 'time'])" in said
    both.to_csv(tmp_path / "t.csv", index_label=["series", "time"])
    assert len(csv_data(CSVConfig(path=str(tmp_path / "t.csv"))).source[1]) == 7


@pytest.mark.parametrize("level", ["vitals", "v"])
def test_two_lines_of_names(tmp_path, level):
    body = "".join(f"p{n // 4},{n % 4},{70 + n},36.5\n" for n in range(48))
    text = f"patient,patient,{level},{level}\nseries,time,hr,temp\n{body}"
    said = message(tmp_path, text)
    assert "t.csv, line 2 to be the second one ('series', 'time', 'hr', 'temp'): keep one" in said
    (tmp_path / "t.csv").write_text(text.partition("\n")[2])
    assert csv_data(CSVConfig(path=str(tmp_path / "t.csv"))).features == ("hr", "temp")


def test_columns_of_two_levels_as_pandas_writes_them(tmp_path):
    index = pd.date_range("2024-01-01", periods=60, freq="h")
    frame = pd.DataFrame({("v", "a"): range(60), ("v", "b"): range(60)}, index=index)
    assert "line 2 to be the second one ('a', 'b')" in message(tmp_path, frame.to_csv())
    named = frame.rename_axis(index="when")
    assert "two lines of names" in message(tmp_path, named.to_csv())


@pytest.mark.parametrize("second", ["p0,0,1,2", ",,C,C", "1,2,3,4"])
def test_a_line_of_units_or_data_is_no_line_of_names(tmp_path, second):
    body = "".join(f"p{n // 4},{n % 4},{70 + n},36.5\n" for n in range(48))
    said = message(tmp_path, f"id,when,temp,temp\n{second}\n{body}")
    assert "two lines of names" not in said


@pytest.mark.parametrize("index", ["date", "duration", "number"])
def test_a_frame_to_predict_from_whose_index_has_no_name(tmp_path, index):
    rows = [f"p{n // 5:02d},2024-01-01 {n % 5:02d}:00,{70 + n}" for n in range(60)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["series,time,hr", *rows, ""]))
    schema, seen, _ = csv_data(CSVConfig(path=str(path))).source
    frame = pd.read_csv(path, parse_dates=["time"]).set_index("time")
    assert len(schema.read(TableFile.of(frame))) == len(seen)
    frame.index = {
        "date": pd.DatetimeIndex(frame.index.array),
        "duration": pd.TimedeltaIndex((frame.index - frame.index[0]).array),
        "number": pd.RangeIndex(len(frame)),
    }[index]
    for table in (frame, frame.drop(columns="series")):
        with pytest.raises(DataError) as error:
            schema.read(TableFile.of(table))
        assert ("index of times has no name: .rename_axis('time')" in str(error.value)) == (
            index != "number"
        )
    named = frame.rename_axis("time")
    if index == "date":
        assert schema.read(TableFile.of(named)).names == seen.names
