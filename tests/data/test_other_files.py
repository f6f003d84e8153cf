"""Files that are no plain table from their first line on: what is said, or how they are read."""

import bz2
import gzip
import io
import tarfile

import pytest

from node_experiments.data.table_file import read_table
from node_experiments.errors import DataError

ROWS = [(f"s{n // 4}", n % 4, n * 1.5) for n in range(40)]
TEXT = "series,time,x\n" + "".join(f"{s},{t},{x}\n" for s, t, x in ROWS)


def written(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def said_of(path, **settings):
    with pytest.raises(DataError) as error:
        read_table(path, **settings)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("quote", ['"', ""])
def test_blanks_between_cells(tmp_path, quote):
    """As write.table of R gives them with row.names=FALSE."""
    head = " ".join(f"{quote}{name}{quote}" for name in ("series", "time", "x"))
    rows = "".join(f"{quote}{s}{quote} {t} {x}\n" for s, t, x in ROWS)
    path = written(tmp_path, f"{head}\n{rows}")
    assert said_of(path).endswith(
        "cells seem to be separated by blanks: set \"dataset.delimiter=' '\""
    )
    table = read_table(path, delimiter=" ")
    assert table.rows.to_numpy().tolist() == [[s, str(t), str(x)] for s, t, x in ROWS]


def test_names_of_rows_as_r_writes_them(tmp_path):
    rows = "".join(f'"{n}" "{s}" {t} {x}\n' for n, (s, t, x) in enumerate(ROWS, 1))
    path = written(tmp_path, f'"series" "time" "x"\n{rows}')
    said = said_of(path)
    assert "\"dataset.delimiter=' '\", and leave out the row names, in R with row.names" in said
    assert "row.names=FALSE" in said_of(path, delimiter=" ")


def test_columns_of_a_fixed_width(tmp_path):
    rows = "".join(f"{s:<6}{t:>4}{x:>8}\n" for s, t, x in ROWS)
    path = written(tmp_path, f"series  time      x\n{rows}")
    assert "set \"dataset.delimiter=' '\"" in said_of(path)
    assert len(read_table(path, delimiter=" ").rows.columns) == 3


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ('a,b\n1,"2\n', None),
        ('"a","b"\n"1" x,"2"\n"3","4"\n', ","),
        ('"a";"b"\n"1"x;"2"\n"3";"4"\n', ";"),
        ('"Subject id" "time"x\n1 2\n', None),
    ],
)
def test_a_damaged_quotation_is_said_as_before(tmp_path, text, sign):
    said = said_of(written(tmp_path, text))
    assert "is a quotation mark missing, or the file cut off?" in said
    assert "delimiter" not in said
    assert sign is None or f"'{sign}' expected" in said


@pytest.mark.parametrize("text", ["A title\n\n" + TEXT, "Report of 2024-01-01\n\n" + TEXT])
def test_a_title_of_words_is_no_line_of_cells(tmp_path, text):
    assert "this line must name the columns (remove a title above it)" in said_of(
        written(tmp_path, text)
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        '{ "a": 1, "b": 2}\n{ "a": 3, "b": 4}\n',
        '{\n "a": [1, 2]\n}',
        '[ { "a": 1, "b": 2 } ]',
        '[\n  {"a": 1}\n]',
        '[["a", "b"], [1, 2]]',
        "\ufeff {}",
        "[]",
    ],
)
def test_json_in_every_form(tmp_path, text):
    assert "t.csv is JSON; write its table as a CSV" in said_of(written(tmp_path, text))


def test_names_in_brackets_are_no_json(tmp_path):
    path = written(tmp_path, TEXT.replace("series", "[series]"))
    assert read_table(path).names == ["[series]", "time", "x"]


def archive(mode, form=tarfile.PAX_FORMAT):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode, format=form) as packed:
        entry = tarfile.TarInfo("a.csv")
        entry.size = len(TEXT)
        packed.addfile(entry, io.BytesIO(TEXT.encode()))
    return content.getvalue()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w:"])
@pytest.mark.parametrize("name", ["t.tar.gz", "t.csv"])
def test_an_archive_is_to_be_unpacked(tmp_path, mode, form, name):
    said = said_of(written(tmp_path, archive(mode, form), name))
    assert "is a tar archive; unpack it" in said
    assert "UTF-16" not in said


def test_an_old_archive_is_known_by_its_name(tmp_path):
    content = archive("w:").replace(b"ustar", bytes(5))
    assert "is a tar archive" in said_of(written(tmp_path, content, "t.tgz"))
    assert "is not a text file; if it is UTF-16" in said_of(written(tmp_path, content, "t.csv"))


@pytest.mark.parametrize("packed", [gzip.compress(TEXT.encode()), bz2.compress(TEXT.encode())])
def test_a_packed_table_is_no_archive(tmp_path, packed):
    assert len(read_table(written(tmp_path, packed, "t.tar.csv.gz")).rows) == 40


@pytest.mark.parametrize("empty", ["\n", "", ";;\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_lines_of_a_logger_above_the_names(tmp_path, empty, delimiter):
    above = f"Device:,Logger 3\nSerial:,12345\n{empty}"
    text = (above + TEXT).replace(",", delimiter).replace(";;", delimiter * 2)
    said = said_of(written(tmp_path, text))
    line = 4 if empty else 3
    assert said.endswith(f"a title, and line {line} to name the columns: remove what is above")
    below = "\n".join(text.split("\n")[line - 1 :])
    assert read_table(written(tmp_path, below)).names == ["series", "time", "x"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a,b\n1,2\n1,2,3\n", 3),
        ("a,b\nx,y\nx,y,z\nx,y\n", 3),  # a delimiter in a cell
        ("a,b\n" + "x,1\n" * 30 + "x,y,z\n1,2,3\n", 32),
    ],
)
def test_a_line_with_more_cells_is_no_line_of_names(tmp_path, text, line):
    said = said_of(written(tmp_path, text))
    assert f"line {line}: 3 cells; the first line names 2 columns" in said
    assert "title" not in said


ABOVE = (
    "#group,false,false,true,false,true,true\n"
    "#datatype,string,long,dateTime:RFC3339,double,string,string\n"
    "#default,_result,,,,,\n"
)
NAMES = ",result,table,_time,_value,_field,host\n"


def block(table, field="temp"):
    rows = range(5)
    return "".join(f",,{table},2024-01-01T0{n}:00:00Z,{20 + n},{field},h{table}\n" for n in rows)


def test_tables_of_influxdb_with_the_same_columns(tmp_path, caplog):
    path = written(tmp_path, "\n".join(ABOVE + NAMES + block(n) for n in range(3)))
    rows = read_table(path).rows
    assert rows["host"].tolist() == [f"h{n}" for n in range(3) for _ in range(5)]
    assert "lines that start with # are not read: 9" in caplog.text
    assert "read as data" not in caplog.text
    one = read_table(written(tmp_path, ABOVE + NAMES + block(0) + block(1))).rows
    assert len(one) == 10


@pytest.mark.parametrize("other", [NAMES.replace("host", "room"), NAMES.replace(",host", "")])
def test_tables_of_influxdb_with_other_columns(tmp_path, other):
    cut = other.count(",") < NAMES.count(",")
    more = ABOVE + other + block(1)
    if cut:
        more = "".join(line.rpartition(",")[0] + "\n" for line in (ABOVE + block(1)).splitlines())
        more = more.replace("#default,_result,,,,\n", f"#default,_result,,,,\n{other}")
    said = said_of(written(tmp_path, ABOVE + NAMES + block(0) + "\n" + more))
    assert "line 14: another table with different columns starts, as in files of InfluxDB" in said
    assert "|> group()" in said


def test_hashtags_are_names_of_series(tmp_path):
    path = written(tmp_path, "tag,n\n#group,1\n#default,2\n#x,3\n")
    assert read_table(path).rows["tag"].tolist() == ["#group", "#default", "#x"]
