"""Several files as one table: their rows, where they came from, and what does not go together."""

from pathlib import Path

import pandas as pd
import pytest

from node_experiments.data.table_files import names_of_files, read_tables
from node_experiments.errors import DataError
from node_experiments.files import matching_files, would_match


def written(folder, **texts):
    paths = []
    for name, text in texts.items():
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text(text)
    return paths


def test_rows_follow_each_other_and_know_their_file(tmp_path):
    paths = written(tmp_path, a="t,x\n0,1.5\n1,2\n", b="x,t\n3,0\n\n4,1\n")
    table = read_tables(paths, "both")
    assert table.names == ["t", "x"]
    assert table.text("t").tolist() == ["0", "1", "0", "1"]
    assert table.text("x").tolist() == ["1.5", "2", "3", "4"]
    assert [table.at(row) for row in (1, 3)] == [f"{paths[0]}, line 3", f"{paths[1]}, line 4"]


def test_a_column_that_a_file_lacks_is_empty_there(tmp_path, caplog):
    paths = written(tmp_path, a="t,x,y\n0,1,2\n", b="t,x\n0,3\n", c="t,x\n1,4\n")
    assert read_tables(paths, "all").text("y").tolist() == ["2", "", ""]
    assert f"'y' is not in 2 of 3 files, such as {paths[1]}, and is empty there" in caplog.text


def test_the_decimal_separator_is_that_of_all_files(tmp_path):
    paths = written(tmp_path, a="t;x\n0;1\n", b="t;x\n0;1,5\n")
    assert read_tables(paths, "both").decimal == ","
    assert read_tables(paths[:1], "one").decimal == "."
    paths = written(tmp_path, a="t;x\n0;1.5\n", b="t;x\n0;1,5\n")
    with pytest.raises(DataError, match=r"b\.csv, line 2\) and with a point .*a\.csv, line 2"):
        read_tables(paths, "both")


def test_what_does_not_go_together_is_rejected(tmp_path):
    paths = written(tmp_path, a="t,x\n0,1\n", b="t;x\n0;1\n", c="t,x,x\n0,1,2\n")
    with pytest.raises(DataError, match=r"b\.csv and .*a\.csv are not of one format"):
        read_tables(paths[:2], "both")
    with pytest.raises(DataError, match=r"c\.csv: the column 'x' occurs more than once"):
        read_tables([paths[0], paths[2]], "both")


def test_files_without_a_row_are_left_out_unless_none_has_one(tmp_path, caplog):
    paths = written(tmp_path, a="", b="t;x;y\n", c="t,x\n0,1\n", d="\n", e="t,x\n1,2\n")
    table = read_tables(paths, "all")
    assert table.text("x").tolist() == ["1", "2"]
    assert table.names == ["t", "x"]
    assert [table.at(row) for row in (0, 1)] == [f"{paths[n]}, line 2" for n in (2, 4)]
    assert caplog.messages == [
        f"all: 3 of 5 files have no row, such as {paths[0]}, and are left out"
    ]
    with pytest.raises(DataError, match=r"b\.csv has no line after"):
        read_tables(paths[:2], "both")
    with pytest.raises(DataError, match=r"a\.csv is empty"):
        read_tables(paths[:1], "one")


def test_typed_files_count_rows_from_the_start_of_each(tmp_path):
    pytest.importorskip("pyarrow", reason="parquet files are read by the extra `parquet`")
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    pd.DataFrame({"t": [0, 1], "x": [1.0, 2.0]}).to_parquet(paths[0])
    pd.DataFrame({"t": [0, 1], "y": [3, 4]}).to_parquet(paths[1])
    table = read_tables(paths, "both")
    assert table.text("x").tolist() == ["1", "2", "", ""]
    assert table.text("y").tolist() == ["", "", "3", "4"]
    assert table.at(3) == f"{paths[1]}, row 1"


def test_names_of_files_tell_them_apart():
    names = names_of_files(list(map(Path, ("x/b.csv", "x/a.csv.gz", "x/b.csv"))))
    assert names == ["b", "a", "b"]
    assert names_of_files([Path("x/1/log.csv"), Path("x/2/log.csv")]) == ["1/log", "2/log"]
    assert names_of_files([Path("log.01"), Path("log.02")]) == ["log.01", "log.02"]
    assert names_of_files([Path("run.2024.csv")]) == ["run.2024"]
    with pytest.raises(DataError, match="have one name, 'a'; rename one"):
        names_of_files([Path("a.csv"), Path("a.txt")])


def test_wildcards_match_files_and_a_file_may_be_named_like_one(tmp_path):
    (lab := tmp_path / "lab").mkdir()
    paths = written(lab, b="t", a="t")
    (lab / "folder.csv").mkdir()
    (lab / ".hidden.csv").write_text("t")
    assert matching_files(lab / "*.csv") == sorted(paths)
    assert matching_files(lab / "?.csv") == sorted(paths)
    assert matching_files(lab / "[b-z].csv") == paths[:1]
    assert matching_files(tmp_path / "**" / "a.csv") == [paths[1]]
    assert matching_files(lab / "x*") == [lab / "x*"]
    (run := tmp_path / "run[1]" / "x y").mkdir(parents=True)
    (other := tmp_path / "run1" / "x y").mkdir(parents=True)
    mine, another = written(run, a="t", b="t"), written(other, c="t")
    assert matching_files(tmp_path / "run[1]" / "*" / "*.csv") == mine
    assert matching_files(tmp_path / "run[1]" / "x y" / "[b-z].csv") == mine[1:]
    assert matching_files(tmp_path / "run[0-9]" / "**" / "*.csv") == another
    assert would_match(run / "new.csv", tmp_path / "run[1]" / "*" / "*.csv")
    assert not would_match(other / "new.csv", tmp_path / "run[1]" / "*" / "*.csv")
    assert would_match(other / "new.csv", tmp_path / "run[0-9]" / "**" / "*.csv")
    literal = lab / "[b].csv"
    literal.write_text("t")
    assert matching_files(literal) == [literal]


def test_brackets_in_the_name_of_a_folder_are_not_wildcards(tmp_path):
    (dated := tmp_path / "runs [2024]").mkdir()
    paths = sorted(written(dated, b="t", a="t"))
    assert matching_files(dated / "*.csv") == paths
    assert matching_files(dated / "[b-z].csv") == paths[1:]
    assert would_match(dated / "new.csv", dated / "*.csv")
    assert not would_match(tmp_path / "runs 2" / "new.csv", dated / "*.csv")
