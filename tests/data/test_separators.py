"""1,234 is a number above a thousand or one with three decimals: asked where it may be either."""

import pytest

from node_experiments.data.table_file import read_table
from node_experiments.errors import DataError

MESSAGE = "is a number above a thousand, or one with three decimals; set dataset.thousands=','"


def written(tmp_path, cells, delimiter, other="1"):
    path = tmp_path / "t.csv"
    quote = '"' if delimiter == "," else ""
    lines = [delimiter.join([f"{quote}{cell}{quote}", other]) for cell in cells]
    path.write_text("\n".join([f"a{delimiter}b", *lines, ""]))
    return path


@pytest.mark.parametrize("delimiter", [",", "\t", "|"])
@pytest.mark.parametrize(
    "cells",
    [
        ("12", "1,234", "22,345", "56"),
        ("1,200", "1,211", "1,222", "1,233"),
        ("-1,200", "5"),
        ("text", "12,345"),
    ],
)
def test_commas_may_part_thousands(tmp_path, delimiter, cells):
    path = written(tmp_path, cells, delimiter)
    with pytest.raises(DataError) as error:
        read_table(path)
    assert MESSAGE in str(error.value)
    line = next(n for n, cell in enumerate(cells, 2) if "," in cell)
    assert f"line {line}: {cells[line - 2]!r} is" in str(error.value)
    thousands = read_table(path, thousands=",")
    assert thousands.rows["a"].tolist() == [cell.replace(",", "") for cell in cells]
    assert thousands.decimal == "."
    assert read_table(path, decimal=",").rows["a"].tolist() == list(cells)


def test_a_blank_as_delimiter(tmp_path):
    path = written(tmp_path, ("12", "1,234"), " ")
    with pytest.raises(DataError, match="above a thousand"):
        read_table(path, delimiter=" ")


def test_a_column_of_whole_numbers_and_thousands_between_semicolons(tmp_path):
    path = written(tmp_path, ("12", "1,234", "22,345", "56"), ";")
    with pytest.raises(DataError, match=f"line 3: '1,234' {MESSAGE}"):
        read_table(path)
    assert read_table(path, decimal=",").decimal == ","


@pytest.mark.parametrize(
    ("delimiter", "cells"),
    [
        (";", ("0,125", "0,250", "1,375")),
        (";", ("1,234", "2,345", "13,456")),  # three decimals, as a German instrument writes them
        (";", ("1,234", "0", "-999", "13,456")),  # 0 and a code for nothing
        (";", ("12", "1,234", "2,5", "56")),
        (";", ("1500", "12", "1,234")),  # numbers above a thousand have no comma
        ("\t", ("0,125", "1,234", "12")),
        ("\t", ("1,5", "1,234", "12")),
        ("|", ("1,2345", "1,234", "12")),
        ("\t", ("1234,567", "1,234")),
    ],
)
def test_decimal_commas_are_read_without_a_word(tmp_path, delimiter, cells):
    assert read_table(written(tmp_path, cells, delimiter)).decimal == ","


def test_one_column_decides_for_the_others(tmp_path):
    """Where 3,5 is written, 1,234 beside 12 and 56 has decimals."""
    for delimiter in "\t;|":
        path = written(tmp_path, ("12", "1,234", "56"), delimiter, other="3,5")
        assert read_table(path).decimal == ","


def test_points_between_tabs_are_decimals(tmp_path):
    assert read_table(written(tmp_path, ("12", "1.234", "22.345", "56"), "\t")).decimal == "."
