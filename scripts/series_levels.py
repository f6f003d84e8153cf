"""Forecasts relative to the mean of the values seen (`dataset.centre_series`), beside others."""

from pathlib import Path

from paired_table import Pair, paired_table

from node_experiments.reports.records import Record, records
from node_experiments.reports.table import ReportTable
from node_experiments.runs import load_runs

FOLDERS = ("levels", "mimic_demo", "pbcseq", "teacher_forcing")
DATASETS = {"csv": "the sample file", "mimic_demo": "MIMIC's second day", "pbcseq": "pbcseq"}
MODELS = {"gru_d": "GRU-D", "latent_ode": "latent ODE"}


def levels(reference: Path) -> ReportTable:
    """Errors of both kinds of forecasts over the same seeds."""
    runs = compared_levels(reference)
    pairs = [
        Pair(
            f"{of_dataset}, {label}",
            *(by_seed(runs, f"{dataset}_{model}", centred) for centred in (False, True)),
        )
        for dataset, of_dataset in DATASETS.items()
        for model, label in MODELS.items()
    ]
    return paired_table(
        "Series that differ in level",
        ("a plain forecast", "relative to the mean of the values seen"),
        pairs,
        "a forecast relative to the mean",
        "Test MSE, a mean over series, in squared standard deviations of the training series, of "
        "forecasts beyond the observations, without and with `dataset.centre_series=true`. Mean "
        "and standard deviation over seeds (their number), of the best epoch on validation data.",
    )


def compared_levels(reference: Path) -> list[Record]:
    """The runs of the table, with the other settings as they are by default."""
    names = {f"{dataset}_{model}" for dataset in DATASETS for model in MODELS}
    return [
        run
        for folder in FOLDERS
        for run in records(load_runs(reference / folder))
        if run["status"] == "completed"
        and run["name"] in names
        and run.get("config.dataset.task") == "extrapolation"
        and (run["name"].endswith("latent_ode") or run.get("config.model.teacher_forcing") == 0.5)
    ]


def by_seed(runs: list[Record], name: str, centred: bool) -> dict[int, float]:
    """Test errors of an experiment by seed."""
    return {
        int(run["seed"]): float(run["mse/test"])
        for run in runs
        if run["name"] == name and bool(run.get("config.dataset.centre_series")) == centred
    }
