"""What is said of a training table that may mean something else, and not of others."""

import logging
import random
import shlex

import numpy as np
import pytest

from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.missing_codes import codes_in
from node_experiments.chapters.irregular_series.user_tables.training_table import (
    read_training_table,
)
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.errors import DataError


def said_of(tmp_path, caplog, head, rows, **settings):
    (tmp_path / "t.csv").write_text("\n".join([head, *(",".join(map(str, r)) for r in rows), ""]))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        config = CSVConfig(path=str(tmp_path / "t.csv"), **settings)
        _, columns, seen = read_training_table(read_user_table(config), config)
    return [record.getMessage() for record in caplog.records], columns, seen


def values(number=48, seed=0):
    """Temperatures with two decimals."""
    draw = random.Random(seed)
    return [round(draw.uniform(20, 29), 2) for _ in range(number)]


CODES = [
    "999.9", "9999.9", "99.99", "-99.9", "-999.25", "-8888", "-7777", "-32768", "65535",
    "2147483647", "999999", "1e20", "1E+30", "-1e31", "9.969209968386869e36", "9.96921e36", "-127",
    "85", "888", "-1", "-99", "-999", "9999", "-77",
]  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_codes_for_nothing(tmp_path, caplog, code):
    """They are named, and are left out by the setting that the message says."""
    cells = [code if n % 5 == 0 else value for n, value in enumerate(values())]
    rows = [(f"s{n % 12}", n // 12, cell) for n, cell in enumerate(cells)]
    said, _, seen = said_of(tmp_path, caplog, "series,time,x", rows)
    (line,) = (each for each in said if "far from all other values" in each)
    assert np.isfinite(seen.values).all()
    setting = line.rpartition("set dataset.missing=")[2]
    marker = setting.strip("[]'")
    said, _, seen = said_of(tmp_path, caplog, "series,time,x", rows, missing=[marker])
    assert not [each for each in said if "far from" in each]
    assert np.nanmax(seen.values) < 30
    assert np.nanmin(seen.values) >= 20


@pytest.mark.parametrize(
    "codes",
    [(-9999, -8888), (-999, 9999), (-99, -999), (-127, 85), (-999.9, 999.9, 85), (-9999, -99)],
)
def test_codes_do_not_hide_each_other(tmp_path, caplog, codes):
    cells = [codes[n % len(codes)] if n % 7 < 2 else value for n, value in enumerate(values())]
    rows = [(f"s{n % 12}", n // 12, cell) for n, cell in enumerate(cells)]
    said, _, _ = said_of(tmp_path, caplog, "series,time,x", rows)
    (line,) = (each for each in said if "far from all other values" in each)
    for code in codes:
        found = line.partition("dataset.missing=")[2]
        assert f"'{code}'" in found or f"'x:{code}'" in found


TWO_OF_A_KIND = [
    (f"s{n % 12}", n // 12, 0 if n % 5 == 0 else 60 + n, n % 2, n % 12 % 2) for n in range(60)
]


def test_a_code_of_one_column_leaves_the_zeros_of_others(tmp_path, caplog):
    """The warning about zeros says what to write, and the other columns keep theirs."""
    head = "series,time,pulse,rain,treated"
    of = {"static_columns": ["treated"], "value_columns": ["pulse", "rain"]}
    said, _, seen = said_of(tmp_path, caplog, head, TWO_OF_A_KIND, **of)
    (line,) = (each for each in said if "are 0, far from all others" in each)
    (setting,) = shlex.split(line.rpartition("or set ")[2])
    assert setting == "dataset.missing=[pulse:0]"
    said, _, left = said_of(tmp_path, caplog, head, TWO_OF_A_KIND, missing=["pulse:0"], **of)
    assert said == []
    assert np.isnan(left.values[:, 0]).sum() == (seen.values[:, 0] == 0).sum() == 12
    assert np.array_equal(left.values[:, 1], seen.values[:, 1])
    assert np.array_equal(left.static, seen.static)


def test_a_code_of_one_variable_of_a_long_table(tmp_path, caplog):
    rows = [(*row[:2], name, x) for row in TWO_OF_A_KIND
            for name, x in zip(("pulse", "rain"), row[2:4], strict=True)]  # fmt: skip
    head = "series,time,variable,value"
    _, columns, seen = said_of(tmp_path, caplog, head, rows, missing=["pulse:0"])
    assert columns.features == ("pulse", "rain")
    assert np.isnan(seen.values[:, 0]).sum() == 12
    assert np.isfinite(seen.values[:, 1]).all()


def test_a_code_that_makes_labels_and_static_columns_unknown(tmp_path, caplog):
    head = "series,time,pulse,rain,treated"
    of = {"static_columns": ["treated"], "value_columns": ["pulse", "rain"]}
    said, _, _ = said_of(tmp_path, caplog, head, TWO_OF_A_KIND, missing=["0"], **of)
    (line,) = (each for each in said if "dataset.missing=[0] makes" in each)
    assert "'treated' unknown in 30 rows" in line
    rows = [(*row[:4], row[4] or -999) for row in TWO_OF_A_KIND]  # a code that is one
    said, _, _ = said_of(tmp_path, caplog, head, rows, missing=["-999"], **of)
    assert not [each for each in said if "makes '" in each]
    of = {"task": "classification", "label_column": "treated"}
    with pytest.raises(DataError, match=r"one class '1'.*cells of dataset.missing have no class"):
        said_of(tmp_path, caplog, head, TWO_OF_A_KIND, missing=["0"], **of)


def test_a_code_of_a_column_that_does_not_exist(tmp_path, caplog):
    head = "series,time,pulse,rain,treated"
    with pytest.raises(DataError, match=r"'puls:0' names no feature.*allowed: pulse"):
        said_of(tmp_path, caplog, head, TWO_OF_A_KIND, missing=["puls:0"])
    rows = [(*row[:2], "Err:502" if n == 7 else row[2], *row[3:])
            for n, row in enumerate(TWO_OF_A_KIND)]  # fmt: skip
    _, _, seen = said_of(tmp_path, caplog, head, rows, missing=["Err:502"])
    assert np.isnan(seen.values[:, 0]).sum() == 1


@pytest.mark.parametrize(
    "numbers",
    [
        values(),
        [99, 98, 97, 99, 96, 95, 99, 100, 94, 93, 92, 99],  # oxygen
        [999, 998, 1013, 1020, 999, 1005, 1001, 1010, 990],  # pressure
        [0, 0, 0, 5, 10, 0, 100, 100, 0, 5],  # doses
        [*range(60), 85, 85, 99, 99],
        [*values(), 35.5, 45.1],  # alone
        [*values(), 97.1, 97.1, 98.2, 98.2, 99.5, 99.5, 98.9, 98.9],  # in another unit
        [round(float(x), 1) for x in np.exp(np.random.default_rng(0).normal(2, 1.5, 300))],
        [0, 1, 0, 1, 1],
        [-5, -1, 0, 3, 8],
        [7.0],
        [],
    ],
)
def test_numbers_that_are_no_codes(numbers):
    assert codes_in(np.array(numbers, dtype=float)) == []


def test_codes_in_static_columns(tmp_path, caplog):
    rows = [(f"s{n}", k, -999 if n % 4 == 0 else 40 + n, "MF"[n % 2], 99.9 if n == 3 else 1.7,
             60 + n * k % 7) for n in range(16) for k in range(4)]  # fmt: skip
    static = ["sex", "age", "size"]
    head = "series,time,age,sex,size,hr"
    said, _, seen = said_of(tmp_path, caplog, head, rows, static_columns=static)
    assert [each for each in said if "'age' is -999 in some rows" in each]
    assert [each for each in said if "'size' is 99.9 in some rows" in each]
    assert not [each for each in said if "'sex'" in each]
    _, _, seen = said_of(
        tmp_path, caplog, head, rows, static_columns=static, missing=["-999", "99.9"]
    )
    assert np.nanmin(seen.static[:, 2]) == 41


LAB = "series,time,Test,Result,Unit,RefLow,RefHigh,Flag"


def lab(units=("mmol/L", "mmol/L")):
    tests = (("K", 4, 3.5, 5.1), ("Na", 139, 135, 145))
    return [
        (f"p{n}", f"2024-03-{10 + k} 08:0{m}", name, value + (n * k % 5) / 10, units[m], low, high,
         "H" if k == 2 else "")
        for n in range(12) for k in range(4) for m, (name, value, low, high) in enumerate(tests)
    ]  # fmt: skip


@pytest.mark.parametrize("units", [("mmol/L", "mmol/L"), ("mmol/L", "mEq")])
def test_a_long_table_with_ranges(tmp_path, caplog, units):
    said, columns, _ = said_of(tmp_path, caplog, LAB, lab(units))
    assert columns.features == ("Result", "RefLow", "RefHigh")
    (line,) = (each for each in said if "as in a long table" in each and "scale" in each)
    words = shlex.split(line.rpartition("set ")[2])
    settings = dict(word.removeprefix("dataset.").split("=") for word in words)
    assert settings == {"variable_column": "Test", "value_column": "Result"}
    said, columns, _ = said_of(tmp_path, caplog, LAB, lab(units), **settings)
    assert columns.features == ("K", "Na")
    assert not [each for each in said if "as in a long table" in each]


def test_units_that_change_within_series(tmp_path, caplog):
    head = "series,time,value_1,value_2,unit"
    rows = [(f"p{n}", k, 5 + n * k % 3, 7 + k * k % 5, ("mg", "mmol")[k % 2])
            for n in range(12) for k in range(4)]  # fmt: skip
    said, _, _ = said_of(tmp_path, caplog, head, rows)
    assert [each for each in said if "'unit' changes within series" in each]
    said, _, _ = said_of(tmp_path, caplog, head, [(*row[:4], "mg") for row in rows])
    assert not [each for each in said if "'unit'" in each]
    said, _, _ = said_of(tmp_path, caplog, head, rows, value_columns=["value_1"])
    assert not [each for each in said if "'unit'" in each]


@pytest.mark.parametrize("name", ["sensor_id", "sensorId", "itemID", "code"])
def test_numbers_that_are_names(tmp_path, caplog, name):
    rows = [(f"m{n}", k + j / 10, q, v + (n * k) % 3) for n in range(12) for k in range(4)
            for j, (q, v) in enumerate(((1, 20), (2, 1500)))]  # fmt: skip
    said, _, _ = said_of(tmp_path, caplog, f"series,time,{name},x", rows)
    (line,) = (each for each in said if "seem to be names" in each)
    assert f"set dataset.variable_column={name} dataset.value_column=x;" in line
    settings = {"variable_column": name, "value_column": "x"}
    said, columns, _ = said_of(tmp_path, caplog, f"series,time,{name},x", rows, **settings)
    assert columns.features == ("1", "2")
    assert not [each for each in said if "seem to be names" in each]


@pytest.mark.parametrize(
    ("head", "cells"),
    [
        ("hr,power,activity", lambda n, k: (60 + 30 * (k % 2), 90 + n, ("sit", "run")[k % 2])),
        ("x,y,mood", lambda n, k: (n * k % 7, 300 * (k % 3), "abc"[(n + k) % 3])),
        ("uric acid,humid,paid", lambda n, k: (4 + k % 3, 50 + n * k % 9, k * k % 4)),
        ("x,y,date", lambda n, k: (10 ** (k % 3), n * k % 5, f"2024-03-0{1 + k % 3}")),
    ],
)
def test_tables_that_are_wide(tmp_path, caplog, head, cells):
    rows = [(f"p{n}", k, *cells(n, k)) for n in range(12) for k in range(6)]
    said, _, _ = said_of(tmp_path, caplog, f"series,time,{head}", rows)
    assert not [each for each in said if "as in a long table" in each]


def iso(hours):
    return f"2024-03-30T{int(hours):02d}:{round(60 * hours) % 60:02d}"


@pytest.mark.parametrize(
    ("time", "again"),
    [
        (iso, lambda t: 3600 * t),
        (iso, lambda t: 1.7e9 + 3600 * t),
        (float, lambda t: round(60 * t)),
        (float, lambda t: round(t / 24, 3)),
        (float, lambda t: 48 - t),
    ],
)
def test_features_that_are_the_time_once_more(tmp_path, caplog, time, again):
    draw = random.Random(0)
    rows = []
    for n in range(12):
        for k in range(5):
            t = 3 * k + round(60 * draw.random()) / 60
            rows.append((f"p{n}", time(t), again(t) if draw.random() < 0.9 else "",
                         round(70 + 5 * draw.random(), 1), round(t / 6)))  # fmt: skip
    said, _, _ = said_of(tmp_path, caplog, "series,time,elapsed,hr,stage", rows)
    (line,) = (each for each in said if "straight lines over the time" in each)
    assert "another start: 'elapsed';" in line
    said, _, _ = said_of(
        tmp_path, caplog, "series,time,elapsed,hr,stage", rows, value_columns=["elapsed", "hr"]
    )
    assert not [each for each in said if "straight lines" in each]


def test_features_that_only_grow_with_the_time(tmp_path, caplog):
    draw = random.Random(0)
    rows = []
    for n in range(12):
        for k in range(6):
            noisy = 10 * k + draw.gauss(0, 1)
            rows.append(
                (f"p{n}", k + n / 9, round(noisy, 2), k * k, (n + 1) * (k + 0.5), 5, k // 3)
            )
    said, _, _ = said_of(tmp_path, caplog, "series,time,noisy,square,own,same,step", rows)
    assert not [each for each in said if "straight lines" in each]


@pytest.mark.parametrize("name", ["Total", "sum", "Summe", "Gesamt", "MEAN", "average", "Mittel"])
def test_a_row_of_totals(tmp_path, caplog, name):
    rows = [(f"s{n}", k, 10 * n + k * k) for n in range(10) for k in range(4)]
    said, _, _ = said_of(tmp_path, caplog, "series,time,x", [*rows, (name, 40, 3500.1)])
    (line,) = (each for each in said if "rather than a series" in each)
    assert "t.csv, line 42: " in line
    assert repr(name) in line
    several = [*rows, (name, 0, 1), (name, 1, 2)]
    said, _, _ = said_of(tmp_path, caplog, "series,time,x", several)
    assert not [each for each in said if "rather than a series" in each]
    said, _, _ = said_of(tmp_path, caplog, "series,time,x", [*rows, (f"{name} 7", 0, 1)])
    assert not [each for each in said if "rather than a series" in each]


@pytest.mark.parametrize(
    ("name", "good", "bad"), [("Quality", "Good", "Bad"), ("hr_qc", 1, 4), ("catflags", 0, 32768)]
)
def test_flags_of_values_are_named(tmp_path, caplog, name, good, bad):
    def rows(flags):
        return [(f"s{n % 6}", n // 6, x, flags[n % 7 == 0]) for n, x in enumerate(values())]

    said, _, _ = said_of(tmp_path, caplog, f"series,time,x,{name}", rows((good, bad)))
    assert [each for each in said if f"{name!r} may say which values are bad" in each]
    said, _, _ = said_of(tmp_path, caplog, f"series,time,x,{name}", rows((good, good)))
    assert not [each for each in said if "may say which values are bad" in each]


@pytest.mark.parametrize("name", ["tracking_error", "air_quality"])
def test_measurements_named_like_flags_are_not_flags(tmp_path, caplog, name):
    rows = [(f"s{n % 6}", n // 6, x, n * 37 % 101) for n, x in enumerate(values())]
    said, _, _ = said_of(tmp_path, caplog, f"series,time,x,{name}", rows)
    assert not [each for each in said if "may say which values are bad" in each]


def test_a_column_that_tells_sensors_apart_is_named_beside_several_features(tmp_path, caplog):
    rows = [(f"s{n % 6}", n // 6, x, x / 100, "gr"[n // 6 % 2]) for n, x in enumerate(values())]
    said, _, _ = said_of(tmp_path, caplog, "series,time,mag,magerr,filter", rows)
    (line,) = (each for each in said if "the words of 'filter' change within series" in each)
    assert "set dataset.variable_column=filter dataset.value_column=mag" in line


@pytest.mark.parametrize(
    ("name", "zones"),
    [("tz_cd", ("EST", "EDT")), ("Time Zone", ("CET", "CEST")), ("utc_offset", (1, 2))],
)
def test_time_zones_in_another_column(tmp_path, caplog, name, zones):
    def said(zone_of, time="2024-03-{:02d} 12:00", head=name):
        rows = [
            (s, time.format(n + 1), value, zone_of(s, n))
            for s in "abcdefgh"
            for n, value in enumerate(values(12))
        ]
        found, _, _ = said_of(tmp_path, caplog, f"series,time,x,{head}", rows)
        return found

    found = said(lambda s, n: zones[n > 8])
    assert f"{name!r} changes within series" in found[0]
    assert "write dates with their offset (2024-03-31 14:05+01:00)" in found[0]
    assert not any("dataset.variable_column" in line for line in found)
    for silent in (
        said(lambda s, n: zones[0]),
        said(lambda s, n: zones[s > "d"]),
        said(lambda s, n: zones[n > 8], time="2024-03-{:02d} 12:00+01:00"),
        said(lambda s, n: zones[n > 8], head="zone"),
    ):
        assert not any("time zone" in line for line in silent)
