"""Words that say that nothing is there, and are names as well: Na, nil, NA."""

from pathlib import Path

import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.table_cells import (
    is_missing_name,
    variables_of,
    words_for_unknown,
)
from node_experiments.chapters.irregular_series.user_tables.table_format import TableFormat
from node_experiments.data.table_file import TableFile, read_table
from node_experiments.errors import DataError


def table_of(tmp_path, rows, head):
    path = tmp_path / "t.csv"
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows), ""]))
    return str(path)


def long_table(tmp_path, **variables):
    """Twelve series of four times, with a value of each variable."""
    rows = [
        (f"p{s:02d}", t, name, value(s, t))
        for s in range(12)
        for t in range(4)
        for name, value in variables.items()
    ]
    return table_of(tmp_path, rows, "series,time,variable,value")


def static_table(tmp_path, cell, head="series,time,region,x"):
    rows = [(f"p{s:02d}", t, cell(s, t), 70 + s + t) for s in range(12) for t in range(4)]
    return table_of(tmp_path, rows, head)


@pytest.mark.parametrize("name", ["Na", "nil", "none", "missing"])
@pytest.mark.parametrize("named", [True, False])
def test_a_variable_is_called_as_missing_cells_are(tmp_path, name, named):
    path = long_table(tmp_path, **{name: lambda s, t: 138 + s, "K": lambda s, t: 4 + t / 10})
    given = {"value_columns": [name, "K"]} if named else {}
    data = csv_data(CSVConfig(path=path, **given))
    _, seen, _ = data.source
    place = data.features.index(name)
    assert seen.values[:4, place].tolist() == [138.0] * 4
    assert seen.values[:4, 1 - place].tolist() == pytest.approx([4.0, 4.1, 4.2, 4.3])


def test_values_that_are_missing_stay_so_beside_sodium(tmp_path):
    path = long_table(tmp_path, Na=lambda s, t: "NA" if t == 1 else 138, K=lambda s, t: 4)
    data = csv_data(CSVConfig(path=path))
    assert data.features == ("K", "Na")
    assert pd.isna(data.source[1].values[1, 1])


def test_a_variable_of_a_later_table_that_may_be_missing(tmp_path):
    """It is left out without a value."""
    path = long_table(tmp_path, K=lambda s, t: 4 + t)
    schema, _, _ = csv_data(CSVConfig(path=path)).source
    path = Path(long_table(tmp_path, NULL=lambda s, t: "", K=lambda s, t: 4 + t))
    assert schema.read(read_table(path)).values[:4, 0].tolist() == [4, 5, 6, 7]
    path = Path(long_table(tmp_path, NULL=lambda s, t: 1.5, K=lambda s, t: 4 + t))
    with pytest.raises(DataError, match="line 2: 'variable' is 'NULL', which is read as missing"):
        schema.read(read_table(path))
    path = Path(long_table(tmp_path, Cl=lambda s, t: "", K=lambda s, t: 4 + t))
    with pytest.raises(DataError, match="'Cl', which was not there when the model was trained"):
        schema.read(read_table(path))


@pytest.mark.parametrize("empty", ["", "-", "?", "nan"])
def test_a_value_without_a_variable_is_said(tmp_path, empty):
    path = long_table(tmp_path, **{empty: lambda s, t: 1.0, "K": lambda s, t: 4})
    with pytest.raises(DataError, match="line 2: 'variable' is empty; every value needs its"):
        csv_data(CSVConfig(path=path))


def test_codes_of_values_are_names_of_variables():
    names = ["NA", "K", "7", None, "-", "K", "Na", "null"]
    values = ["138", "4", "1", "1", "1", "", "", "?"]  # a row without a value may have no name
    table = TableFile.of(pd.DataFrame({"variable": names, "value": values}))
    assert variables_of(table, "variable", "value", TableFormat()) == ("7", "K", "NA", "Na")


def test_sodium_is_a_class_and_what_was_said_to_be_missing_is_none():
    words = pd.Series(["Na", "NA", "na", "K", "nil", ""])
    found = is_missing_name(words, TableFormat()).tolist()
    assert found == [False, True, True, False, False, True]
    assert is_missing_name(words, TableFormat(missing=("Na",)))[0]
    assert words_for_unknown(words, TableFormat()) == ["NA", "na"]
    assert words_for_unknown(words, TableFormat(missing=("NA", "na"))) == []


def test_a_category_that_counts_as_unknown_is_said(tmp_path, caplog):
    path = static_table(tmp_path, lambda s, t: ["NA", "EU", "AS"][s % 3])
    csv_data(CSVConfig(path=path, static_columns=["region"]))
    said = [each for each in caplog.records if "counts as unknown" in each.message]
    assert [each.levelname for each in said] == ["WARNING"]
    assert "'NA' of 'region' counts as unknown (rows: 16); if it is a name" in caplog.text


def test_it_is_no_warning_where_all_columns_write_na(tmp_path, caplog):
    path = static_table(tmp_path, lambda s, t: ["NA", "EU", "AS"][s % 3])
    text = (tmp_path / "t.csv").read_text().replace("p03,1,NA,74", "p03,1,NA,NA")
    (tmp_path / "t.csv").write_text(text)
    caplog.set_level("INFO")
    csv_data(CSVConfig(path=path, static_columns=["region"]))
    assert [r.levelname for r in caplog.records if "as unknown" in r.message] == ["INFO"]
    caplog.clear()
    empty = static_table(tmp_path, lambda s, t: ["", "EU", "AS"][s % 3])
    csv_data(CSVConfig(path=empty, static_columns=["region"]))
    assert "counts as unknown" not in caplog.text


def test_one_class_beside_na_is_said(tmp_path):
    path = static_table(tmp_path, lambda s, t: ["NA", "yes"][s % 2])
    settings = CSVConfig(path=path, label_column="region", task="classification")
    with pytest.raises(
        DataError, match=r"the one class 'yes'.*; 'NA' counts as unknown: if it is"
    ):
        csv_data(settings)
    path = static_table(tmp_path, lambda s, t: ["", "yes"][s % 2])
    with pytest.raises(DataError, match=r"at least two are needed$"):
        csv_data(settings)


def test_variables_of_words_are_named(tmp_path):
    """With the setting that leaves them out, and which is enough."""
    word = {"PCR": lambda s, t: ["positive", "negative"][t % 2], "Blut im U": lambda s, t: "++"}
    path = long_table(tmp_path, CRP=lambda s, t: 8 + t, **word, Hb=lambda s, t: 12.5 + t)
    with pytest.raises(DataError) as error:
        csv_data(CSVConfig(path=path))
    said = str(error.value)
    assert "line 3: the values of 'Blut im U', 'PCR' are words ('++', 'negative', 'pos" in said
    assert said.endswith("set 'dataset.value_columns=[CRP,Hb]'")
    assert csv_data(CSVConfig(path=path, value_columns=["CRP", "Hb"])).features == ("CRP", "Hb")
    with pytest.raises(DataError, match=r"the values of 'PCR' are words .*=\[Hb\]'$"):
        csv_data(CSVConfig(path=path, value_columns=["PCR", "Hb"]))


@pytest.mark.parametrize("cell", ["<0.5", "5.1 mg"])
def test_a_variable_of_limits_or_with_units_is_no_one_of_words(tmp_path, cell):
    path = long_table(tmp_path, CRP=lambda s, t: 8 + t, Tn=lambda s, t: cell)
    with pytest.raises(DataError, match=f"'value' is '{cell}', which is a"):
        csv_data(CSVConfig(path=path))


def test_a_word_among_the_numbers_of_a_variable_is_said_as_before(tmp_path):
    path = long_table(tmp_path, CRP=lambda s, t: "haemolytic" if t else 8, Hb=lambda s, t: 12)
    with pytest.raises(DataError, match=r"'haemolytic', which is not a number;.*dataset\.missing"):
        csv_data(CSVConfig(path=path))
