"""Table 2 from run folders."""

import json
import subprocess
import sys

import yaml

from node_experiments.reports.table2 import table2


def write(folder, model, observations, seed, status="completed", **metrics):
    run = folder / f"{model}_{observations}_{seed}"
    run.mkdir(parents=True)
    config = {
        "dataset": {"name": "spirals", "observations": observations},
        "model": {"name": model},
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


def test_cells_hold_mean_spread_and_count_of_the_best_checkpoints(tmp_path):
    write(tmp_path, "latent_ode", 30, 0, rmse=0.1, rmse_noisy=0.2)
    write(tmp_path, "latent_ode", 30, 1, rmse=0.3, rmse_noisy=0.2)
    write(tmp_path, "latent_ode", 30, 2, status="failed", rmse=99.0)
    write(tmp_path, "rnn_dt", 100, 0, rmse=0.5, rmse_target=0.7, rmse_mean_gap=0.5)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text("{")
    lines = table2(tmp_path).splitlines()
    assert "| latent ODE | 0.200 ± 0.141 (2) | - | - |" in lines
    assert "| RNN with time gaps, from target to target | - | - | 0.700 (1) |" in lines
    assert "| RNN with time gaps, in steps of the mean gap | - | - | 0.500 (1) |" in lines
    assert "| paper: latent ODE | 0.1642 | 0.1502 | 0.1346 |" in lines
    assert any(line.startswith("| latent ODE | 30 | 0.200 ± 0.141 | 0.200 ±") for line in lines)
    tables = [line for line in lines if line.startswith("|")]
    widths = {line.count("|") for line in tables}
    assert widths == {5, 9}


def test_no_runs_make_an_empty_table(tmp_path):
    assert "| latent ODE | - | - | - |" in table2(tmp_path)


def test_it_needs_no_torch(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from node_experiments.reports.table2 import table2\n"
        f"table2(Path({str(tmp_path)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
