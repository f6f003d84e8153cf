"""Tables whose columns are of Arrow's types, as `dtype_backend="pyarrow"` of pandas gives them."""

import datetime as dt
import decimal
import warnings

import numpy as np
import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.table_cells import parse_numbers
from node_experiments.chapters.irregular_series.user_tables.table_format import TableFormat
from node_experiments.chapters.irregular_series.user_tables.table_times import (
    kind_of_times,
    times_of,
)
from node_experiments.data.table_file import TableFile

pa = pytest.importorskip("pyarrow", reason="parquet files are read by an extra")

NOON = dt.datetime(2024, 3, 1, 12)
# Cells and their type, and how they are read: as text and as a number.
CELLS = {
    "int8": (3, pa.int8(), "3", 3.0),
    "uint64": (2**63 + 1, pa.uint64(), str(2**63 + 1), float(2**63 + 1)),
    "half": (np.float16(1.5), pa.float16(), "1.5", 1.5),
    "double": (36.6, pa.float64(), "36.6", 36.6),
    "whole": (7.0, pa.float64(), "7", 7.0),
    "decimal": (decimal.Decimal("1.50"), pa.decimal128(5, 2), "1.50", 1.5),
    "bool": (True, pa.bool_(), "True", 1.0),
    "string": ("12.5", pa.string(), "12.5", 12.5),
    "large": ("p07", pa.large_string(), "p07", None),
    "bytes": (b"p07", pa.binary(), "p07", None),
    "dictionary": ("p07", pa.dictionary(pa.int32(), pa.string()), "p07", None),
    "numbers": (7, pa.dictionary(pa.int32(), pa.int64()), "7", 7.0),
    "null": (None, pa.null(), "", None),
}
TIMES = {
    "naive": (NOON, pa.timestamp("us"), "date", 1709294400 * 10**9),
    "zoned": (NOON, pa.timestamp("s", "Europe/Berlin"), "zoned", 1709294400 * 10**9),
    "duration": (dt.timedelta(days=1, hours=2), pa.duration("ms"), "clock", 26 * 3600 * 10**9),
    "day": (NOON.date(), pa.date32(), "date", 1709251200 * 10**9),
    "milliseconds": (NOON.date(), pa.date64(), "date", 1709251200 * 10**9),
    "of day": (dt.time(1, 2), pa.time64("us"), "clock", 3720 * 10**9),
    "number": (1.25, pa.float32(), "number", 1.25),
}


def column(cells, kind):
    return pd.Series(pa.array(cells, kind), dtype=pd.ArrowDtype(kind))


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", CELLS)
def test_cells_of_every_type(name):
    cell, kind, text, number = CELLS[name]
    frame = pd.DataFrame({"x": column([cell, None, cell], kind)})
    table = TableFile.of(frame)
    assert isinstance(frame.dtypes["x"], pd.ArrowDtype)  # the user's own is left as it is
    assert table.text("x").tolist() == [text, "", text]
    numbers, bad = parse_numbers(table, "x", TableFormat())
    assert bad.tolist() == [bool(text) and number is None, False, bad[0]]
    assert np.isnan(numbers[1])
    assert number is None or numbers.tolist()[::2] == [number] * 2


@pytest.mark.parametrize("name", TIMES)
def test_times_of_every_type(name):
    cell, kind, expected, time = TIMES[name]
    table = TableFile.of(pd.DataFrame({"time": column([cell, cell], kind)}))
    assert kind_of_times(table, TableFormat()) == expected
    assert times_of(table, TableFormat(), expected).tolist() == [time, time]


def test_two_columns_of_one_name_and_an_index():
    kind = pa.float64()
    frame = pd.DataFrame({"a": column([1.0], kind), "b": column([2.0], kind)})
    frame = frame.set_axis(["a", "a"], axis=1).set_index(pd.Index(column(["p"], pa.string())))
    rows = TableFile.of(frame.rename_axis("series")).rows
    assert rows.to_numpy().tolist() == [["p", 1.0, 2.0]]
    assert not any(isinstance(dtype, pd.ArrowDtype) for dtype in rows.dtypes)


def test_a_parquet_file_is_read_as_one_of_numpys_types(tmp_path):
    rows = [
        (s, t / 4, None if t == 1 else 70.0 + s + t, s % 2 == 0, "MF"[s % 2])
        for s in range(12)
        for t in range(5)
    ]
    frame = pd.DataFrame(rows, columns=["series", "time", "x", "smoker", "sex"])
    read = []
    for name, each in (("n", frame), ("a", frame.convert_dtypes(dtype_backend="pyarrow"))):
        path = tmp_path / f"{name}.parquet"
        each.to_parquet(path)
        data = csv_data(CSVConfig(path=str(path), static_columns=["sex", "smoker"]))
        read.append(data.source[1])
    assert isinstance(pd.read_parquet(path).dtypes["x"], pd.ArrowDtype)
    assert read[0].names == read[1].names == [str(n) for n in range(12)]
    for name in ("times", "values", "static", "offsets"):
        np.testing.assert_array_equal(getattr(read[0], name), getattr(read[1], name))
