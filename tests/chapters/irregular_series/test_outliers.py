"""Single values that are far from all others, in training series or in others."""

import logging
import random

import numpy as np
import pytest

from node_experiments.chapters.irregular_series.csv_series import csv_data
from node_experiments.chapters.irregular_series.settings import CSVConfig


def said_of(tmp_path, caplog, cells, **settings):
    """Warnings of values of ten series in turn, and the measurements."""
    rows = "".join(f"s{n % 10},{n // 10},{cell}\n" for n, cell in enumerate(cells))
    (tmp_path / "t.csv").write_text(f"series,time,hr\n{rows}")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        data = csv_data(CSVConfig(path=str(tmp_path / "t.csv"), **settings))
    return [r.getMessage() for r in caplog.records if "far from its other" in r.getMessage()], data


def pulses(number=120):
    draw = random.Random(0)
    return [f"{draw.uniform(70, 90):.1f}" for _ in range(number)]


def test_an_outlier_of_training_is_said_to_raise_the_scale(tmp_path, caplog):
    """A lost decimal point hides the errors of all other values."""
    counts = {"raises its standard": 0, "is in no training series": 0}
    for series in range(10):
        cells = pulses()
        cells[30 + series] = "8050"
        (line,), data = said_of(tmp_path, caplog, cells)
        assert "'hr' is far from its other values (81." in line
        assert f"at 8050 ({tmp_path}/t.csv, line {32 + series})" in line
        (effect,) = (each for each in counts if each in line)
        counts[effect] += 1
        assert (effect == "raises its standard") == (data.scaling.scale[0] > 100)
        if f"s{series}" in data.test_names:
            assert "is in no training series, and raises the errors of this feature" in line
        assert np.nanmax(data.source[1].values) == 8050  # it is kept
    assert counts == {"raises its standard": 7, "is in no training series": 3}


def test_the_factor_is_that_of_the_training_series(tmp_path, caplog):
    cells = pulses()
    cells[30:33] = ["8050", "7990", "-8100"]
    (line,), data = said_of(tmp_path, caplog, cells, task="interpolation")
    factor = float(line.partition("by a factor of ")[2].partition(",")[0])
    learned = data.scaling.undo(data.train.data.target.values.double()).numpy()
    clean = learned[np.abs(learned) < 1000]
    assert factor == pytest.approx(learned.std() / clean.std(), rel=1e-2)


def test_outliers_of_overlapping_windows_are_counted_once(tmp_path, caplog):
    draw = random.Random(0)
    cells = [f"{draw.uniform(70, 90):.1f}" for _ in range(400)]
    cells[40:43] = ["8050", "7990", "-8100"]
    (line,), _ = said_of(tmp_path, caplog, cells, window=4.0, task="interpolation")
    assert "raises its standard deviation" in line
    assert all(f" ({tmp_path}/t.csv, line {n})" in line for n in (42, 43, 44))


@pytest.mark.parametrize("tail", ["lognormal", "exponential", "student", "counts", "bursts"])
def test_values_with_long_tails_are_no_outliers(tmp_path, caplog, tail):
    rng = np.random.default_rng(0)
    drawn = {
        "lognormal": lambda: np.exp(1.5 * rng.standard_normal(240)),
        "exponential": lambda: rng.exponential(size=240),
        "student": lambda: rng.standard_t(3, size=240),
        "counts": lambda: rng.poisson(0.3, size=240),
        "bursts": lambda: rng.random(240) + 100 * (rng.random(240) < 0.05),
    }[tail]
    for _ in range(5):
        said, _ = said_of(tmp_path, caplog, [f"{x:.3f}" for x in drawn()])
        assert not said
