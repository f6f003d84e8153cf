"""Table 2 from run folders."""

import json

import pytest
import yaml

from node_experiments.chapters.latent_ode.table2 import details, table2
from node_experiments.cli.report import main
from tests.written import markdown


def write(
    folder,
    model,
    observations,
    seed,
    status="completed",
    epochs=60,
    latent=4,
    last=None,
    protocol="quick",
    **metrics,
):
    run = folder / f"{model}_{observations}_{seed}_{epochs}_{protocol}"
    run.mkdir(parents=True)
    config = {
        "mode": "train",
        "seed": seed,
        "protocol": protocol,
        "dataset": {"name": "spirals", "observations": observations, "noise": 0.1},
        "model": {"name": model, "latent": latent},
        "trainer": {"epochs": epochs},
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    at_test = {f"{name}/test": value for name, value in metrics.items()}
    result = {
        "status": status,
        "metrics": {name: 9.0 if last is None else last for name in at_test}
        | {"step": 100 * epochs},
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
    assert "| latent ODE | 0.200 (1) | 0.400 (1) | - |" in lines
    target = "| RNN with time gaps, from target to target | 0.600 (1) | - | 0.700 (1) |"
    assert target in lines
    assert "| RNN, in steps of the mean gap | 0.040 (1) | - | - |" in lines
    assert "| paper: latent ODE | 0.1642 | 0.1502 | 0.1346 |" in lines
    assert {line.count("|") for line in lines if line.startswith("|")} == {5}
    told = "not decided by these seeds (1 and 1 are too few): 0.200 and 0.040 | - | - |"
    assert f"| RNN, in steps of the mean gap | {told}" in lines
    assert "- Runs on spirals that did not complete, not counted: 1 failed." in lines
    other = markdown(details, tmp_path).splitlines()
    assert any(
        line.startswith("| latent ODE | 30 | 0.200 |") for line in other
    )  # seed 0: chosen by its test error
    assert {line.count("|") for line in other if line.startswith("|")} == {8, 4}
    assert other[-3:] == [
        "| 30 observations | 0.100 | 0.200 |",
        "| 50 observations | 0.400 | - |",
        "| 100 observations | - | - |",
    ]


def test_an_outlier_among_the_seeds_does_not_hide_a_difference(tmp_path):
    """All five latent ODEs are worse than all five RNNs; their mean ± deviations overlap."""
    latent = [0.11, 0.102, 0.069, 0.401, 0.119]
    recurrent = [0.060, 0.066, 0.063, 0.067, 0.062]
    for seed, (one, other) in enumerate(zip(latent, recurrent, strict=True)):
        write(tmp_path, "latent_ode", 50, seed, rmse=one)
        write(tmp_path, "rnn_dt", 50, seed, rmse=other, rmse_target=0.7, rmse_mean_gap=other)
        if seed < 3:
            write(tmp_path, "latent_ode", 100, seed, rmse=one)
            write(tmp_path, "rnn_dt", 100, seed, rmse=other, rmse_target=1, rmse_mean_gap=other)
    report = markdown(table2, tmp_path)
    beside = {
        label: [f" {each} " for each in cells]
        for line in report.splitlines()
        if "(p =" in line or "too few" in line
        for label, *cells in [line.strip("| ").split(" | ")]
    }
    _, middle, last = beside["RNN with time gaps, in steps of the mean gap"]
    assert "higher (p = 0.0079): 0.110 and 0.063" in middle
    assert "not decided by these seeds (3 and 3 are too few): 0.102 and 0.063" in last
    _, middle, _ = beside["RNN with time gaps, from target to target"]
    assert "lower (p = 0.0079): 0.110 and 0.700" in middle
    assert (
        "Against RNNs that forecast in steps of the mean gap, this does not hold: the latent ODE "
        "has the higher error in 1 of 1 cases."
    ) in report
    assert "With 100 observations, both ways to forecast are the same; they are counted once" in (
        report
    )
    assert (
        "from target to target, this holds in part: the latent ODE has the lower error in 1 of 2"
    ) in report


def test_the_weights_of_the_last_epoch_are_compared_too(tmp_path):
    """Forecasts chose the best ones: in the end all latent ODEs are worse here, not better."""
    for seed in range(5):
        near = 0.01 * seed
        write(tmp_path, "latent_ode", 50, seed, rmse=0.1 + near, last=0.8 + near)
        write(tmp_path, "rnn", 50, seed, rmse_mean_gap=0.2 + near, last=0.3 + near)
    report = markdown(table2, tmp_path)
    assert "in steps of the mean gap, this holds: the latent ODE has the lower error" in report
    assert (
        "- With the weights of the last epoch, which no forecast selected, the latent ODE has the "
        "lower error in 0 and the higher in 1 of 1 comparisons; not decided: 0." in report
    )


def test_a_seed_whose_test_error_chose_a_setting_is_left_out(tmp_path):
    for seed, error in enumerate([9.0, 0.1, 0.3]):
        write(tmp_path, "latent_ode", 30, seed, rmse=error)
    report = markdown(table2, tmp_path)
    assert "| latent ODE | 0.200 ± 0.141 (2) | - | - |" in report
    assert "Seed 0 of the latent ODE with 30 observations is left out: 6,000 steps" in report
    assert "If it is counted, " in report
    assert "9.000" in markdown(details, tmp_path), "it is still shown seed by seed"


@pytest.mark.parametrize("other", [{"protocol": "paper"}, {"epochs": 30}])
def test_the_same_seed_of_another_budget_chose_nothing(tmp_path, other):
    write(tmp_path, "latent_ode", 30, 0, rmse=0.3, **other)
    report = markdown(table2, tmp_path)
    assert "| latent ODE | 0.300 (1) | - | - |" in report
    assert "is left out" not in report
    assert "If it is counted" not in report


def test_unlike_runs_are_not_mixed_and_a_seed_counts_once(tmp_path):
    fill(tmp_path / "one")
    write(tmp_path / "two", "latent_ode", 30, 1, rmse=0.3)
    write(tmp_path / "two", "latent_ode", 30, 0, epochs=2, rmse=9.0)
    write(tmp_path / "two", "latent_ode", 30, 7, latent=64, rmse=9.0)
    report = markdown(table2, tmp_path)
    assert "| latent ODE | 0.300 (1) |" in report
    assert "other settings, or repeated, not shown: 3." in report


def test_the_command(tmp_path, capsys):
    fill(tmp_path)
    for arguments in (["table2"], ["table", "table2"]):
        assert main(["--outputs", str(tmp_path), *arguments, "--format", "md"]) == 0
        assert capsys.readouterr().out == markdown(table2, tmp_path)


def test_no_runs_make_an_empty_table(tmp_path):
    assert "| latent ODE | - | - | - |" in markdown(table2, tmp_path)
