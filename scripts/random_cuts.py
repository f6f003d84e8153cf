"""Training series that are cut at random times (`dataset.random_cuts`), beside a single time."""

from pathlib import Path

from paired_table import (
    MODELS,
    ON_BOTH,
    extrapolations,
    paired_errors,
    paired_table,
    teacher_forcing,
)

from node_experiments.reports.records import Record
from node_experiments.reports.table import ReportTable

FOLDERS = ("random_cuts", "levels", "teacher_forcing", "mimic_demo", "pbcseq", "storms")
DATASETS = {
    "csv": "the sample file",
    "mimic_demo": "MIMIC's second day",
    "pbcseq": "pbcseq",
    "storms": "storms",
}
# The share of the sample's time span that is observed in tests; the models of one cut saw half.
HISTORIES = {0.25: "the sample file from a quarter", 0.75: "the sample file from three quarters"}


def random_cuts(reference: Path) -> ReportTable:
    """Errors of both kinds of training over the same seeds."""
    runs = compared_cuts(reference)
    by_cut = [*((cut, {"csv": label}) for cut, label in HISTORIES.items()), (None, DATASETS)]
    found = [
        pair
        for cut, datasets in by_cut
        for pair in paired_errors(
            [run for run in runs if tested_cut(run) == cut],
            datasets,
            MODELS,
            lambda run: bool(run.get("config.dataset.random_cuts")),
        )
        if pair.before and pair.after
    ]
    return paired_table(
        "Random cuts",
        ("one cut", "random cuts"),
        found,
        "training with random cuts",
        "Test MSE, a mean over series, in squared standard deviations of the training series, of "
        "forecasts beyond the observations; all training series cut at one time, or each at a "
        "random time in each epoch (`dataset.random_cuts=true`). Test series are cut at that one "
        "time, unless another share of the time span is named. Mean and standard deviation over "
        "seeds (their number), of the best epoch on validation data.",
    )


def compared_cuts(reference: Path) -> list[Record]:
    """The runs of the table, with the other settings as they are by default."""
    folders = [folder for folder in FOLDERS if (reference / folder).is_dir()]
    return [
        run
        for run in extrapolations(reference, folders, DATASETS)
        if not run.get("config.dataset.centre_series") and teacher_forcing(run) == ON_BOTH
    ]


def tested_cut(run: Record) -> float | None:
    """The cut of an evaluation, which is another one than in training; None for a training."""
    return run["config.dataset.extrapolate_from"] if run["mode"] == "eval" else None
