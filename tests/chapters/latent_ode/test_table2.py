"""Table 2 from run folders."""

import json
import subprocess
import sys

import yaml

from node_experiments.chapters.latent_ode.table2 import (
    details,
    table2,
)
from node_experiments.cli.report import main
from tests.written import markdown


def write(folder, model, observations, seed, status="completed", epochs=60, latent=4, **metrics):
    run = folder / f"{model}_{observations}_{seed}_{epochs}"
    run.mkdir(parents=True)
    config = {
        "mode": "train",
        "seed": seed,
        "protocol": "quick",
        "dataset": {"name": "spirals", "observations": observations, "noise": 0.1},
        "model": {"name": model, "latent": latent},
        "trainer": {"epochs": epochs},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    at_test = {f"{name}/test": value for name, value in metrics.items()}
    result = {
        "status": status,
        "metrics": {name: 9.0 for name in at_test},
        "best": at_test | {"by": "rmse/validation"},
        "seconds": {"total": 10.0},
    }
    (run / "result.json").write_text(json.dumps(result))


def fill(folder):
    write(folder, "latent_ode", 30, 0, rmse=0.1, rmse_noisy=0.2)
    write(folder, "latent_ode", 30, 1, rmse=0.2, rmse_noisy=0.2)
    write(folder, "latent_ode", 30, 2, status="failed", rmse=99.0)
    write(folder, "latent_ode", 50, 0, rmse=0.4)
    write(folder, "rnn", 30, 0, rmse=0.04, rmse_target=0.7, rmse_mean_gap=0.04)
    write(folder, "rnn_dt", 30, 0, rmse=0.15, rmse_target=0.6, rmse_mean_gap=0.15)
    write(folder, "rnn_dt", 100, 0, rmse=0.5, rmse_target=0.7, rmse_mean_gap=0.5)
    (folder / "broken").mkdir()
    (folder / "broken" / "result.json").write_text("{")


def test_cells_hold_mean_spread_and_count_of_the_best_checkpoints(tmp_path):
    fill(tmp_path)
    lines = markdown(table2, tmp_path).splitlines()
    assert "| latent ODE | 0.150 ± 0.071 (2) | 0.400 (1) | - |" in lines
    target = "| RNN with time gaps, from target to target | 0.600 (1) | - | 0.700 (1) |"
    assert target in lines
    assert "| RNN, in steps of the mean gap | 0.040 (1) | - | - |" in lines
    assert "| paper: latent ODE | 0.1642 | 0.1502 | 0.1346 |" in lines
    assert {line.count("|") for line in lines if line.startswith("|")} == {5}
    other = markdown(details, tmp_path).splitlines()
    assert any(line.startswith("| latent ODE | 30 | 0.150 ± 0.071 | 0.200 ±") for line in other)
    assert {line.count("|") for line in other if line.startswith("|")} == {9, 4}
    assert other[-3:] == [
        "| 30 observations | 0.100 | 0.200 |",
        "| 50 observations | 0.400 | - |",
        "| 100 observations | - | - |",
    ]


def test_the_verdict_is_that_of_the_numbers(tmp_path):
    fill(tmp_path)
    write(tmp_path, "rnn", 30, 1, rmse=0.06, rmse_target=0.7, rmse_mean_gap=0.06)
    write(tmp_path, "rnn_dt", 30, 1, rmse=0.16, rmse_target=0.6, rmse_mean_gap=0.16)
    report = markdown(table2, tmp_path)
    assert (
        "- 30 observations: the latent ODE is within the spread of the paper's 0.1642; "
        "below RNN, forecast from target to target; below RNN with time gaps, from target to "
        "target; above RNN, in steps of the mean gap; within the spread of RNN with time gaps, in "
        "steps of the mean gap.\n"
    ) in report
    assert "- 50 observations" not in report, "one run tells nothing"
    assert "- 100 observations" not in report


def test_unlike_runs_are_not_mixed_and_a_seed_counts_once(tmp_path):
    fill(tmp_path / "one")
    write(tmp_path / "two", "latent_ode", 30, 1, rmse=0.3)
    write(tmp_path / "two", "latent_ode", 30, 0, epochs=2, rmse=9.0)
    write(tmp_path / "two", "latent_ode", 30, 7, latent=64, rmse=9.0)
    report = markdown(table2, tmp_path)
    assert "| latent ODE | 0.200 ± 0.141 (2) |" in report
    assert "other settings, or repeated, not shown: 3." in report


def test_the_command(tmp_path, capsys):
    fill(tmp_path)
    for arguments in (["table2"], ["table", "table2"]):
        assert main(["--outputs", str(tmp_path), *arguments, "--format", "md"]) == 0
        assert capsys.readouterr().out == markdown(table2, tmp_path)


def test_no_runs_make_an_empty_table(tmp_path):
    assert "| latent ODE | - | - | - |" in markdown(table2, tmp_path)


def test_it_needs_no_torch(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from node_experiments.chapters.latent_ode.table2 import table2\n"
        "from node_experiments.runs import load_runs\n"
        f"table2(load_runs({str(tmp_path)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
