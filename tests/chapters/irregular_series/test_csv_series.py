"""A user's own file in all the forms that people bring, and what may be wrong with it."""

import gzip
import json
import math
import random
import re
import shlex
import zipfile
from datetime import datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.predict import in_user_form
from node_experiments.chapters.irregular_series.predict_source import prediction_source
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.measurements import read_measurements
from node_experiments.chapters.irregular_series.user_tables.series_schema import SeriesSchema
from node_experiments.chapters.irregular_series.user_tables.table_columns import find_columns
from node_experiments.chapters.irregular_series.user_tables.table_format import TableFormat
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.config import ConfigError
from node_experiments.data.table_file import TableFile, read_table
from node_experiments.errors import DataError
from node_experiments.runner.build import build_data, build_model, build_task
from tests.composed import composed_config

HEAD = "series,time,hr,temp"


def rows_of(number=12):
    draw = random.Random(5)
    rows = []
    for n in range(number):
        for t in sorted({round(draw.uniform(0, 48), 3) for _ in range(6)}):
            temp = "" if draw.random() < 0.3 else f"{draw.gauss(37, 1):.2f}"
            rows.append((f"p{n:02d}", t, f"{draw.gauss(80, 9):.2f}", temp))
    return rows


ROWS = rows_of()
START = datetime(2024, 3, 1)


def lines(rows, head=HEAD, delimiter=","):
    return "\n".join([head, *(delimiter.join(map(str, row)) for row in rows)]) + "\n"


def dated(row, hours, form=str):
    return row[0], form(START + timedelta(hours=hours)), *row[2:]


def comma(value):
    return str(value).replace(".", ",")


FORMS = {
    "minutes": lines([(s, round(t * 60, 2), h, x) for s, t, h, x in ROWS]),
    "seconds": lines([(s, round(t * 3600, 1), h, x) for s, t, h, x in ROWS]),
    "dates": lines([dated(row, row[1]) for row in ROWS]),
    "zone": lines([dated(row, row[1], lambda d: d.isoformat() + "+02:00") for row in ROWS]),
    "own admission": lines([dated(row, 720 * int(row[0][1:]) + row[1]) for row in ROWS]),
    "unsorted": lines(random.Random(1).sample(ROWS, len(ROWS))),
    "NA": lines([(s, t, h, x or "NA") for s, t, h, x in ROWS]),
    "semicolons": lines(
        [(s, comma(t), comma(h), comma(x)) for s, t, h, x in ROWS], HEAD.replace(",", ";"), ";"
    ),
    "tabs": lines(ROWS, HEAD.replace(",", "\t"), "\t"),
    "index": lines([(i, *row) for i, row in enumerate(ROWS)], f",{HEAD}"),
    "note": lines([(*row, '"seen\nby nurse"') for row in ROWS], f"{HEAD},note"),
    "trailing comma": lines([(*row, "") for row in ROWS]),
    "carriage returns": lines(ROWS).replace("\n", "\r\n"),
    "empty column": lines([(*row, "") for row in ROWS], f"{HEAD},none"),
    "comments": "# exported\n# by x, y\n" + lines(ROWS).replace("\np05", "\n# ward 5\np05", 1),
    "names in a comment": "#" + lines(ROWS),
    "names again": lines(ROWS).replace("\np05", f"\n{HEAD}\np05", 1),
    "cells of a sheet": lines([(*row, "", "") for row in ROWS], f"{HEAD},,") + ",,,,,\n",
    "durations": lines([(s, pd.Timedelta(hours=t), *vs) for s, t, *vs in ROWS]),
    "logged": lines([dated(row, row[1], lambda d: f'"{d:%Y-%m-%d %H:%M:%S,%f}"') for row in ROWS]),
    "basic zone": lines(
        [dated(row, row[1], lambda d: f"{d:%Y%m%dT%H%M%S.%f}+0200") for row in ROWS]
    ),
    "timedelta": lines([(s, f'"{timedelta(hours=t - 9)}"', *vs) for s, t, *vs in ROWS]),
    "minus": lines([(s, str(t - 99).replace("-", "\u2212"), *vs) for s, t, *vs in ROWS]),
    "no width": lines(ROWS).replace("\np0", "\n\ufeffp0", 3).replace("hr,", "\u200ehr,", 1),
    "UTC": lines([dated(row, row[1], lambda d: f"{d:%Y-%m-%d %H:%M:%S.%f} UTC") for row in ROWS]),
    "long": lines(
        [(s, t, n, v) for s, t, *vs in ROWS for n, v in zip(("hr", "temp"), vs, strict=True) if v],
        "series,time,variable,value",
    ),
}


def read(tmp_path, text, form=None, name="mine.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return series_of(read_table(path), form or TableFormat())


def series_of(table, form):
    columns = find_columns(table, form)
    seen = read_measurements(table, form, columns)
    schema = SeriesSchema.fit(seen, form, columns)
    return schema, schema.series(seen)


def assert_same(one, other):
    for name in ("times", "values", "offsets", "feature_mask"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return read(tmp_path_factory.mktemp("reference"), lines(ROWS))


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_file_gives_the_same_series(tmp_path, reference, form):
    schema, series = read(tmp_path, FORMS[form])
    assert schema.columns.features == ("hr", "temp")
    assert_same(series, reference[1])
    assert float(series.times.max()) == 1.0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_found(tmp_path, reference, encoding):
    text = lines([(*row, "ü") for row in ROWS], f"{HEAD},größe")
    schema, series = read(tmp_path, text, encoding=encoding)
    assert schema.columns.ignored == ("größe",)
    assert_same(series, reference[1])


def test_packed_files_parquet_and_frames(tmp_path, reference):
    text = lines(ROWS).encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.csv", text)
    frame = pd.DataFrame(ROWS, columns=HEAD.split(","))
    frame[["hr", "temp"]] = frame[["hr", "temp"]].apply(pd.to_numeric)
    tables = [read_table(tmp_path / "a.csv.gz"), read_table(tmp_path / "a.zip")]
    tables.append(TableFile("the DataFrame", frame))
    for table in tables:
        assert_same(series_of(table, TableFormat())[1], reference[1])
    pytest.importorskip("pyarrow", reason="parquet files are read by an extra")
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert_same(series_of(table, TableFormat())[1], reference[1])
    odd = frame.assign(series=frame["series"].str.encode("utf-8"), hr=frame["hr"].map(comma))
    odd.to_parquet(tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet", decimal=",")
    assert table.rows["series"].map(type).eq(bytes).all()
    schema, series = series_of(table, TableFormat())
    assert schema.read(table).names[0] == "p00"
    assert_same(series, reference[1])


@pytest.mark.parametrize("how", ["mean", "last"])
def test_rows_at_one_time(tmp_path, reference, how):
    first = (*ROWS[0][:2], "10", ROWS[0][3])
    text = lines([first, *ROWS])
    with pytest.raises(DataError, match=r"line 3: series 'p00' .*dataset.duplicates=mean or last"):
        read(tmp_path, text)
    schema, series = read(tmp_path, text, TableFormat(duplicates=how))
    found = float(schema.value_scaling.undo(series.values[0])[0])
    expected = float(ROWS[0][2])
    assert found == pytest.approx((expected + 10) / 2 if how == "mean" else expected, rel=1e-5)


def test_times_of_day_and_dates_of_another_form(tmp_path):
    text = "series,time,x\na,00:30,1\na,12:00,2\n"
    schema, _ = read(tmp_path, text)
    assert schema.time_scale == 11.5 * 3600
    text = "series,time,x\na,01.03.2024 10:00,1\na,03.03.2024 10:00,2\n"
    with pytest.raises(DataError, match=r"line 2: 'time' is '01.03.2024 10:00'.*time_format"):
        read(tmp_path, text)
    german = TableFormat(time_format="%d.%m.%Y %H:%M")
    schema, _ = read(tmp_path, text, german)
    assert schema.time_scale == 48 * 3600
    text = "series,time,x\na,2024-03-01 10:00:00,1\na,2024-03-03 10:00:00,2\n"
    with pytest.raises(DataError, match=r"of ISO 8601: set dataset.time_format=null"):
        read(tmp_path, text, german)
    assert read(tmp_path, text)[0].time_scale == 48 * 3600


def test_digits_beyond_single_precision_are_kept(tmp_path):
    values = [5_500_000 + 0.01 * n for n in range(10)]
    text = lines([("a", 1.7e9 + n, v) for n, v in enumerate(values)], "series,time,utm")
    schema, series = read(tmp_path, text)
    np.testing.assert_allclose(series.values.std(correction=0), 1, rtol=1e-5)
    back = schema.value_scaling.undo(series.values.double())[:, 0]
    np.testing.assert_allclose(back, values, atol=1e-6)
    np.testing.assert_allclose(series.times, np.arange(10) / 9, atol=1e-7)


LABELLED = lines(
    [(*row, "high" if int(row[0][1:]) % 2 else "low") for row in ROWS], f"{HEAD},level"
)


@pytest.fixture
def learned(tmp_path):
    return read(tmp_path, LABELLED, TableFormat(label_column="level"))


def again(tmp_path, schema, text):
    path = tmp_path / "new.csv"
    path.write_text(text)
    return schema.series(schema.read(read_table(path)))


def test_a_later_file_is_read_by_what_was_learned(tmp_path, learned):
    schema, series = learned
    schema = SeriesSchema.from_dict(json.loads(json.dumps(schema.to_dict())))
    assert schema.classes == ("high", "low")
    swapped = lines(
        [(s, t, x, h, "high" if int(s[1:]) % 2 else "low") for s, t, h, x in ROWS],
        "series,time,temp,hr,level",
    )
    assert_same(again(tmp_path, schema, swapped), series)
    shifted = lines([(s, t, float(h) + 50, x) for s, t, h, x in ROWS])
    new = again(tmp_path, schema, shifted)  # without labels
    assert new.label.tolist() == [-1] * 12
    moved = (new.values - series.values)[:, 0] * schema.scale[0]
    torch.testing.assert_close(moved, torch.full_like(moved, 50), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LABELLED.replace("high", "zhigh"), r"line \d+: the class 'zhigh' was not there"),
        (lines([r[:3] for r in ROWS], "series,time,hr"), "'temp' is not there.*trained with it"),
        (lines([(*r, 1) for r in ROWS], f"{HEAD},wbc"), "'wbc' was not there when the model"),
    ],
)
def test_what_was_not_there_in_training_is_rejected_by_name(tmp_path, learned, text, message):
    with pytest.raises(DataError, match=message):
        again(tmp_path, learned[0], text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; its first line must name the columns"),
        (HEAD, "no line after the one that names the columns"),
        (f"{HEAD}\na,0,1\n", "line 2: 3 cells; the first line names 4 columns"),
        (f"{HEAD}\na,0,1,2\na,x,1,2\n", r"line 3: 'time' is 'x'"),
        (f"{HEAD}\na,0,1,2\na,1,<0.1,2\n", r"line 3: 'hr' is '<0.1'.*dataset.missing="),
        (f"{HEAD}\na,0,inf,2\n", "line 2: 'hr' is infinite"),
        (f"{HEAD}\na,,1,2\n", "line 2: 'time' is empty"),
        (f"{HEAD}\n,0,1,2\n", "line 2: 'series' is empty"),
        ("series,time,hr,hr\na,0,1,2\n", "'hr' occurs more than once"),
        ("id,time,hr\na,0,1\n", "'series' is not there; found 'id', 'time', 'hr'"),
        ("series,time,series,hr\na,0,1,2\n", "'series' occurs more than once"),
        ("series,time,x\na,0,word\n", "no column is left that holds numbers"),
        (f"{HEAD}\na,0,,\n", "no column is left that holds numbers"),
        ('series,time,hr\na,0,"1\n', "quotation mark missing"),
        ("series;time;hr\na;0,5;1.5\n", "with a comma .* and with a point .*dataset.decimal"),
        (f"{HEAD}\na,0,1,2\na,5,1,2\na,5.000000001,1,2", "equal in single precision"),
        (f"{HEAD}\n,h,1/min,C\na,0,1,2\n", "line 2 seems to be a line of units"),
        (f"{HEAD}\n5s,20d,14n,14n\na,0,1,2\n", "line 2 holds the widths and types of columns"),
        (f"{HEAD}\n-,h,1/min,C\na,0,1,2\n", "line 2 seems to be a line of units"),
        (f"{HEAD}\n,,1/min,C\na,0,1,2\n", "line 2 seems to be a line of units"),
        (
            f"{HEAD}\nid,h,bpm,1\na,0,1,2\n",
            r"line 2 seems to be a line of units \(id, h, bpm, 1\); rem",
        ),
        (lines(ROWS).partition("\n")[2], "the first line must name the columns"),
        ("series,time,hr,hr_q05\na,0,1,2\n", "forecasts have columns 'hr_q05'"),
        ("series,time,variable,value\na,0,time,2\n", "forecasts have columns 'time'"),
        ('series,time,hr\na,0,"1,234"\na,1,"1,100"\n', "line 2: '1,234'.*thousands=',', or"),
        (f"{HEAD}\na,9999-12-31,1,2\na,2024-01-01,1,2\n", "line 2: .*of the years 1678 to 2261"),
        (f"{HEAD}\na,02:00 PM,1,2\n", "line 2: .*set dataset.time_format='%I:%M %p'"),
        (f"{HEAD}\na,20240101,1,2\na,20240102,1,2\na,20249999,1,2\n", "looks like a date"),
        ("series,time,variable,value\na,0,hr,80\na,0,,37\n", "line 3: 'variable' is empty"),
        ("series,time,variable,value\na,0,hr,80\na,0,hr,81\n", "another value of 'hr' .* last$"),
        (f"{HEAD}\na,-1e308,1,2\na,1e308,1,2\n", "line 2: 'time' is '-1e308'"),
        (
            f"{HEAD}\na,0,1,2\na,1e9,1,2\na,5e8,1,2\na,500000001,1,2",
            "line 5: .*cut series .* as 1e.09",
        ),
        ("series,time,x,hr\na,0,\uff11,2\n", "'x' is '\uff11', which is written with digits"),
    ],
)
def test_bad_files_are_rejected_with_their_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path, text)
    assert "\n" not in str(error.value)


def test_faults_of_several_columns_are_said_together(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"{HEAD}\na,01.02.2024,70,36.5 C\na,13.02.2024,<60,37\n")
    with pytest.raises(DataError) as error:
        csv_data(CSVConfig(path=str(path)))
    said = str(error.value).split("; also, ")
    assert [re.search(r"line \d: '\w+'", each)[0] for each in said] == [
        "line 2: 'time'", "line 3: 'hr'", "line 2: 'temp'",
    ]  # fmt: skip
    assert "set dataset.time_format='%d.%m.%Y'" in said[0]
    settings = CSVConfig(path=str(path), value_columns=["hr", "temp"], time_format="%d.%m.%Y")
    with pytest.raises(DataError, match=r"'hr' is '<60'.*; also, .*'temp' is '36.5 C'"):
        csv_data(settings)


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        (["1/2/2024", "13/2/2024"], r"set dataset.time_format='%d/%m/%Y'"),
        (["1/2/2024", "2/13/2024"], r"set dataset.time_format='%m/%d/%Y'"),
        (["1/2/2024", "3/4/2024"], r"'%d/%m/%Y' \(day first\) or '%m/%d/%Y' \(month first\)"),
        (["1/13/2024", "13/1/2024"], "in some dates the day is first and in others the month; .*"),
    ],
)
def test_a_day_above_twelve_tells_the_order_of_dates(tmp_path, dates, said):
    with pytest.raises(DataError, match=f"{said}$"):
        read(tmp_path, lines([("a", date, 1, 2) for date in dates]))


@pytest.mark.parametrize("zone", ["", "+01:00"])
def test_dates_of_another_kind_than_those_of_training(tmp_path, zone):
    dates = [f"2024-03-0{n} 10:00" for n in (1, 2, 3)]
    schema, _ = read(tmp_path, lines([("a", f"{date}{zone}", 1, 2) for date in dates]))
    other = lines([("a", f"{date}{'' if zone else '+01:00'}", 1, 2) for date in dates])
    said = "with a zone: write it" if zone else r"without a zone: leave it out .*tz_localize"
    with pytest.raises(DataError, match=f"the model was trained on dates {said}"):
        again(tmp_path, schema, other)


def test_further_cells_of_the_kind_are_counted(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"{HEAD}\na,0,70,37\na,1,high,37\na,2,72,37\na,3,low,37\na,4,,37\n")
    with pytest.raises(DataError, match=r"line 3: 'hr' is 'high'.*\(1 more cell of 'hr' is no"):
        csv_data(CSVConfig(path=str(path)))


def test_thousands_are_read_as_they_are_said_to_be_written(tmp_path):
    rows = [(series, time, 1000 * time + 0.5) for series in "abcdefgh" for time in range(4)]
    plain, parted = tmp_path / "plain.csv", tmp_path / "parted.csv"
    pd.DataFrame(rows, columns=["series", "time", "x"]).to_csv(plain, index=False)
    parted.write_text(
        "series;time;x\n" + "".join(f"{name};{time};{x:,}\n" for name, time, x in rows)
    )
    found = csv_data(CSVConfig(path=str(parted), thousands=","))
    assert_same(found.source[2], csv_data(CSVConfig(path=str(plain))).source[2])
    with pytest.raises(ConfigError, match=r"thousands='\.' must be .* other than decimal"):
        CSVConfig(thousands=".", decimal=".")
    with pytest.raises(ConfigError, match=r"a blank \(\"dataset.thousands=' '\"\), or null"):
        CSVConfig(thousands="")  # as a shell and Hydra leave dataset.thousands=" "


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hr": 1000.0}, r"'hr' is 1\d{5} in some rows, far from .* \(around 82"),
        ({"temp": 1.8}, "'temp' is .* in some rows, far from"),
        ({"time": 60.0}, "series are up to .* times as long .* unit of 'time'"),
        ({"hr": 0.001}, r"'hr' is 0\.\d+ in some rows, far from .* \(around 82"),
        ({"hr": 1.0}, None),
    ],
)
def test_a_later_file_that_is_far_from_the_first_one_is_said(caplog, change, said):
    settings = CSVConfig(path="sample:patients")
    trained = SimpleNamespace(data=csv_data(settings), config=SimpleNamespace(dataset=settings))
    later = read_user_table(CSVConfig(path="sample:new_patients")).rows
    for name, factor in change.items():
        numbers = pd.to_numeric(later[name], errors="coerce")
        later[name] = numbers * factor + (32 if name == "temp" else 0)
    caplog.clear()
    prediction_source(trained, later)
    found = [record.getMessage() for record in caplog.records if "trained on" in record.msg]
    if said is None:
        assert not found
    else:
        (line,) = found
        assert re.search(said, line)


@pytest.mark.parametrize("path", ["https://example.com/x.csv", "s3://bucket/x.parquet"])
def test_addresses_are_no_files(path):
    with pytest.raises(DataError, match="is a URL; download the file"):
        csv_data(CSVConfig(path=path))


def test_windows_of_one_observation_are_rejected():
    with pytest.raises(DataError, match=r"window=0\.001 is shorter than most times .* median is"):
        csv_data(CSVConfig(path="sample:patients", window=0.001))


@pytest.mark.parametrize("task", ["interpolation", "extrapolation"])
def test_test_series_are_known_by_their_names(task):
    """Also where others cannot be extrapolated, and are left out."""
    data = csv_data(CSVConfig(path="sample:patients", task=task, extrapolate_from=0.9))
    _, seen, series = data.source
    (batch,) = data.test  # sorted by length
    assert len(data.test_names) == len(batch) > 10
    target = batch.target
    for name, times, there in zip(data.test_names, target.times, target.mask, strict=True):
        whole = series.take(torch.tensor([seen.names.index(name)]))
        assert torch.equal(whole.times[-int(there.sum()) :], times[there])


def test_features_that_may_be_meant_as_something_else(tmp_path, caplog):
    """Each is named once, with the setting; the measurements themselves are not."""
    rows = [
        (n + 1, *row, 40 + int(row[0][1:]), row[2] if n % 9 else -999, 5)
        for n, row in enumerate(ROWS)
    ]
    path = tmp_path / "t.csv"
    path.write_text(lines(rows, f"number,{HEAD},age,bp,same"))
    csv_data(CSVConfig(path=str(path)))
    said = [record.getMessage() for record in caplog.records]
    assert sum("'number' counts the rows" in line for line in said) == 1
    assert sum("static_columns=[age]" in line for line in said) == 1
    assert sum("'bp' is -999 in some rows" in line for line in said) == 1
    assert sum("'same' is 5 in every row" in line for line in said) == 1
    assert not any("'hr'" in line or "'temp'" in line for line in said)
    caplog.clear()
    csv_data(CSVConfig(path=str(path), value_columns=["hr", "temp"]))
    assert "counts the rows" not in caplog.text
    assert "static_columns" not in caplog.text


def test_a_long_table_with_units_and_words(tmp_path, caplog):
    rows = [
        (name, time, variable, value, unit)
        for name, time, hr, temp in ((row[0], row[1], 60 + n, 36.5) for n, row in enumerate(ROWS))
        for variable, value, unit in (
            ("hr", hr, "1/min"),
            ("temp", temp if name < "p06" else 97.7, "C" if name < "p06" else "F"),
            ("culture", "positive", ""),
        )
    ]
    path = tmp_path / "t.csv"
    path.write_text(lines(rows, "series,time,variable,value,unit"))
    with pytest.raises(DataError, match="positive"):
        csv_data(CSVConfig(path=str(path)))
    csv_data(CSVConfig(path=str(path), value_columns=["hr", "temp"]))
    (said,) = (each.getMessage() for each in caplog.records if "several units" in each.msg)
    assert "'temp' have several units ('unit': C, F)" in said


def test_a_column_that_counts_visits(tmp_path, caplog):
    rows, visits = [], {}
    for n, row in enumerate(ROWS * 1):
        visits[row[0]] = visits.get(row[0], 0) + 1
        rows.append((*row, visits[row[0]], 2 * n + 7))
    path = tmp_path / "t.csv"
    path.write_text(lines(rows, f"{HEAD},visit,X"))
    csv_data(CSVConfig(path=str(path)))
    said = caplog.text
    assert "'visit' counts the rows" in said
    assert "'X' counts the rows" in said
    assert "'hr' counts" not in said


def test_a_series_that_is_far_longer_than_all_others(tmp_path, caplog):
    """One wrong date, and time 1 is a century for series of two days."""
    rows = [
        (f"s{i:02d}", f"2024-03-0{day} {hour:02d}:00", i + day)
        for i in range(20)
        for day in (1, 2)
        for hour in (3, 9, 15)
    ]
    path = tmp_path / "t.csv"
    path.write_text(lines(rows, "series,time,hr"))
    csv_data(CSVConfig(path=str(path), task="interpolation"))
    assert "times as long" not in caplog.text
    wrong = [
        (row[0], "1900-01-01", row[2]) if row[0] < "s05" and n % 6 == 0 else row
        for n, row in enumerate(rows)
    ]  # of five, so that some train
    path.write_text(lines(wrong, "series,time,hr"))
    csv_data(CSVConfig(path=str(path), task="interpolation"))
    (said,) = (each.getMessage() for each in caplog.records if "times as long" in each.msg)
    assert re.search(r"series 's0[0-4]' is 3\.\d+e\+04 times as long", said)
    assert re.search(r"line \d+ or at .*line \d+ is wrong", said)
    scale = float(re.search(r"dataset.time_scale=([\d.]+), the median length in hours", said)[1])
    assert 20 < scale < 48


def test_features_of_a_series_are_named_in_one_setting(tmp_path, caplog):
    """Which a shell takes; what has a value for each series is no outcome."""
    rows = [(*row, 40 + int(row[0][1:]), int(row[0][1:]) % 2) for row in ROWS]
    path = tmp_path / "t.csv"
    path.write_text(lines(rows, f"{HEAD},size (cm),sex"))
    csv_data(CSVConfig(path=str(path)))
    (said,) = (x.getMessage() for x in caplog.records if "do not change" in x.getMessage())
    assert "within any series: 'size (cm)', 'sex';" in said
    words = shlex.split(said.partition("properties of the series, set ")[2].replace(";", ""))
    assert words[0] == "dataset.static_columns=['size (cm)',sex]"
    assert words[-1] == "dataset.label_column=sex"
    caplog.clear()
    data = csv_data(CSVConfig(path=str(path), static_columns=["size (cm)", "sex"]))
    assert data.features == ("hr", "temp")
    assert "do not change" not in caplog.text


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([0 if n % 5 == 0 else 60 + 7 * n % 40 for n in range(60)], True),  # a pulse
        ([0 if n % 5 == 0 else 36.5 + n / 50 for n in range(60)], True),
        ([n % 12 for n in range(60)], False),  # counts
        ([max(0.0, n % 13 - 5.5) for n in range(60)], False),  # rain
        ([n % 2 for n in range(60)], False),  # an indicator
        ([0 if n % 4 else 100 + n for n in range(60)], False),  # doses, most of them none
        ([math.sin(n) for n in range(60)], False),
    ],
)
def test_zeros_that_may_mean_that_nothing_was_observed(tmp_path, caplog, values, said):
    path = tmp_path / "t.csv"
    rows = [f"{'abcdef'[n // 10]},{n % 10},{value}" for n, value in enumerate(values)]
    path.write_text("\n".join(["series,time,hr", *rows, ""]))
    csv_data(CSVConfig(path=str(path)))
    assert ("20 % of the values of 'hr' are 0" in caplog.text) == said
    assert ("are 0, far from all others" in caplog.text) == said


def test_missing_markers_of_the_user(tmp_path):
    text = lines([(s, t, h, x or "-9999") for s, t, h, x in ROWS])
    _, series = read(tmp_path, text, TableFormat(missing=("-9999.0",)))
    assert not bool(series.feature_mask.all())
    text = lines([(s, t, h, x or "none seen") for s, t, h, x in ROWS])
    _, series = read(tmp_path, text, TableFormat(missing=("none seen",)))
    assert not bool(series.feature_mask.all())


def test_labels_of_a_series_and_of_a_time(tmp_path):
    text = lines([(*row, "12"[i % 2]) for i, row in enumerate(ROWS)], f"{HEAD},state")
    with pytest.raises(DataError, match=r"series 'p00' has the label '2' after '1'.*label_per"):
        read(tmp_path, text, TableFormat(label_column="state"))
    schema, series = read(tmp_path, text, TableFormat(label_column="state", label_per="time"))
    assert schema.classes == ("1", "2")
    assert len(series.label) == len(ROWS)
    text = lines([(*row, ("1", "1.0")[i % 2]) for i, row in enumerate(ROWS)], f"{HEAD},state")
    schema, _ = read(tmp_path, text, TableFormat(label_column="state"))
    assert schema.classes == ("1",)


def test_rows_without_a_label_are_read_and_not_scored(tmp_path, caplog):
    labels = ["ab"[i % 2] if i % 3 else "" for i in range(len(ROWS))]
    rows = [(*row, label) for row, label in zip(ROWS, labels, strict=True)]
    (tmp_path / "t.csv").write_text(lines(rows, f"{HEAD},state"))
    settings = {"path": str(tmp_path / "t.csv"), "label_column": "state", "label_per": "time"}
    data = csv_data(CSVConfig(task="classification", **settings))
    assert sum(sum(part.values()) for part in data.class_counts.values()) == len(ROWS) * 2 // 3
    assert f"{len(ROWS) // 3} of {len(ROWS)} rows have no label in 'state'" in caplog.text


@pytest.mark.parametrize("per", ["series", "time"])
def test_labels_of_a_long_table_are_those_of_its_rows(tmp_path, per):
    """Each time has as many rows as variables; every other is without the label."""
    by_time = per == "time"
    label = {(s, t): ("odd", "even")[(int(s[1:]) + by_time * i) % 2]
             for i, (s, t, *_) in enumerate(ROWS)}  # fmt: skip
    rows = [(s, t, n, v, label[s, t] if n == "hr" else "")
            for s, t, *vs in ROWS for n, v in zip(("hr", "temp"), vs, strict=True)]  # fmt: skip
    form = TableFormat(label_column="level", label_per=per)
    schema, series = read(tmp_path, lines(rows, "series,time,variable,value,level"), form)
    wide = [(*row, label[row[:2]]) for row in ROWS]
    expected = read(tmp_path, lines(wide, f"{HEAD},level"), form)[1]
    assert schema.classes == ("even", "odd")
    assert series.label.tolist() == expected.label.tolist()
    rows[1] = (*rows[1][:4], "other")
    with pytest.raises(DataError, match="line 3: series 'p00' has the label 'other' after"):
        read(tmp_path, lines(rows, "series,time,variable,value,level"), form)


def test_classes_that_are_long_numbers_stay_apart(tmp_path):
    rows = [(*row, 1234567 + int(row[0][1:]) % 2) for row in ROWS]
    schema, _ = read(tmp_path, lines(rows, f"{HEAD},code"), TableFormat(label_column="code"))
    assert schema.classes == ("1234567", "1234568")


def test_names_of_series_that_may_be_one(tmp_path, caplog):
    for names in (("7", "7.0"), ("P  1", "p 1"), ("07", "7")):
        caplog.clear()
        read(tmp_path, lines([(name, t, t, 1) for name in names for t in (0, 1)]))
        assert f"series {names[0]!r} and {names[1]!r} are read as two" in caplog.text
    caplog.clear()
    read(tmp_path, lines([(name, t, t, 1) for name in ("--1", "-+2", "1.1") for t in (0, 1)]))
    assert "are read as two" not in caplog.text


@pytest.mark.parametrize(
    "settings",
    [
        {"value_columns": ("hr", "hr")},
        {"value_columns": ("hr", "level"), "label_column": "level"},
        {"static_columns": ("series",)},
        {"static_columns": ("level",), "label_column": "level"},
    ],
)
def test_a_column_has_one_meaning(tmp_path, settings):
    with pytest.raises(DataError, match="is named twice"):
        read(tmp_path, LABELLED, TableFormat(**settings))


def test_static_columns(tmp_path):
    text = lines([(*row, 40 + int(row[0][1:]), "FM"[int(row[0][1:]) % 2]) for row in ROWS],
                 f"{HEAD},age,sex")  # fmt: skip
    form = TableFormat(static_columns=("age", "sex"))
    schema, series = read(tmp_path, text, form)
    assert schema.columns.features == ("hr", "temp")
    static = schema.static(schema.read(read_table(tmp_path / "mine.csv")))
    assert static.shape == (len(series), 6)  # age, sex=F, sex=M, and whether each is known
    torch.testing.assert_close(static[:, 0].mean(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_what_a_run_reads(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(LABELLED)
    data = csv_data(CSVConfig(path=str(path), task="classification", label_column="level"))
    assert (data.dim, data.classes, data.features) == (2, 2, ("hr", "temp"))
    parts = (data.train, data.validation, data.test)
    assert [len(part.data) for part in parts] == [8, 1, 3]
    assert 0.5 < data.span[1] <= 1.5
    again = csv_data(CSVConfig(path=str(path), task="interpolation", label_column="level"))
    assert len(again.train.data) == len(data.train.data)


def test_one_observation_each(tmp_path):
    """Enough to tell classes apart, and nothing to fill in or forecast."""
    path = tmp_path / "single.csv"
    path.write_text(lines([(f"s{n}", n, n, n, "ab"[n % 2]) for n in range(20)], f"{HEAD},level"))
    for task in ("interpolation", "extrapolation"):
        with pytest.raises(
            DataError, match=r"single.csv: each of the 20 series has one point.*series_column"
        ):
            csv_data(CSVConfig(path=str(path), task=task, label_column="level"))
    data = csv_data(CSVConfig(path=str(path), task="classification", label_column="level"))
    assert data.span[0] == 0.0
    assert math.isfinite(data.mean_gap)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "dataset.path names"), ({"path": "away.csv"}, "away.csv is missing")],
)
def test_no_file(settings, message):
    with pytest.raises(DataError, match=message):
        csv_data(CSVConfig(**settings))


def test_classification_needs_labels(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(lines([(*row, "up", "a note") for row in ROWS], f"{HEAD},level,note"))
    with pytest.raises(
        DataError,
        match=r"needs dataset\.label_column=<column>; columns of words are 'level', 'note'",
    ):
        csv_data(CSVConfig(path=str(path), task="classification"))


def test_text_that_was_not_there_in_training_is_not_read(tmp_path, caplog):
    frame = pd.DataFrame(ROWS, columns=["series", "time", "hr", "temp"])
    table = TableFile.of(frame)
    columns = find_columns(table, TableFormat())
    plain = read_measurements(table, TableFormat(), columns)
    remarks = frame.assign(remark=["12" if n % 3 else "seen" for n in range(len(frame))], ward="B")
    seen = read_measurements(TableFile.of(remarks), TableFormat(), columns)
    np.testing.assert_array_equal(seen.values, plain.values)
    assert "not read, since they were not there in training: 'remark', 'ward'" in caplog.text
    with pytest.raises(DataError, match="'weight' was not there when the model was trained"):
        read_measurements(TableFile.of(frame.assign(weight=70.0)), TableFormat(), columns)


def test_series_that_cannot_be_extrapolated_are_counted(tmp_path, caplog):
    rows = [row for row in ROWS if row[0] not in ("p03", "p07") or row[1] < 20]
    (tmp_path / "t.csv").write_text(lines(rows))
    data = csv_data(CSVConfig(path=str(tmp_path / "t.csv"), validation_size=2))
    left = sum(len(part.data) for part in (data.train, data.validation, data.test))
    counted = [int(r.args[0]) for r in caplog.records if "have no point before" in r.getMessage()]
    assert left + sum(counted) == 12
    assert sum(counted) >= 2
    assert len(next(iter(data.train))) <= len(data.train.data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: f"{1000 * float(x):,.1f}", "a number with a separator of thousands"),
        (lambda x: f"{float(x)}e300", "cannot be scaled in double precision"),
        (lambda x: f"{float(x)}e-300", "cannot be scaled in double precision"),
    ],
)
def test_numbers_that_would_be_lost_in_silence(tmp_path, change, said):
    frame = pd.DataFrame(ROWS, columns=["series", "time", "hr", "temp"])
    frame.assign(hr=frame["hr"].map(change)).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=said):
        csv_data(CSVConfig(path=str(tmp_path / "t.csv")))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("36.5 C", "a number with a unit"),
        ("36.5°C", "a number with a unit"),
        ("120 mmHg", "a number with a unit"),
        ("5.3%", "a number with a unit"),
        ("75 1/min", "a number with a unit"),
        ("5,3 %", "a number with a unit"),
        ("5,3", "a decimal comma; write points, or set dataset.decimal"),
        ("1,234.5", r"a separator of thousands; set dataset\.thousands=','"),
        ("1 234", r"a separator of thousands; set \"dataset\.thousands=' '\""),
        ("120/80", "two numbers"),
        ("< 0.1", r"a limit.*dataset\.missing=\[.*< 0\.1.*\]'"),
        ("high", r"not a number.*'dataset\.missing=\[high\]'"),
    ],
)
def test_cells_that_are_meant_as_numbers(tmp_path, cell, said):
    """Named with file, line and column, one among numbers as well as a whole column of them."""
    path = tmp_path / "t.csv"
    frame = pd.DataFrame(ROWS, columns=HEAD.split(","))
    columns = {3: ["70", cell] + ["71"] * (len(frame) - 2)}
    if not cell.isalpha():  # a column of words alone is no feature
        columns[2] = [cell] * len(frame)
    for line, cells in columns.items():
        frame.assign(hr=cells).to_csv(path, index=False)
        with pytest.raises(DataError, match=rf"t\.csv, line {line}: 'hr' is .*which .*{said}"):
            csv_data(CSVConfig(path=str(path), decimal="."))


@pytest.mark.parametrize("pair", [("yes", "no"), ("Y", "n"), ("TRUE", "False"), ("on", "off")])
def test_words_of_two_values_are_one_and_zero(tmp_path, pair):
    words = [pair[i % 2] if i % 5 else "NA" for i in range(len(ROWS))]
    rows = [(*row, word) for row, word in zip(ROWS, words, strict=True)]
    schema, series = read(tmp_path, lines(rows, f"{HEAD},smoker"), TableFormat())
    assert schema.columns.features == ("hr", "temp", "smoker")
    found = series.values[:, 2].double() * schema.scale[2] + schema.shift[2]
    known = [i for i in range(len(ROWS)) if i % 5]
    expected = torch.tensor([1.0 - i % 2 for i in known], dtype=torch.float64)
    torch.testing.assert_close(found[known], expected, atol=1e-6, rtol=0)
    assert series.feature_mask[:, 2].tolist() == [bool(i % 5) for i in range(len(ROWS))]
    # A later file may have one of them only.
    later = [(*row, pair[1]) for row in ROWS]
    (tmp_path / "later.csv").write_text(lines(later, f"{HEAD},smoker"))
    seen = schema.read(read_table(tmp_path / "later.csv"))
    assert set(seen.values[:, 2]) == {0.0}


@pytest.mark.parametrize("words", [("yes", "no", "unknown"), ("yes", "off"), ("m", "f")])
def test_other_words_are_no_numbers(tmp_path, words):
    rows = [(*row, words[i % len(words)]) for i, row in enumerate(ROWS)]
    schema, _ = read(tmp_path, lines(rows, f"{HEAD},smoker"))
    assert schema.columns.features == ("hr", "temp")
    assert schema.columns.ignored == ("smoker",)


def test_a_column_of_yes_and_no_may_be_that_of_labels(tmp_path):
    rows = [(*row, "yes" if row[0] < "p06" else "no") for row in ROWS]
    (tmp_path / "mine.csv").write_text(lines(rows, f"{HEAD},died"))
    with pytest.raises(DataError, match=r"label_column=<column>; columns of words are 'died'$"):
        csv_data(CSVConfig(path=str(tmp_path / "mine.csv"), task="classification"))
    settings = {"task": "classification", "label_column": "died"}
    data = csv_data(CSVConfig(path=str(tmp_path / "mine.csv"), **settings))
    assert data.learned["names"]["classes"] == ["no", "yes"]
    assert data.features == ("hr", "temp")


def test_names_of_classes_and_variables_that_may_be_one(tmp_path, caplog):
    labelled = [(*row, "ill" if row[0] < "p06" else "Ill") for row in ROWS]
    read(tmp_path, lines(labelled, f"{HEAD},state"), TableFormat(label_column="state"))
    assert "classes 'Ill' and 'ill' are read as two" in caplog.text
    caplog.clear()
    read(tmp_path, lines(labelled, f"{HEAD},state"), TableFormat(static_columns=("state",)))
    assert "words of 'state', 'Ill' and 'ill' are read as two" in caplog.text
    caplog.clear()
    long = [(s, t, name, h) for s, t, h, _ in ROWS for name in ("HR", "hr")]
    read(tmp_path, lines(long, "series,time,variable,value"))
    assert "variables 'HR' and 'hr' are read as two" in caplog.text
    caplog.clear()
    read(tmp_path, FORMS["long"])
    assert "are read as two" not in caplog.text


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%d.%m.%Y %H:%M", "set dataset.time_format='%d.%m.%Y %H:%M'"),
        ("%d/%m/%Y", r"'%d/%m/%Y' \(day first\) or '%m/%d/%Y' \(month first\)"),
        ("%m/%d/%Y %I:%M %p", "'%m/%d/%Y %I:%M %p' .month first"),
        ("%Y%m%d%H%M%S", "looks like a date; set dataset.time_format='%Y%m%d%H%M%S'"),
        ("%d-%b-%Y", "set dataset.time_format='%d-%b-%Y'$"),
        ("%b %Y", "set dataset.time_format='%b %Y'$"),
        ("%B %d %Y %H:%M", "set dataset.time_format='%B %d %Y %H:%M'$"),
        ("%d%b%Y:%H:%M:%S", "set dataset.time_format='%d%b%Y:%H:%M:%S'$"),
        ("%G-W%V-%u", "write the first day of each week"),
        ("day %j of %Y", "write times as numbers, as dates of ISO 8601"),
    ],
)
def test_dates_that_are_not_read_say_how_they_would_be(tmp_path, form, said):
    text = lines([dated(row, row[1], lambda d: d.strftime(form)) for row in ROWS])
    with pytest.raises(DataError, match=f"line 2: .*{said}"):
        read(tmp_path, text)
    read(tmp_path, text, TableFormat(time_format=form, duplicates="mean"))


def test_times_are_of_one_kind(tmp_path):
    dates = [dated(row, row[1], lambda d: d.isoformat()) for row in ROWS]
    mixed = [(s, t + "Z" * (i % 2), *vs) for i, (s, t, *vs) in enumerate(dates)]
    with pytest.raises(DataError, match=r"line 3: .*the zone with every date"):
        read(tmp_path, lines(mixed))
    with pytest.raises(DataError, match=r"line 3: .*not read as a number like the others"):
        read(tmp_path, lines([ROWS[0], *dates[1:]]))
    with pytest.raises(DataError, match="'%Q' is not a date format"):
        read(tmp_path, lines(dates), TableFormat(time_format="%Q"))


def test_a_clock_that_passes_midnight(tmp_path, caplog):
    text = lines([("a", "22:30", 1, 2), ("a", "23:50", 1, 3), ("a", "00:10", 2, 2)])
    read(tmp_path, text)
    assert "line 4: the time of day falls within series 'a'; if midnight is between" in caplog.text


@pytest.mark.parametrize("day", ["2024-03-0{}", "0{}.03.2024", "3/{}/24"])
def test_dates_in_a_column_beside_times_of_day(tmp_path, day):
    """One without the other is no time: the second day would be the first one again."""
    rows = [("a", day.format(d), f"{8 + d}:00", d, 2) for d in (1, 2, 3)]
    head = "series,day,time,hr,temp"
    with pytest.raises(DataError, match="'time' holds times of day, and 'day' dates that change"):
        read(tmp_path, lines(rows, head))
    read(tmp_path, lines(rows, head), TableFormat(value_columns=("hr", "temp")))
    read(tmp_path, lines([(row[0], rows[0][1], *row[2:]) for row in rows], head))


def test_static_words_that_say_nothing(tmp_path):
    text = lines([(*row, f"name {row[0]}") for row in rows_of(30)], f"{HEAD},name")
    with pytest.raises(DataError, match="'name' has 30 different words in 30 series"):
        read(tmp_path, text, TableFormat(static_columns=("name",)))
    ages = lines([(*row, "unknown" if row[0] == "p03" else 40) for row in ROWS], f"{HEAD},age")
    with pytest.raises(DataError, match=r"'age' is 'unknown'.*'dataset.missing=\[unknown\]'"):
        read(tmp_path, ages, TableFormat(static_columns=("age",)))
    read(tmp_path, ages, TableFormat(static_columns=("age",), missing=("unknown",)))


def test_names_of_series_that_are_missing_in_a_frame(tmp_path):
    frame = pd.DataFrame(ROWS, columns=HEAD.split(",")).assign(
        series=[None, *"b" * 71][: len(ROWS)]
    )
    with pytest.raises(DataError, match="row 0: 'series' is empty"):
        series_of(TableFile.of(frame), TableFormat())


def test_no_python_for_each_cell_of_a_table_of_numbers(tmp_path, monkeypatch):
    """A million rows are read in seconds: rules for words see no column of numbers."""
    from node_experiments.chapters.irregular_series.user_tables import table_cells

    seen = []
    real = table_cells.is_missing
    monkeypatch.setattr(table_cells, "is_missing", lambda t, f: seen.append(len(t)) or real(t, f))
    read(tmp_path, lines([(s, t, h, x or "NA") for s, t, h, x in ROWS]))
    assert sum(seen) == 2 * sum(row[3] == "" for row in ROWS)  # found, then read


@pytest.mark.parametrize("model", ["latent_ode", "ode_rnn", "gru_d", "rnn_dt", "rnn_vae"])
def test_series_of_one_observation_train(tmp_path, model):
    """No time passes between observations: a loss that is finite, with finite gradients."""
    path = tmp_path / "t.csv"
    path.write_text(lines([(f"s{n}", 7, n, n % 3, n % 2) for n in range(20)], f"{HEAD},level"))
    config = composed_config(
        [f"experiment=csv_{model}", "protocol=smoke", f"dataset.path={path}",
         "dataset.task=classification", "dataset.label_column=level"]
    )  # fmt: skip
    data = build_data(config, torch.device("cpu"))
    network = build_model(config, data, torch.device("cpu"))
    loss, _ = build_task(config, data).loss(network, next(iter(data.train)), 0)
    loss.backward()
    assert math.isfinite(float(loss.detach()))
    grads = [each.grad for each in network.parameters() if each.grad is not None]
    assert all(bool(grad.isfinite().all()) for grad in grads)


def test_a_scale_of_time_is_found_or_set(tmp_path):
    (tmp_path / "t.csv").write_text(lines(ROWS))
    path = str(tmp_path / "t.csv")
    for typed, span in (("auto", 1.0), (None, 1.0), ("48", None), ("24.0", None)):
        data = csv_data(CSVConfig(path=path, time_scale=typed, task="interpolation"))
        longest = span or 45.4 / float(typed)
        assert data.span[1] == pytest.approx(longest, rel=0.1)
    dates = [dated(row, row[1]) for row in ROWS]
    (tmp_path / "t.csv").write_text(lines(dates))
    data = csv_data(CSVConfig(path=path, time_scale="48", task="interpolation"))
    assert data.span[1] == pytest.approx(45.4 / 48, rel=0.1)  # hours, as all durations of dates
    for wrong in ("0", "-1", "inf", "nan", "hours"):
        with pytest.raises(ConfigError, match=r"time_scale.* must be auto, or a number > 0"):
            CSVConfig(time_scale=wrong)


def test_what_is_read_of_a_long_table_and_what_not_is_logged(tmp_path, caplog):
    table = TableFile.of(
        pd.DataFrame({"series": "a", "time": [1, 2], "variable": ["hr", "temp"], "value": [80, 37],
                      "unit": ["1/min", "C"]})
    )  # fmt: skip
    with caplog.at_level("INFO"):
        find_columns(table, TableFormat())
    assert "features hr, temp; not read: 'unit'" in caplog.text


def test_features_of_a_long_table_may_be_chosen(tmp_path):
    schema, _ = read(tmp_path, FORMS["long"], TableFormat(value_columns=("temp",)))
    assert schema.columns.features == ("temp",)
    with pytest.raises(DataError, match="'variable' is never 'wbc'; found hr, temp"):
        read(tmp_path, FORMS["long"], TableFormat(value_columns=("temp", "wbc")))


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (lambda n: "a", "'level' has the one class 'a'"),
        (lambda n: n / 7, "'level' has 12 different values in 12 series"),
        (lambda n: f"ward {n}", "'level' has 12 different values in 12 series"),
    ],
)
def test_labels_that_are_no_classes(tmp_path, label, said):
    rows = [(*row, label(int(row[0][1:]))) for row in ROWS]
    (tmp_path / "t.csv").write_text(lines(rows, f"{HEAD},level"))
    settings = {"path": str(tmp_path / "t.csv"), "label_column": "level"}
    with pytest.raises(DataError, match=said):
        csv_data(CSVConfig(task="classification", **settings))
    csv_data(CSVConfig(task="interpolation", **settings))


@pytest.mark.parametrize("origin", ["series", "file"])
def test_times_after_the_last_observation(tmp_path, origin):
    """Of numbers in their unit, of dates in hours, whatever the model's origin and scale are."""
    ahead = np.array([-0.5, 1.5])
    last = pd.DataFrame(ROWS).groupby(0)[1].max()
    dates = [dated(row, row[1], lambda d: d.isoformat()) for row in ROWS]
    for rows in (ROWS, dates):
        (tmp_path / "t.csv").write_text(lines(rows))
        settings = CSVConfig(path=str(tmp_path / "t.csv"), time_origin=origin)
        schema, seen, _ = csv_data(settings).source
        expected = pd.Series((last[seen.names].to_numpy()[:, None] + ahead).ravel())
        if rows is dates:
            expected = START + pd.to_timedelta(expected, "h")
        near = pd.Timedelta("1us") if rows is dates else 1e-9
        times, origins = schema.times.after_last(seen, ahead), schema.times.origins(seen)[:, None]
        assert (schema.times.unparse(times) - expected).abs().max() <= near
        read_by_the_model = schema.times.to_model(times, origins)
        assert (schema.times.to_user(read_by_the_model, origins) - expected).abs().max() <= near


def test_the_grid_of_a_forecast_is_of_whole_seconds(tmp_path):
    """Or of the finest unit that a step needs; none is before the first observation."""
    rows = [dated(row, row[1], lambda d: d.isoformat()) for row in ROWS]
    schema, _ = read(tmp_path, lines(rows))
    seen = schema.read(read_table(tmp_path / "mine.csv"))
    origins = schema.times.origins(seen)[:, None]
    for length, unit in ((1, 10**9), (1e-3, 10**6), (1e-5, 10**3), (1e-9, 1)):
        even = np.linspace(0, length, 50)
        since = schema.times.round_up(even, origins) - origins
        assert (since % unit == 0).all()
        assert (since[:, 0] == 0).all()
        moved = since / schema.time_scale / 1e9 - even
        assert moved.min() > -1e-3 * length / 49
        assert moved.max() <= length / 49 * (1e-3 if unit > 1 else 1)


def test_a_forecast_of_clocks_is_in_clocks(tmp_path):
    text = lines([("a", f"{h}:30", h, 40 - h) for h in range(-3, 40, 3)])
    schema, _ = read(tmp_path, text)
    seen = schema.read(read_table(tmp_path / "mine.csv"))
    times = schema.times.to_user(np.array([0.0, 1.0]), schema.times.origins(seen)[:1])
    found = in_user_form(pd.DataFrame({"series": "a", "time": times}), schema, None)
    assert found["time"].tolist() == ["-03:30:00", "39:30:00"]
    assert (schema.times.parse(found["time"]) == [-3.5 * 3.6e12, 39.5 * 3.6e12]).all()
    zoned = [dated(row, row[1], lambda d: d.isoformat() + "+02:00") for row in ROWS]
    schema, _ = read(tmp_path, lines(zoned))
    seen = schema.read(read_table(tmp_path / "mine.csv"))
    with pytest.raises(DataError, match="'1800', which is not read as a date with a zone"):
        again(tmp_path, schema, lines([(s, 1800, *vs) for s, _, *vs in zoned]))  # and no year
    first = schema.times.to_user(np.zeros(1), schema.times.origins(seen)[:1]).iloc[0]
    assert first == pd.Timestamp(min(row[1] for row in zoned if row[0] == "p00"))
    assert first.tzinfo is not None
    with pytest.raises(DataError, match="times are dates with a zone"):
        schema.times.parse(pd.Series(["2024-03-02 12:00"]))


def test_words_that_name_a_series_or_a_class_are_no_missing_cells(tmp_path):
    """There is a country NA, and a diagnosis `none`; `0` as a series and a time is no value."""
    path = tmp_path / "t.csv"
    names = ["NA", "0", "null", "DE", "FR", "US", "GB", "IT"]
    rows = [f"{name},{time},{70 + time},{'none' if n % 2 else 'ill'}"
            for n, name in enumerate(names) for time in range(3)]  # fmt: skip
    path.write_text("\n".join(["series,time,hr,label", *rows, ""]))
    settings = {"label_column": "label", "task": "classification", "validation_size": 2}
    schema, seen, _ = csv_data(CSVConfig(path=str(path), missing=["0"], **settings)).source
    assert sorted(seen.names) == sorted(names)
    assert schema.classes == ("ill", "none")
    settings = CSVConfig(path=str(path), missing=["none"], **settings)
    with pytest.raises(DataError, match="has the one class 'ill'"):
        csv_data(settings)


def test_a_long_table_with_other_names_is_said(tmp_path, caplog):
    path = tmp_path / "t.csv"
    rows = [f"{name},{2 * time + k},{test},{value + time}"
            for name in "abcdefgh" for time in range(4)
            for k, (test, value) in enumerate((("glucose", 100), ("potassium", 4)))]  # fmt: skip
    path.write_text("\n".join(["series,time,Test,Result of it", *rows, ""]))
    csv_data(CSVConfig(path=str(path)))
    assert "variable_column=Test dataset.value_column='Result of it'" in caplog.text
    caplog.clear()
    named = {"variable_column": "Test", "value_column": "Result of it"}
    data = csv_data(CSVConfig(path=str(path), **named))
    assert data.features == ("glucose", "potassium")
    assert "several words" not in caplog.text
