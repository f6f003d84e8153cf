"""Settings that messages propose, pasted into a shell."""

import re
import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.shell_settings import (
    setting,
    setting_of_list,
)
from node_experiments.chapters.irregular_series.user_tables.training_table import (
    read_training_table,
)
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.errors import DataError

NAMES = [
    "zeit", "time of day", "Zeit (h)", "größe", "'series'", "it's", '"id"', "a,b", "a=b", "t[s]",
    "1e5", "12", "null", "True", "a:b", "$HOME", "`ls`", "a\\b", "\\'", "back\\", "a!b", "#", "°C",
    "1.#QNAN", "{a}", "a;b", " a ", "~a", "5%", "x/y", "a b'c\"d",
]  # fmt: skip


def pasted(text):
    """Values of the settings, as the shell and Hydra read them."""
    found = subprocess.run(
        ["/bin/sh", "-c", f"printf '%s\\n' {text}"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [str_of(each.value()) for each in OverridesParser.create().parse_overrides(found)]


def str_of(value):
    return [str_of(item) for item in value] if isinstance(value, list) else getattr(
        value, "text", value
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_proposed_name_arrives_as_it_is_written(name):
    assert pasted(setting("time_column", name)) == [name]


def test_proposed_lists_arrive_as_they_are_written():
    names = [name for name in NAMES if name not in ("1e5", "12", "null", "True", " a ")]
    assert pasted(setting_of_list("missing", names)) == [names]


def test_columns_in_quotes_are_read_with_the_proposed_settings(tmp_path):
    table = "series,time,hr\n" + "".join(f"p{n % 3},{n // 3},{n % 5}\n" for n in range(30))
    quoted = re.sub(r"[^,\n]+", lambda m: f"'{m[0]}'", table.splitlines()[0])
    (tmp_path / "t.csv").write_text("\n".join([quoted, *table.splitlines()[1:], ""]))
    config = CSVConfig(path=str(tmp_path / "t.csv"))
    with pytest.raises(DataError) as error:
        read_training_table(read_user_table(config), config)
    series, time = pasted(str(error.value).partition("; try ")[2])
    config = CSVConfig(path=config.path, series_column=series, time_column=time)
    assert read_training_table(read_user_table(config), config)[2].names == ["p0", "p1", "p2"]
