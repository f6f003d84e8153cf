"""Report table of prediction errors in cross-validation, each model against the mechanism."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from pandas import DataFrame

from ...reports.records import (
    Record,
    has,
    left_out,
    most_alike,
    not_finite,
    one_per_seed,
    trainings,
    unfinished,
    with_same_budget,
)
from ...reports.seed_tests import cross_validation_p, describe_comparison, holm
from ...reports.table import Estimate, ReportTable
from ...reports.verdicts import epoch_sentence

__all__ = ["collect", "remifentanil_table", "runs_of"]

Folds = Mapping[str, Mapping[int, Sequence[Record]]]
MECHANISM = "two_compartments"
MODELS = {
    MECHANISM: "two compartments",
    "neural_kinetics": "neural ODE",
    "corrected_compartments": "two compartments + network",
}
METRICS = {
    "rms_percentage_error": ("RMS percentage error", ".1f"),
    "median_percentage_error": ("median absolute percentage error", ".1f"),
    "mse_log": ("MSE of logarithms", ".4f"),
    "coverage_90": ("90 % band covers", ".2f"),
}
TESTED = ("rms_percentage_error", "mse_log")
CAPTION = (
    "Errors of concentrations of held-out patients in cross-validation, in per cent of the "
    "measured ones; the mean over folds, standard deviation and number of folds. Folds share "
    "training patients, so models are compared by a paired t-test with a variance corrected for "
    "that (Nadeau & Bengio 2003), and p is corrected for the number of tests below (Holm 1979)."
)


def remifentanil_table(runs: DataFrame) -> ReportTable:
    """Table of means over folds, where the value of a fold is the mean over its seeds."""
    found, notes = collect(runs)
    rows = []
    for name, by_fold in found.items():
        row: list[Any] = [MODELS[name]]
        for metric, (_, form) in METRICS.items():
            estimate = Estimate.of(means(by_fold, metric).values())
            row.append(estimate and estimate.cell(form, form, count=1))
        rows.append(row)
    return ReportTable.of(
        "remifentanil",
        ["model", *(heading for heading, _ in METRICS.values())],
        rows,
        caption=" ".join(filter(None, [CAPTION, epoch_sentence(runs_of(found))])),
        notes=[*comparisons(found), *notes],
        missing="-",
    )


def collect(runs: DataFrame) -> tuple[Folds, list[str]]:
    """The runs of the table by model and fold, and notes on those that are not shown.

    All were trained on the same data for the same number of steps. Those of a model differ only in
    fold and seed; of several with the same seed, the last to start counts.
    """
    own = [
        run
        for run in trainings(runs)
        if run.get("config.dataset.name") == "remifentanil"
        and run.get("config.model.name") in MODELS
        and has(run, ["config.dataset.fold"])
    ]
    completed = [run for run in own if run["status"] == "completed"]
    alike: dict[str, list[Record]] = {name: [] for name in MODELS}
    for run in with_same_budget(completed, ignore=["dataset.fold"]):
        alike[run["config.model.name"]].append(run)
    found = {name: in_folds(members) for name, members in alike.items() if members}
    counted = runs_of(found)
    return found, [
        *left_out(len(completed) - len(counted), "on remifentanil"),
        *unfinished(own, counted, "on remifentanil"),
        *not_finite(counted, [f"{metric}/test" for metric in METRICS]),
    ]


def runs_of(found: Folds) -> list[Record]:
    """The runs of all models and folds."""
    return [run for folds in found.values() for seeds in folds.values() for run in seeds]


def comparisons(found: Folds) -> list[str]:
    """Notes that compare each model with the mechanism, paired by fold."""
    pairs = {
        (name, metric): shared_folds(by_fold, found[MECHANISM], metric)
        for name, by_fold in found.items()
        if name != MECHANISM and MECHANISM in found
        for metric in TESTED
    }
    tested = {
        key: p for key, pair in pairs.items() if (p := cross_validation_p(*pair)) is not None
    }
    corrected = dict(zip(tested, holm([*tested.values()]), strict=True))
    notes = []
    for (name, metric), pair in pairs.items():
        p = corrected.get((name, metric))
        words = describe_comparison(*pair, MODELS[MECHANISM], "folds", test=lambda *_, p=p: p)
        notes.append(f"{METRICS[metric][0]}, {MODELS[name]}: {words}.")
    return notes


def shared_folds(
    ours: Mapping[int, Sequence[Record]], theirs: Mapping[int, Sequence[Record]], metric: str
) -> tuple[list[float], list[float]]:
    """The errors of two models in the folds that both of them have."""
    one, other = means(ours, metric), means(theirs, metric)
    shared = sorted(one.keys() & other.keys())
    return [one[fold] for fold in shared], [other[fold] for fold in shared]


def in_folds(runs: Sequence[Record]) -> dict[int, list[Record]]:
    """The runs by fold, one per seed, of those that differ only in fold and seed."""
    alike = most_alike(runs, ignore=["dataset.fold"])
    folds = sorted({run["config.dataset.fold"] for run in alike})
    return {
        fold: one_per_seed(run for run in alike if run["config.dataset.fold"] == fold)
        for fold in folds
    }


def means(by_fold: Mapping[int, Sequence[Record]], metric: str) -> dict[int, float]:
    """Mean of a test metric over the seeds of each fold that have it."""
    found = {
        fold: [run[f"{metric}/test"] for run in seeds if has(run, [f"{metric}/test"])]
        for fold, seeds in by_fold.items()
    }
    return {fold: fmean(each) for fold, each in found.items() if each}
