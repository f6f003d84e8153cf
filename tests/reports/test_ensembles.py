"""Scores of predictive distributions in closed form, ensembles over seeds, tests over seeds."""

from __future__ import annotations

import doctest
import json
import math

import numpy as np
import pytest
import yaml
from scipy.stats import norm

from node_experiments.cli.report import main
from node_experiments.reports import seed_tests
from node_experiments.reports.mixtures import crps, in_central_interval
from node_experiments.reports.seed_tests import describe_comparison

ONE = np.ones((1, 1))


def test_crps_of_a_gaussian():
    """s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), Gneiting & Raftery 2007, eq. 21."""
    for y, m, s in ((0.0, 0.0, 1.0), (2.0, -1.0, 0.5), (-3.0, 1.0, 4.0)):
        z = (y - m) / s
        exact = s * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / math.sqrt(math.pi))
        assert crps(np.array([y]), m * ONE, s * ONE)[0] == pytest.approx(exact)


def test_crps_of_equal_components_is_that_of_one_and_of_points_the_energy_score():
    values = np.array([0.3, -2.0])
    one = crps(values, np.zeros((1, 2)), np.ones((1, 2)))
    assert crps(values, np.zeros((7, 2)), np.ones((7, 2))) == pytest.approx(one)
    points = np.array([[0.0, 0.0], [1.0, 1.0]])
    found = crps(values, points, np.full((2, 2), 1e-12))
    assert found == pytest.approx([0.5 * 0.3 + 0.5 * 0.7 - 0.25, 2.5 - 0.25])


def test_many_values_are_scored_as_few():
    rng = np.random.default_rng(0)
    values, means = rng.normal(size=5000), rng.normal(size=(3, 5000))
    found = crps(values, means, np.ones((1, 5000)))
    few = crps(values[4990:], means[:, 4990:], np.ones((1, 10)))
    assert found[4990:] == pytest.approx(few)


def test_a_band_holds_its_share():
    values = norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    assert in_central_interval(values, np.zeros((1, 1)), ONE).mean() == pytest.approx(
        0.9, abs=1e-3
    )


def write(folder, seed, means, values=(0.0, 1.0), **settings):
    run = folder / f"{seed}{settings}"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "name": "x", **settings}))
    result = {"status": "completed", "name": "x", "seed": seed, "metrics": {"mse/test": 1.0}}
    (run / "result.json").write_text(json.dumps(result))
    np.savez(
        run / "forecasts.npz",
        values=np.array(values),
        means=np.array([means]),
        std=np.ones(2),
        inside=np.ones(2, bool),
        feature=np.zeros(2, int),
    )


def test_the_errors_of_two_seeds_cancel_in_their_ensemble(tmp_path, capsys):
    write(tmp_path, 0, [1.0, 2.0])
    write(tmp_path, 1, [-1.0, 0.0])
    assert main(["--outputs", str(tmp_path), "ensemble", "x", "--format", "md"]) == 0
    row = capsys.readouterr().out.splitlines()[4]
    assert row.startswith("| x | 2 | 1.0000 ± 0.0000 | 0.0000 |")


def test_seeds_that_were_tested_on_other_values_make_none(tmp_path, capsys):
    write(tmp_path, 0, [1.0, 2.0])
    write(tmp_path, 1, [1.0, 2.0], values=(0.0, 1.5))
    assert main(["--outputs", str(tmp_path), "ensemble", "x", "--format", "md"]) == 0
    assert "tested on different values; no ensemble" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"cut", None])
def test_forecasts_that_cannot_be_read_are_left_out_and_named(tmp_path, capsys, content):
    for seed, means in enumerate(([1.0, 2.0], [-1.0, 0.0], [5.0, 5.0])):
        write(tmp_path, seed, means)
    damaged = sorted(tmp_path.rglob("forecasts.npz"))[-1]
    if content is None:
        np.savez(damaged, values=np.ones(2))
    else:
        damaged.write_bytes(content)
    assert main(["--outputs", str(tmp_path), "ensemble", "x", "--format", "md"]) == 0
    out = capsys.readouterr().out
    assert "| x | 2 | 1.0000 ± 0.0000 | 0.0000 |" in out
    assert f"{damaged.parent}: forecasts.npz is damaged; left out." in out


def test_runs_without_forecasts_are_named(tmp_path, capsys):
    write(tmp_path, 0, [1.0, 2.0])
    next(tmp_path.rglob("forecasts.npz")).unlink()
    assert main(["--outputs", str(tmp_path), "ensemble", "x"]) == 2
    assert "has a forecasts.npz" in capsys.readouterr().err


def test_verdicts_say_better_worse_or_neither():
    assert doctest.testmod(seed_tests).failed == 0
    assert describe_comparison([3.0, 3.1, 3.2], [2.0, 2.0, 2.1], "last value").startswith(
        "worse than"
    )
    assert "not told apart" in describe_comparison([1.0, 3.0, 2.0], [2.0, 2.1, 2.2], "last value")
