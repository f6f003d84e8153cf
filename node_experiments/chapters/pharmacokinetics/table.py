"""Prediction errors in cross-validation, each model against the mechanism."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

from ...reports.records import has, left_out, records
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
    found: dict[str, dict[int, dict[int, Record]]] = defaultdict(lambda: defaultdict(dict))
    count = 0
    for run in records(runs):
        trained = run.get("mode", "train") == "train"
        if run.get("config.dataset.name") != "remifentanil" or not trained:
            continue
        numbers = ["rms_percentage_error/test", "config.dataset.fold"]
        if run.get("status") == "completed" and has(run, numbers, ["config.model.name"]):
            fold, seed = run["config.dataset.fold"], run.get("seed", 0)
            found[run["config.model.name"]][fold][seed] = run
            count += 1
    rows, notes, kept = [], [], 0
    folds = {name: by_fold for name in MODELS if (by_fold := found.get(name))}
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


def means(by_fold: Mapping[int, Mapping[int, Record]], metric: str) -> dict[int, float]:
    """Of each fold the mean over seeds."""
    return {
        fold: sum(run[f"{metric}/test"] for run in seeds.values()) / len(seeds)
        for fold, seeds in by_fold.items()
    }
