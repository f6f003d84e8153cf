"""Table 1 from run folders: what was run, what failed, and what was never started."""

import importlib
import json
from pathlib import Path

import pytest
import torch
import yaml

from node_experiments.chapters.image_classification.growth import exponent, read_growth
from node_experiments.chapters.image_classification.table1 import table1
from node_experiments.chapters.image_classification.table1_rows import ROWS
from node_experiments.cli.report import main
from tests.grids import always
from tests.written import markdown

ROOT = Path(__file__).parents[3]


def write(folder, experiment, seed=0, error=0.01, status="completed", protocol="quick", **changed):
    """A run folder with what the report reads; `changed` are settings by dotted name."""
    (row,) = (row for row in ROWS if row.experiment == experiment)
    settings = {
        "name": experiment,
        "mode": "train",
        "seed": seed,
        "protocol": protocol,
        "dataset.name": "mnist",
        "dataset.batch_size": 100,
        "optimizer.name": "sgd",
        "optimizer.lr": 0.1,
        "optimizer.weight_decay": 0.0,
        "scheduler.name": "step",
        "trainer.epochs": 4,
        **row.settings,
        **changed,
    }
    config: dict = {}
    for name, value in settings.items():
        group, _, key = name.rpartition(".")
        (config.setdefault(group, {}) if group else config)[key] = value
    run = folder / f"{experiment}_{seed}_{status}_{protocol}"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    epochs = [{"epoch": n, "time/step_seconds": 0.5 / n} for n in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    metrics = {
        "epoch": 4,
        "step": 40,
        "accuracy/test": 1 - error,
        "memory/saved_bytes": 2_500_000,
        "nfe/forward": 26.0,
        "nfe/backward": 20.0,
    }
    result = {
        "status": status,
        "reason": None if status == "completed" else "the loss became nan",
        "name": experiment,
        "config_hash": run.name,
        "metrics": metrics if status == "completed" else {},
        "parameters": 208_266,
        "hardware": {"cpu": "a processor", "device": "cpu, 2 threads"},
    }
    (run / "result.json").write_text(json.dumps(result))
    return run


def row(report, label):
    """The cells of a row of the first table."""
    line = next(line for line in report.splitlines() if line.startswith(f"| {label}"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_rows_hold_mean_and_spread_beside_the_paper(tmp_path):
    for seed, error in enumerate((0.004, 0.005, 0.006)):
        write(tmp_path, "mnist_odenet", seed, error)
    report = markdown(table1, tmp_path)
    assert row(report, "ODE-Net") == [
        "ODE-Net, dopri5, adjoint", "mnist_odenet", "0.50 ± 0.10", "208,266", "2.5", "-",
        "26.0 + 20.0", "0.250", "-", "3 seeds",
    ]  # fmt: skip
    lines = report.splitlines()
    after = lines[next(i for i, line in enumerate(lines) if line.startswith("| ODE-Net")) + 1]
    assert after.startswith("| paper |  | 0.42 | 0.22 M |  | O(1) |")
    assert "4 epochs of 1,000 images in batches of 100" in report
    assert "no augmentation; seed 0, 1, 2." in report


def test_the_ode_net_is_compared_with_each_network_over_the_seeds(tmp_path):
    for seed, change in enumerate((0.0001, 0.0002, 0.0004)):
        write(tmp_path, "mnist_odenet", seed, error=0.004 + change)
        write(tmp_path, "mnist_resnet", seed, error=0.004)
        write(tmp_path, "mnist_mlp", seed, error=0.016 - change)
    report = markdown(table1, tmp_path)
    # By SciPy's ttest_rel; of two, the smaller p is doubled.
    assert "MLP, 300 hidden units 0.00023 (0.00047); ResNet, 6 blocks 0.12 (0.12)." in report


def test_the_ode_net_is_compared_with_each_network_by_the_choice_of_images(tmp_path):
    for experiment, error in (("mnist_odenet", 0.004), ("mnist_resnet", 0.0035)):
        write(tmp_path, experiment, error=error)
    write(tmp_path, "mnist_mlp", error=0.016)
    report = markdown(table1, tmp_path)
    # 2 sqrt((0.016 * 0.984 + 0.004 * 0.996) / 10,000) and the same with 0.0035.
    assert "MLP, 300 hidden units -1.20 ± 0.28, lower; " in report
    assert "ResNet, 6 blocks +0.05 ± 0.17, not told apart. " in report
    assert "with 100% of them, the two are not told apart, and a difference of more" in report
    assert "than 0.22 points is excluded at two standard errors." in report
    assert "Between trainings" not in report
    write(tmp_path / "worse", "mnist_odenet", error=0.006)
    write(tmp_path / "worse", "mnist_resnet", error=0.003)
    report = markdown(table1, tmp_path / "worse")
    assert "ResNet, 6 blocks +0.30 ± 0.19, higher. " in report
    assert "this does not hold: it errs more often." in report


def test_runs_of_other_settings_are_named_and_give_no_number(tmp_path):
    for seed in (0, 1):
        write(tmp_path, "mnist_odenet", seed, 0.004)
    for seed in (1, 2):
        write(tmp_path / "others", "mnist_odenet", seed, 0.3, **{"solver.atol": 1e-4})
    report = markdown(table1, tmp_path)
    assert row(report, "ODE-Net")[2] == "0.40 ± 0.00"
    assert (
        row(report, "ODE-Net")[-1] == "2 seeds; one with other settings; one with other settings"
    )


def test_rows_that_were_not_run_or_failed_are_marked(tmp_path):
    write(tmp_path, "mnist_resnet", 0)
    write(tmp_path, "mnist_resnet", 1, status="failed")
    write(tmp_path, "mnist_mlp", 0, status="failed")
    unfinished = write(tmp_path, "mnist_stem_only")
    (unfinished / "result.json").write_text("{")
    (unfinished / "run_info.json").write_text("{}")
    without = write(tmp_path, "mnist_resnet_1block")
    result = json.loads((without / "result.json").read_text())
    (without / "result.json").write_text(json.dumps({**result, "metrics": {}}))
    (without / "metrics.jsonl").unlink()
    sweep = tmp_path / "sweeps" / "table1" / "today"
    sweep.mkdir(parents=True)
    job = {"job": 3, "overrides": "experiment=mnist_rknet,seed=0", "folder": "x", "reason": "no"}
    (sweep / "jobs.jsonl").write_text(json.dumps(job) + "\n")
    report = markdown(table1, tmp_path)
    failed = "one failed after 2 of 4 epochs: the loss became nan"
    assert row(report, "ResNet, 6 blocks")[-1] == f"1 seed; {failed}"
    assert row(report, "MLP")[-1] == failed
    assert row(report, "MLP")[2:5] == ["-", "-", "-"]
    damaged = "one damaged after 2 of 4 epochs: result.json is damaged: it is not JSON"
    assert row(report, "stem")[-1] == damaged
    assert row(report, "ResNet, 1 block")[-1] == "one without metrics"
    assert row(report, "RK-Net")[-1] == "one failed: no"
    assert row(report, "ODE-Net")[-1] == "not run"
    for experiment in ("mnist_resnet", "mnist_mlp"):
        write(tmp_path, experiment, 5, protocol="paper")
    write(sweep, "mnist_mlp", 0, protocol="smoke")
    sections = markdown(table1, tmp_path).split("| model |")[1:]
    assert [row(each, "RK-Net")[-1] for each in sections] == [
        "not run",
        "not run",
        "one failed: no",
    ]


def test_budgets_are_not_mixed(tmp_path):
    write(tmp_path, "mnist_odenet", error=0.005)
    write(tmp_path, "mnist_resnet", error=0.005)
    for experiment in ("mnist_odenet", "mnist_mlp"):
        write(tmp_path, experiment, error=0.9, protocol="smoke", **{"trainer.epochs": 1})
    write(tmp_path, "mnist_mlp", 7, error=0.9, **{"dataset.name": "fashion_mnist"})
    write(tmp_path, "mnist_odenet", 8, error=0.9, **{"solver.method": "euler"})
    _, quick, smoke = markdown(table1, tmp_path).split("Protocol `")
    assert row(quick, "ODE-Net")[2] == "0.50"
    assert row(quick, "MLP")[-1] == "not run"
    assert row(smoke, "ODE-Net")[2] == "90.00"
    assert row(smoke, "ResNet, 6 blocks")[-1] == "not run"
    assert "other models, solvers or settings, not shown: 1." in smoke


def test_a_budget_of_one_network_has_no_table(tmp_path):
    """As the runs of a sweep over precisions, which the paper's table has not."""
    for experiment in ("mnist_odenet", "mnist_resnet"):
        write(tmp_path, experiment, error=0.005)
    for seed in (1, 2):
        write(tmp_path, "mnist_rknet", seed, error=0.9, **{"optimizer.lr": 0.3})
    report = markdown(table1, tmp_path)
    assert report.count("| model |") == 1
    assert row(report, "RK-Net")[-1] == "not run"
    assert "by other recipes, not shown: 2 of mnist_rknet (`node-report table" in report
    alone = markdown(table1, write(tmp_path / "alone", "mnist_rknet", error=0.9).parent)
    assert row(alone, "RK-Net")[2] == "90.00"


def test_the_same_run_twice_is_one_seed(tmp_path):
    write(tmp_path / "one", "mnist_mlp")
    write(tmp_path / "two", "mnist_mlp")
    assert row(markdown(table1, tmp_path), "MLP")[-1] == "1 seed"


def test_every_row_is_an_experiment_that_fits_it():
    """What the sweep runs is what the rows ask for, whatever the protocol."""
    from hydra import compose, initialize_config_dir

    from node_experiments.cli import application as cli
    from node_experiments.runner.compose import configs_folder

    cli.register()
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):
        sweep = compose("config", ["sweep=table1"], return_hydra_config=True)
        swept = sweep.hydra.sweeper.params.experiment.split(",")
        assert sorted(swept) == sorted(each.experiment for each in ROWS)
        for each in ROWS:
            composed = compose("config", [f"experiment={each.experiment}"])
            for name, value in each.settings.items():
                group, key = name.split(".")
                assert composed[group][key] == value, (each.label, name)


BUDGET = (
    "trainer.epochs",
    "optimizer.lr",
    "dataset.batch_size",
    "dataset.padding",
    "dataset.rotation",
    "dataset.scale",
    "dataset.shear",
)


@pytest.mark.parametrize("protocol", always(["quick"], ["smoke", "quick", "paper"]))
def test_all_rows_of_the_sweep_have_one_budget(protocol):
    """A better one than that of the single experiments under `quick`, and theirs otherwise."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from node_experiments.cli import application as cli
    from node_experiments.runner.compose import configs_folder

    cli.register()
    with initialize_config_dir(str(configs_folder()), version_base="1.3"):

        def budget(*overrides):
            composed = compose("config", [f"protocol={protocol}", *overrides])
            return tuple(OmegaConf.select(composed, name) for name in BUDGET)

        jobs = {budget("sweep=table1", f"experiment={row.experiment}") for row in ROWS}
        alone = {budget(f"experiment={row.experiment}") for row in ROWS}
        table = (10, 0.05, 64, 2, 10.0, 0.1, 0.1)
        assert jobs == ({table} if protocol == "quick" else alone)
        assert len(alone) == 1
        assert table not in alone
        changed = ("trainer.epochs=3", "dataset.padding=1")
        given = budget("sweep=table1", "experiment=mnist_odenet", *changed)
        assert (given[0], given[3]) == (3, 1), "the command line wins"


def test_jobs_of_the_sweep_run_with_its_budget(node_run):
    result = node_run(
        "sweep=table1", "protocol=quick", "experiment=mnist_mlp", "seed=0,1", "trainer.epochs=1",
        "dataset.train_size=128", "dataset.validation_size=16", "dataset.test_size=16",
        "model.hidden=8", "trainer.threads=1",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert len(result.folders) == 2
    for folder in result.folders:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert config["optimizer"]["lr"] == 0.05
        assert config["dataset"]["batch_size"] == 64
        assert config["dataset"]["rotation"] == 10
        assert config["trainer"]["epochs"] == 1


def test_the_command_and_its_short_form(tmp_path, capsys):
    write(tmp_path, "mnist_mlp")
    assert main(["--outputs", str(tmp_path), "table1", "--format", "md"]) == 0
    short = capsys.readouterr().out
    assert main(["--outputs", str(tmp_path), "table", "table1", "--format", "md"]) == 0
    assert capsys.readouterr().out == short == markdown(table1, tmp_path)


def test_no_runs_make_a_table_that_says_so(tmp_path):
    assert markdown(table1, tmp_path).count("not run") == len(ROWS)


def test_exponents():
    assert exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)
    assert exponent([1, 2, 4], [3, 3, 3]) == 0


def test_measured_growth_is_what_the_paper_claims(tmp_path, monkeypatch):
    """Counted bytes: O(L) of blocks and of backprop, O(1) of the adjoint and reversible blocks."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = importlib.import_module("measure_complexity")
    networks = script.measure(torch.randn(2, 8, 4, 4), 1, (1, 2, 4, 8), (1e-1, 1e-4, 1e-6))
    (tmp_path / "complexity.json").write_text(
        json.dumps({"state": [2, 8, 4, 4], "networks": networks})
    )
    growth = read_growth(tmp_path)
    assert growth["resnet"].memory == "L^1.00"
    assert growth["revnet"].memory == "L^0.00"
    assert growth["adjoint"].memory == "L̃^0.00"
    found = growth["backprop"]
    assert exponent(found.depth, found.saved_bytes) == pytest.approx(1, abs=0.1)
    assert found.depth == growth["adjoint"].depth == sorted(found.depth)
    assert networks["backprop"]["backward_evaluations"] == [0, 0, 0]
    assert "L^1.00" in row(markdown(table1, tmp_path), "ResNet, 6 blocks")
