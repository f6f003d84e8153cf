"""Recurrent models whose training also feeds back their own forecasts, beside others."""

from pathlib import Path
from typing import Any

from node_experiments.reports.records import Record, records
from node_experiments.reports.seed_tests import describe_comparison
from node_experiments.reports.table import Estimate, ReportTable
from node_experiments.runs import load_runs

DATASETS = {"csv": "the sample file", "mimic_demo": "MIMIC's second day"}
MODELS = {"rnn_dt": "RNN with time gaps", "gru_d": "GRU-D", "ode_rnn": "ODE-RNN"}
FORCED = "model.teacher_forcing"


def own_forecasts(reference: Path) -> ReportTable:
    """Errors beyond the observations with either kind of training, over the same seeds."""
    folders = ("teacher_forcing", "mimic_demo")
    runs = [run for folder in folders for run in records(load_runs(reference / folder))]
    rows: list[list[Any]] = []
    notes = []
    for dataset, of_dataset in DATASETS.items():
        for model, label in MODELS.items():
            forced, free = (by_seed(runs, f"{dataset}_{model}", share) for share in (1.0, 0.5))
            seeds = sorted(forced.keys() & free.keys())
            if not seeds:
                continue
            ours, theirs = ([each[seed] for seed in seeds] for each in (free, forced))
            cells = [Estimate.of(each).cell(".3f", ".3f", 1) for each in (theirs, ours)]
            rows.append([f"{of_dataset}, {label}", *cells])
            notes.append(
                f"{of_dataset}, {label}: with 0.5 {describe_comparison(ours, theirs, 'with 1.0')}."
            )
    return ReportTable.of(
        "Recurrent models that train on their own forecasts",
        ["", "`model.teacher_forcing=1.0`", "`model.teacher_forcing=0.5`"],
        rows,
        caption="Test MSE, in squared standard deviations of the training series, of forecasts "
        "beyond the observations: mean and standard deviation over seeds (their number), of the "
        "best epoch on validation data. With 0.5, the model trains on its own forecasts in half "
        "of the steps.",
        notes=[*notes, "p is that of a t-test paired by training seed."],
    )


def by_seed(runs: list[Record], name: str, share: float) -> dict[int, float]:
    """Test errors of the completed runs of an experiment that forecast, by their seed."""
    found = [
        run
        for run in runs
        if run["name"] == name
        and run["status"] == "completed"
        and run.get("config.dataset.task") == "extrapolation"
        and run.get(f"config.{FORCED}", 1.0) == share
    ]
    return {int(run["seed"]): float(run.get("mse_all/test", run["mse/test"])) for run in found}
