"""Cells that people mean as numbers, and programs write otherwise: what is said of them."""

import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.table_cells import numbers_of
from node_experiments.chapters.irregular_series.user_tables.table_format import TableFormat
from node_experiments.data.table_file import TableFile
from node_experiments.errors import DataError


def said_of(tmp_path, cell, others="7.5", title=""):
    rows = [f"p{n // 4:02d};{n % 4};{cell if n % 4 == 1 else others}" for n in range(48)]
    path = tmp_path / "t.csv"
    path.write_text(title + "\n".join(["series;time;x", *rows, ""]))
    with pytest.raises(DataError) as error:
        csv_data(CSVConfig(path=str(path)))
    return str(error.value)


@pytest.mark.parametrize(
    "cell", ["0.30*", "5.1 H", "5.1H", "12 LL", "3.2 (L)", "4 (a)", "*5", "7 High"]
)
def test_flags_of_a_laboratory(tmp_path, cell):
    said = said_of(tmp_path, cell)
    assert f"'x' is {cell!r}, which is a number with a flag or a unit; write the number" in said
    assert "a flag into another column" in said
    assert "dataset.missing" not in said


@pytest.mark.parametrize("cell", ["5.1 mmol/L", "36 C", "10%", "5.1 mg", "12 Hz"])
def test_units_are_said_as_before(tmp_path, cell):
    said = said_of(tmp_path, cell)
    assert (
        "is a number with a unit; write the number alone, and the unit into the column's" in said
    )


@pytest.mark.parametrize(
    ("cell", "size"),
    [
        ("5.2-", "5.2"),
        ("5.2 -", "5.2"),
        ("1.234,50-", "1.234,50"),
        ("(5.2)", "5.2"),
        ("( 12 )", "12"),
        ("(1,234)", "1,234"),
        ("5\u2212", "5"),
    ],
)
@pytest.mark.parametrize("others", ["7.5", "7"])
def test_a_minus_behind_and_brackets_are_no_missing_value(tmp_path, cell, size, others):
    said = said_of(tmp_path, cell, others)
    assert f"if it is one, write the minus before it (-{size}), else write" in said
    assert "dataset.missing" not in said
    frame = pd.DataFrame({"x": [cell]})
    with pytest.raises(DataError, match="the minus before it"):
        numbers_of(TableFile.of(frame), "x", TableFormat())


@pytest.mark.parametrize("cell", ["5-10", "-", "haemolytic", "++", "(see note)", "1+"])
def test_other_cells_are_no_negative_numbers(tmp_path, cell):
    if cell == "-":
        cell = "--x"
    assert "minus before it" not in said_of(tmp_path, cell)


@pytest.mark.parametrize(
    ("cell", "sign"), [("1'234.5", '''"'"'''), ("1 234.5", None), ("1\u00a0234.5", None)]
)
def test_the_sign_of_thousands_is_written_as_a_shell_takes_it(tmp_path, cell, sign):
    wanted = "\"dataset.thousands=' '\"" if sign is None else f"dataset.thousands={sign}"
    assert f"set {wanted};" in said_of(tmp_path, cell)


def test_two_cells_of_a_logger_above_two_columns(tmp_path):
    path = tmp_path / "t.csv"
    rows = "".join(f"{n},{n * n}\n" for n in range(40))
    path.write_text(f"Device:,Logger 3\nSerial:,12345\n\ntime,temp\n{rows}")
    with pytest.raises(DataError) as error:
        csv_data(CSVConfig(path=str(path), series_column=None, window=5))
    assert str(error.value).endswith("t.csv, line 4 to name the columns: remove what is above")
