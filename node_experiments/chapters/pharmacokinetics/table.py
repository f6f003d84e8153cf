"""Prediction errors in cross-validation, each model against the mechanism."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pandas import DataFrame

from ...reports.records import (
    differences,
    has,
    left_out,
    most_alike,
    one_per_seed,
    trainings,
)
from ...reports.seed_tests import against
from ...reports.table import Estimate, ReportTable

__all__ = ["remifentanil_table"]

Record = Mapping[str, Any]
MODELS = {
    "two_compartments": "two compartments",
    "neural_kinetics": "neural ODE",
    "corrected_compartments": "two compartments + network",
}
METRICS = {
    "rms_percentage_error": ("RMS percentage error", ".1f"),
    "median_percentage_error": ("median absolute percentage error", ".1f"),
    "mse_log": ("MSE of logarithms", ".4f"),
    "coverage_90": ("90 % band covers", ".2f"),
}


def remifentanil_table(runs: DataFrame) -> ReportTable:
    """Means over folds; those of a fold are means over its seeds."""
    found: dict[str, list[Record]] = defaultdict(list)
    for run in trainings(runs):
        numbers = ["rms_percentage_error/test", "config.dataset.fold"]
        completed = run.get("status") == "completed" and has(run, numbers, ["config.model.name"])
        if completed and run.get("config.dataset.name") == "remifentanil":
            found[run["config.model.name"]].append(run)
    count = sum(map(len, found.values()))
    folds = {name: in_folds(found[name]) for name in MODELS if name in found}
    alike = [run for by_fold in folds.values() for seeds in by_fold.values() for run in seeds]
    rows, notes, kept = [], differences_of_data(alike), 0
    for name, by_fold in folds.items():
        row: list[Any] = [MODELS[name]]
        for metric, (_, form) in METRICS.items():
            estimate = Estimate.of(means(by_fold, metric).values())
            row.append(estimate and estimate.cell(form, form, count=1))
        rows.append(row)
        kept += sum(map(len, by_fold.values()))
        if name != "two_compartments" and "two_compartments" in folds:
            for metric in ("rms_percentage_error", "mse_log"):
                ours, theirs = (
                    means(each, metric) for each in (by_fold, folds["two_compartments"])
                )
                shared = sorted(ours.keys() & theirs.keys())
                one, other = ([each[f] for f in shared] for each in (ours, theirs))
                words = against(one, other, "two compartments", "folds")
                notes.append(f"{METRICS[metric][0]}, {MODELS[name]}: {words}.")
    return ReportTable.of(
        "remifentanil",
        ["model", *(heading for heading, _ in METRICS.values())],
        rows,
        caption="Errors of concentrations of held-out patients in cross-validation, in per cent "
        "of the measured ones; the mean over folds, standard deviation and number of folds. "
        "Weights of the best epoch on validation data.",
        notes=[*notes, *left_out(count - kept, "on remifentanil")],
        missing="-",
    )


def in_folds(runs: Sequence[Record]) -> dict[int, list[Record]]:
    """One run of each seed by fold, of those that differ in nothing else."""
    alike = most_alike(runs, but=["dataset.fold"])
    folds = sorted({run["config.dataset.fold"] for run in alike})
    return {
        fold: one_per_seed(run for run in alike if run["config.dataset.fold"] == fold)
        for fold in folds
    }


def differences_of_data(runs: Sequence[Record]) -> list[str]:
    """A note on settings of the data by which the models of the table differ."""
    data = [
        {key: x for key, x in run.items() if key.startswith("config.dataset.")} for run in runs
    ]
    return differences([data], but=["dataset.fold"], what="The models")


def means(by_fold: Mapping[int, Sequence[Record]], metric: str) -> dict[int, float]:
    """Of each fold the mean over seeds."""
    return {
        fold: sum(run[f"{metric}/test"] for run in seeds) / len(seeds)
        for fold, seeds in by_fold.items()
    }
