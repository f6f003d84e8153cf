"""Times with more digits than a double holds."""

import numpy as np
import pandas as pd
import pytest

from node_experiments.chapters.irregular_series.settings import CSVConfig
from node_experiments.chapters.irregular_series.user_tables.training_table import (
    read_training_table,
)
from node_experiments.chapters.irregular_series.user_tables.user_table import read_user_table
from node_experiments.data.table_file import TableFile
from node_experiments.errors import DataError

START = 1711893600000000000  # nanoseconds since 1970


def read(tmp_path, times, **settings):
    """Measurements of three series with these times, given as text."""
    rows = "".join(f"{s};{time};{n % 4}\n" for s in "abc" for n, time in enumerate(times))
    (tmp_path / "t.csv").write_text(f"series;time;hr\n{rows}")
    config = CSVConfig(path=str(tmp_path / "t.csv"), **settings)
    return read_training_table(read_user_table(config), config)[2]


@pytest.mark.parametrize(
    "times",
    [
        [f"{START + 1003 * n}" for n in range(9)],
        [f"{START + 1003 * n}.0" for n in range(9)],
        [f"{START + 1003 * n}" + ".0" * (n == 8) for n in range(9)],
        [f"{START + 1003 * n}" + "e0" * (n == 3) for n in range(9)],
        [f"1.711893600{100003 * n:09d}e18" for n in range(9)],
        [f"-{START + 1003 * n}" for n in range(9)],
        [f"\u2212{START + 1003 * n}.0" for n in range(9)],
        [f"{START + 1003 * n},0" for n in range(9)],
        [f"{63847000000000000 + 7 * n}" for n in range(9)],
        [f"{63847000000000000 + 7 * n}.5" for n in range(9)],
    ],
    ids=["whole", "point", "one", "exponent", "scientific", "negative", "minus", "comma", "gps",
         "half"],
)  # fmt: skip
def test_numbers_above_2_to_53_keep_all_digits_or_are_rejected(tmp_path, times):
    with pytest.raises(DataError, match=r"line \d+: the time \S+ is above 2\^53"):
        read(tmp_path, times)


@pytest.mark.parametrize("step", [700, 5000])
def test_fractions_of_seconds_since_1970_that_matter_are_rejected(tmp_path, step):
    times = [f"1711893600.{step * n + n * n:09d}" for n in range(9)]
    with pytest.raises(DataError, match=r"has more digits than .* and rows are .*e-0[67] apart"):
        read(tmp_path, times)


@pytest.mark.parametrize(
    "times",
    [
        [f"1711893600.{7 * n:06d}" for n in range(9)],  # microseconds, which a double tells apart
        [f"{1711893600 + n}.123456789" for n in range(9)],  # an error of 1e-7 s in seconds
        [repr(float(START + 1003 * n)) for n in range(9)],  # written by a program, from doubles
        [f"{float(START + 1024 * n):.6f}" for n in range(9)],
        [f"{START + 1024 * n}" for n in range(9)],
        [f"{0.1 * n:.25f}" for n in range(9)],
        [repr(0.1 * n) for n in range(9)],
    ],
    ids=["microseconds", "seconds", "doubles", "decimals", "multiples", "long", "noise"],
)
def test_digits_that_do_not_matter_are_read(tmp_path, times):
    seen = read(tmp_path, times)
    exact = np.array([float(time) for time in times])
    np.testing.assert_array_equal(seen.times[:9], exact - exact[0])


def test_doubles_of_a_data_frame_have_no_further_digits():
    times = np.array([float(START + 1003 * n) for n in range(20)])
    frame = pd.DataFrame({"series": ["a", "b"] * 10, "time": times, "hr": np.arange(20.0) % 3})
    config = CSVConfig()
    for cells in (times, times.astype(object)):
        seen = read_training_table(TableFile.of(frame.assign(time=cells)), config)[2]
        assert len(seen.times) == 20


def test_whole_numbers_of_a_data_frame_are_rejected_too():
    times = START + 1003 * np.arange(20)
    frame = pd.DataFrame({"series": ["a", "b"] * 10, "time": times, "hr": np.arange(20.0) % 3})
    with pytest.raises(DataError, match=r"row 1: the time 1711893600000001003 is above 2\^53"):
        read_training_table(TableFile.of(frame), CSVConfig())
