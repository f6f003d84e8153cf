"""Reading a user's table: what is found of its form, and what is said where it is damaged."""

import bz2
import gzip
import io
import lzma
import zipfile
from dataclasses import replace

import pandas as pd
import pytest

from node_experiments.data.table_file import TableFile, read_table
from node_experiments.errors import DataError

TEXT = "a,b\n1.5,x\n2.5,y\n"


def written(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(text, *names):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, text)
    return packed.getvalue()


def encrypted(archive):
    """A zip file that says so in both its headers."""
    content = bytearray(archive)
    content[content.find(b"PK\3\4") + 6] |= 1
    content[content.find(b"PK\1\2") + 8] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        TEXT.replace(",", ";"),
        TEXT.replace(",", "\t"),
        TEXT.replace(",", "|"),
        "sep=;\r\n" + TEXT.replace(",", ";").replace("\n", "\r\n"),
        "\n" + TEXT + "\n\n",
        "a, b ,\n1.5,x,\n2.5,y,\n",
        '"a","b"\n"1.5","x"\n2.5,"y"\n',
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-32"),
        gzip.compress(TEXT.encode(), mtime=0),  # ids hold it, and are those of all processes
        zipped(TEXT, "t.csv"),
        zipped(TEXT, "t/t.csv", "__MACOSX/._t.csv", "t/", "t/.DS_Store"),
        b"\xef\xbb\xbfa,b,gr\xf6\xdfe\n1.5,x,\n2.5,y,\n".replace(b"gr\xf6\xdfe", b"\xa0"),
        bz2.compress(TEXT.encode()),
        lzma.compress(TEXT.encode()),
        '"sep=;"\n' + TEXT.replace(",", ";"),
        "# of a ward\n" + TEXT,
        TEXT.replace("\n2.5", "\n# later\na,b\n2.5"),
        TEXT.replace("\n", ",,\n") + ",,,\n",
    ],
)
def test_one_table_in_many_forms(tmp_path, content):
    table = read_table(written(tmp_path, content))
    names = [name for name in table.rows.columns if name]
    assert names == ["a", "b"]
    assert table.rows[names].to_numpy().tolist() == [["1.5", "x"], ["2.5", "y"]]
    assert table.decimal == "."


def test_decimals_are_found(tmp_path):
    assert read_table(written(tmp_path, "a;b\n1,5;2\n3,25;4\n")).decimal == ","
    assert read_table(written(tmp_path, 'a,b\n"1,5",2\n')).decimal == ","
    assert read_table(written(tmp_path, "a;b\n1;2\n")).decimal == "."
    assert read_table(written(tmp_path, "a;b\n1.080;2.5\n")).decimal == "."
    assert read_table(written(tmp_path, "a\tb\n1.080\t2\n")).decimal == "."
    for text in ("a;b\n1.080;2\n2.500;3\n", 'a,b\n"1,080",2\n'):  # 1080, or 1.08
        with pytest.raises(DataError, match=r"line 2: '1.080' is a number above a thousand, or"):
            read_table(written(tmp_path, text))
        read_table(written(tmp_path, text), decimal=".")
    with pytest.raises(
        DataError, match=r"with a comma \(.*line 2\) and with a point \(.*line 3\)"
    ):
        read_table(written(tmp_path, "a;b\n1,5;2\n1.5;2\n"))
    assert read_table(written(tmp_path, "a;b\n1,5;2\n1.5;2\n"), decimal=",").decimal == ","


@pytest.mark.parametrize(
    "text", ["a\tb\n939\t2\n{}\t3\n", "a;b\n939;2\n{};3\n", 'a,b\n939,2\n"{}",3\n']
)
@pytest.mark.parametrize("number", ["1,008", "1.008", "-1.208"])
def test_whole_numbers_that_go_on_above_a_thousand(tmp_path, text, number):
    with pytest.raises(DataError, match=rf"line 3: '{number}' is a number above a thousand, or"):
        read_table(written(tmp_path, text.format(number)))
    assert read_table(written(tmp_path, text.format(number)), decimal=number[-4]).rows["a"][1]
    # Whole numbers of another size, and other decimals.
    for other in ("12", "939.5", "200939"):
        read_table(written(tmp_path, text.replace("939", other).format("1.008")), decimal=".")
        if "," not in text[:2]:
            more = f"{other}\t1\n1.008\t2\n"
            assert read_table(written(tmp_path, "a\tb\n" + more)).decimal == "."


@pytest.mark.parametrize(
    ("thousands", "decimal", "cells"),
    [
        (",", ".", ["1,234,567.5", "-12,000", "0.125", "7"]),
        (".", ",", ["1.234.567,5", "-12.000", "0,125", "7"]),
        ("'", ".", ["1'234'567.5", "-12'000", "0.125", "7"]),
        (" ", ",", ["1 234\u00a0567,5", "-12\u202f000", "0,125", "7"]),
        ("_", ".", ["1_234_567.5", "-12_000", "0.125", "7"]),
    ],
)
def test_thousands_that_are_parted(tmp_path, thousands, decimal, cells):
    """What is no number with such a sign is left as it is: a name, a date, other groups."""
    others = [f"a{thousands}000", "01.01.2020", f"12{thousands}34", f"0{thousands}125"]
    text = "".join(f'"{cell}";"{other}"\n' for cell, other in zip(cells, others, strict=True))
    table = read_table(written(tmp_path, "a;b\n" + text), thousands=thousands)
    assert table.decimal == decimal
    plain = [cell.replace(",", ".") for cell in table.rows["a"]]
    assert list(map(float, plain)) == [1234567.5, -12000, 0.125, 7]
    assert table.rows["b"].tolist() == others


def test_a_place_is_the_line_of_the_file(tmp_path):
    table = read_table(written(tmp_path, 'a,b\n1,"two\nlines"\n\n3,x\n'))
    assert table.rows["b"].tolist() == ["two\nlines", "x"]
    assert [table.at(row).rpartition(" ")[2] for row in (0, 1)] == ["3", "5"]
    stated = read_table(written(tmp_path, "sep=;\na;b\n1;2\n"))
    assert stated.at(0).endswith("line 3")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("a,b\n", "no line after the one that names"),
        ("a,b\n1,2\n3\n", "line 3: 1 cells; the first line names 2 columns"),
        ('a,b\n1,"2\n', "is a quotation mark missing"),
        ("a b\n1 2\n", "only one column is found"),
        (b"a,b\n1\x00\xff,2\n", "is not a text file"),
        (gzip.compress(TEXT.encode(), mtime=0)[:20], "is truncated or unreadable"),
        (zipped(TEXT, "a.csv", "b.csv"), "holds 2 files"),
        (encrypted(zipped(TEXT, "a.csv")), "cannot be unpacked here .File 'a.csv' is encrypted"),
        (zipped("", "content.xml", "mimetype"), "is a workbook"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1" + bytes(99),
            "is an Excel workbook; write its table as a CSV",
        ),
        ('{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "is JSON; write its table"),
        ("\n<!DOCTYPE html>\n<p>Not, found", "is a page of HTML"),
        (zipped("", "xl/workbook.xml"), "is a workbook"),
        (TEXT.encode("utf-16-le"), "is not a text file; if it is UTF-16, set dataset.encoding"),
        ("A title\n\n" + TEXT, "line 1: only one column is found in 'A title'"),
    ],
)
def test_what_is_damaged_is_said(tmp_path, content, said):
    with pytest.raises(DataError, match=said) as raised:
        read_table(written(tmp_path, content))
    assert "t.csv" in str(raised.value)


def test_a_missing_file_and_parquet(tmp_path):
    with pytest.raises(DataError, match="is missing"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="truncated or not a parquet file"):
        read_table(written(tmp_path, TEXT, "t.parquet"))
    frame = pd.DataFrame(
        {"series": ["p", "q"], "hr": [1.0, 2.0]}, index=pd.Index([3, 4], name="time")
    )
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").rename(tmp_path / "t.csv")
    table = read_table(tmp_path / "t.csv")
    assert set(table.rows.columns) == {"series", "hr", "time"}
    assert table.at(1).endswith("row 1")


def test_one_column_is_enough_where_it_is_said(tmp_path):
    path = written(tmp_path, "x\n1\n2\n")
    assert read_table(path, single=True).rows["x"].tolist() == ["1", "2"]
    with pytest.raises(DataError, match="only one column"):
        read_table(path)


def test_a_frame_with_an_index_of_a_columns_name():
    frame = pd.DataFrame({"time": [1, 2], 5: [3, 4]}).set_index("time", drop=False)
    rows = TableFile.of(frame).rows
    assert list(rows.columns) == ["time", "5"]
    assert list(TableFile.of(frame.drop(columns="time")).rows.columns) == ["time", "5"]
    assert list(frame.columns) == ["time", 5]  # the user's own is left as it is
    assert list(TableFile.of(pd.DataFrame([[1, 2]], columns=[None, "hr"])).rows) == ["", "hr"]


def test_what_is_left_out_is_counted(tmp_path, caplog):
    read_table(written(tmp_path, "# one\n" + TEXT.replace("\n2.5", "\n# two\na,b\n2.5")))
    assert "lines that start with # are not read: 2" in caplog.text
    assert "lines that repeat the names are not read: 1" in caplog.text


def test_rows_that_look_like_comments_are_counted(tmp_path, caplog):
    assert len(read_table(written(tmp_path, "a,b\n1,x\n#2,y\n")).rows) == 2
    assert "1 rows start with # and have all cells; they are read as data" in caplog.text


def test_an_empty_frame():
    with pytest.raises(DataError, match="the DataFrame has no row"):
        TableFile.of(pd.DataFrame({"series": [], "time": []}))


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)


def test_a_name_with_a_number_sign_is_no_comment(tmp_path):
    assert read_table(written(tmp_path, "a,b\n#1,2\n#2,3\n")).rows["a"].tolist() == ["#1", "#2"]


def test_the_text_of_a_column_is_that_of_its_rows():
    """Also after other rows took their place, and after someone changed the text."""
    table = TableFile.of(pd.DataFrame({"a": [1.0, None], "b": [" x ", b"y"]}))
    text = table.text("a")
    assert text.tolist() == ["1", ""]
    text[0] = "2"
    assert table.text("a").tolist() == ["1", ""]
    assert table.text("b").tolist() == ["x", "y"]
    other = replace(table, rows=table.rows.assign(a=[3, 4]))
    assert other.text("a").tolist() == ["3", "4"]
    assert table.text("a").tolist() == ["1", ""]
