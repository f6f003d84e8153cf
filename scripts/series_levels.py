"""Forecasts relative to the mean of the values seen (`dataset.centre_series`), beside others."""

from pathlib import Path

from paired_table import ON_BOTH, extrapolations, paired_errors, paired_table, teacher_forcing

from node_experiments.reports.records import Record
from node_experiments.reports.table import ReportTable

FOLDERS = ("levels", "mimic_demo", "pbcseq", "teacher_forcing")
DATASETS = {"csv": "the sample file", "mimic_demo": "MIMIC's second day", "pbcseq": "pbcseq"}
COMPARED = ("gru_d", "latent_ode")


def levels(reference: Path) -> ReportTable:
    """Errors of both kinds of forecasts over the same seeds."""
    return paired_table(
        "Series that differ in level",
        ("a plain forecast", "relative to the mean of the values seen"),
        paired_errors(
            compared_levels(reference),
            DATASETS,
            COMPARED,
            lambda run: bool(run.get("config.dataset.centre_series")),
        ),
        "a forecast relative to the mean",
        "Test MSE, a mean over series, in squared standard deviations of the training series, of "
        "forecasts beyond the observations, without and with `dataset.centre_series=true`. Mean "
        "and standard deviation over seeds (their number), of the best epoch on validation data.",
    )


def compared_levels(reference: Path) -> list[Record]:
    """The runs of the table, with the other settings as they are by default."""
    return [
        run
        for run in extrapolations(reference, FOLDERS, DATASETS)
        if run["name"].endswith(COMPARED) and teacher_forcing(run) == ON_BOTH
    ]
