"""Figures 4 and 5 from run folders."""

import json
import subprocess
import sys

import numpy as np
import pytest
import yaml

from node_experiments.chapters.normalizing_flows import (
    figure4,
    figure5,
)
from node_experiments.chapters.normalizing_flows.energies import ENERGIES
from node_experiments.cli.report import main
from node_experiments.runner.compose import configs_folder
from node_experiments.runs import load_runs
from tests.written import markdown


def write(
    folder, dataset, model, units, energy=None, status="completed", panels=True, seed=0, **metrics
):
    run = folder / f"{dataset}_{energy}_{model}_{units}_{seed}"
    run.mkdir(parents=True)
    config = {
        "name": f"{dataset}_{model}",
        "seed": seed,
        "dataset": {"name": dataset, **({"energy": energy} if energy else {})},
        "model": {"name": model, "units": units},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    at_test = {f"{name}/test": value for name, value in metrics.items()}
    at_test |= {"normalization/test": 0.998, "step": 100}
    result = {
        "status": status, "name": config["name"], "metrics": at_test, "best": None,
        "parameters": 1234, "seconds": {"total": 10.0},
    }  # fmt: skip
    (run / "result.json").write_text(json.dumps(result))
    rows = [{**at_test, "step": step} for step in (50, 100)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if panels:
        square = np.arange(100, dtype=np.uint8).reshape(10, 10)
        arrays = {
            "densities": np.stack([square, square]),
            "samples": np.zeros((2, 5, 2), np.float16),
            "untils": np.array([0.5, 1.0]),
            "half_width": np.array(4.0),
            **({"target": square} if energy else {"test": np.ones((5, 2), np.float16)}),
        }
        np.savez_compressed(run / "panels.npz", **arrays)


@pytest.fixture
def runs(tmp_path):
    for energy, better in (("u1", 0.1), ("u2", 0.5)):
        for units in (2, 8):
            write(tmp_path, "energies", "planar_nf", units, energy, kl=0.3, kl_se=0.01)
            write(tmp_path, "energies", "planar_cnf", units, energy, kl=better, kl_se=0.01)
    write(tmp_path, "energies", "planar_nf", 32, "u1", status="failed", kl=9.0, kl_se=0.0)
    ml = {"log_likelihood_se": 0.01, "log_likelihood_true": -2.0}
    write(tmp_path, "two_moons", "planar_nf", 64, log_likelihood=-2.6, **ml)
    write(tmp_path, "two_moons", "planar_cnf", 64, log_likelihood=-2.1, **ml)
    write(tmp_path, "two_circles", "planar_nf", 64, log_likelihood=-2.1, **ml)
    write(tmp_path, "two_circles", "planar_cnf", 64, log_likelihood=-2.11, **ml)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text("{")
    return tmp_path


def test_figure4_table(runs):
    text = markdown(figure4.figure4, runs)
    lines = text.splitlines()
    assert "| U1 | CNF | 0.1000 ± 0.0100 | 0.1000 ± 0.0100 | 100 |" in lines
    assert "| U2 | NF | 0.3000 ± 0.0100 | 0.3000 ± 0.0100 | 100 |" in lines
    assert "it holds in part: the CNF has the lower loss in 2 of 4 cells (U1 with 2; U1" in text
    assert "1 within 0.20 %" in text
    assert {line.count("|") for line in lines if line.startswith("|")} == {6}


def test_figure4_over_seeds(runs, tmp_path):
    """Means and sample standard deviations; a test over seeds decides where there are several."""
    for seed, kl in ((1, 0.2), (2, 0.6)):
        write(runs, "energies", "planar_cnf", 8, "u1", seed=seed, kl=kl, kl_se=0.01)
    text = markdown(figure4.figure4, runs)
    # Of 0.1, 0.2 and 0.6 the mean is 0.3, the deviation 0.2646 and the error of the mean 0.1528.
    assert "| U1 | CNF | 0.1000 ± 0.0100 | 0.3000 ± 0.2646 (3) | 100 |" in text.splitlines()
    assert "mean ± sample standard deviation (number of seeds)" in text
    assert "not told apart (U1 with 8)" in text
    assert "Integrals of the 10 densities" in text
    assert "number of seeds" not in markdown(figure5.figure5, runs)
    cell = figure4.drawn(load_runs(runs))["u1"]["planar_cnf", 8]
    assert cell["kl_se"] == pytest.approx(0.07**0.5 / 3**0.5)
    assert cell["curve"] == [(50, pytest.approx(0.3)), (100, pytest.approx(0.3))]


def test_a_gap_that_one_run_shows_may_be_of_its_seed(runs):
    for seed, near in ((1, 0.01), (2, 0.02)):
        for units, kl in ((2, 0.3), (8, 0.3 * 10**seed)):
            write(runs, "energies", "planar_nf", units, "u1", seed=seed, kl=kl + near, kl_se=0.01)
            write(
                runs, "energies", "planar_cnf", units, "u1", seed=seed, kl=0.1 + near, kl_se=0.01
            )
    text = markdown(figure4.figure4, runs)
    assert "the CNF has the lower loss in 1 of 4 cells (U1 with 2) and the higher one in 2" in text
    assert "in 1 the two are not told apart (U1 with 8) (Welch's t-test over seeds" in text


def test_figure5_over_seeds(runs):
    for seed, value in ((1, -2.3), (2, -2.5)):
        write(
            runs, "two_moons", "planar_cnf", 64, seed=seed, log_likelihood=value,
            log_likelihood_se=0.01,
        )  # fmt: skip
    text = markdown(figure5.figure5, runs)
    assert "| -2.300 ± 0.200 (3) |" in text
    # 0.3 above with an error of 0.2 / sqrt(3) and 0.01
    assert "this holds: the CNF is 0.300 nats per point above the NF" in text
    write(runs, "two_moons", "planar_nf", 64, seed=1, log_likelihood=-2.0, log_likelihood_se=0.01)
    assert "two_moons: the paper sees the NF in trouble here; this does not show" in (
        markdown(figure5.figure5, runs)
    )


def test_all_four_energies_are_in_the_sweep():
    sweep = yaml.safe_load((configs_folder() / "sweep" / "figure4.yaml").read_text())
    assert sweep["hydra"]["sweeper"]["params"]["dataset.energy"] == ",".join(sorted(ENERGIES))


def test_figure5_table(runs):
    text = markdown(figure5.figure5, runs)
    assert "| two_moons | CNF | 64 | 1,234 | 100 | -2.100 ± 0.010 | -2.000 | 0.9980 |" in text
    assert "this holds: the CNF is 0.500 nats per point above the NF" in text
    assert "two_circles: both are within two standard errors (-0.010 nats per point)" in text


@pytest.mark.parametrize("figure", ["figure4", "figure4_curves", "figure5"])
def test_figures_are_drawn(runs, figure, tmp_path, capsys):
    target = tmp_path / "drawn.png"
    assert main(["figure", figure, str(runs), "--to", str(target)]) == 0
    assert target.stat().st_size > 5_000


@pytest.mark.parametrize(("panels", "columns"), [(figure4.panels, 6), (figure5.panels, 3)])
def test_coordinates_have_numbers_in_the_last_row_alone(runs, panels, columns):
    axes = panels(load_runs(runs), "").axes
    shown = [axis.xaxis.get_tick_params()["labelbottom"] for axis in axes[::columns]]
    assert shown == [False] * (len(shown) - 1) + [True]


def test_without_runs_there_is_a_table_and_no_figure(tmp_path, capsys):
    write(tmp_path, "two_moons", "planar_nf", 64, panels=False, log_likelihood=-1.0)
    assert figure4.figure4(load_runs(tmp_path)).frame.empty
    assert main(["figure4", "--outputs", str(tmp_path)]) == 2
    assert "there is no completed run for figure4" in capsys.readouterr().err
    for figure in ("figure4", "figure5"):
        assert main(["figure", figure, str(tmp_path), "--to", str(tmp_path / "x.png")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"node-run sweep={figure}" in line


def test_it_needs_no_torch(runs):
    script = (
        "import sys; from pathlib import Path\n"
        "from node_experiments.cli.report import main\n"
        f"main(['figure', 'figure5', {str(runs)!r}, '--to', {str(runs / 'b.png')!r}])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
    assert len(load_runs(runs)) == 14
