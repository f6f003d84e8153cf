"""Report tables of the shipped series: errors of each model and of simple rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pandas import DataFrame

from ....reports.records import has
from ....reports.table import Cell, ReportTable
from ..counted_runs import Counted, Record, collect, protocols
from ..tables import MODELS, cell
from . import LEADS, VITAL_SIGNS
from .rule_comparisons import Comparisons, paired_errors, values

__all__ = ["REAL_TABLES", "births", "counted"]

# The metric that a run must have to appear in a table.
HEADLINE = {"storms": "track_error_24h", "mimic_demo": "mse_all", "pbcseq": "mse_all"}
BIRTH_RULES = {
    "_constant": "constant rate, as many births as are seen",
    "_mean_season": "mean season of the training years",
    "_scaled_season": "mean season, as many births as are seen",
    "": "latent ODE",
}
TRACK_RULES = {
    "persistence_error": "persistence of motion",
    "regression_error": "regression on position, motion and wind",
}
WIND_RULES = {
    "same_wind_error": "the same wind",
    "regression_wind_error": "regression on position, motion and wind",
}
VALUE_RULES = {
    "carried_mse": "last value carried forward",
    "series_mean_mse": "mean of the values seen",
    "mean_mse": "mean of the training series",
}
POISSON = "latent_ode_poisson"
LABELS = {**MODELS, POISSON: "latent ODE with a Poisson process of visits"}
BANDS = {
    "coverage": "90 % band covers, within (%)",
    "coverage_beyond": "90 % band covers, beyond (%)",
    "crps": "CRPS, within",
    "crps_beyond": "CRPS, beyond",
}


def counted(runs: DataFrame, dataset: str, task: str) -> Counted:
    """The runs on a dataset with a given task that count in its table."""
    return collect(runs, dataset, task, LABELS, [f"{HEADLINE[dataset]}/test"])


def births(runs: DataFrame) -> Counted:
    """The runs that count in the table of births."""
    return collect(runs, "storm_births", None, ["poisson_latent_ode"], ["held_out_nll/test"])


def row(label: str, runs: Sequence[Record], metrics: Sequence[str], form: str) -> list[Any]:
    """Table row with the mean and standard deviation of each metric over seeds."""
    return [label, *(cell(values(runs, metric), form) for metric in metrics)]


def rule_row(
    label: str, found: Mapping[str, Sequence[Record]], metrics: Sequence[str], form: str
) -> list[Any]:
    """Table row of a rule without parameters, whose errors are often the same in all runs.

    They are if all seeds hide the same values; there is then no standard deviation.
    """
    every = [run for runs in found.values() for run in runs]
    cells: list[Cell | None] = []
    for metric in metrics:
        by_seed = {run.get("seed"): run for run in every if has(run, [f"{metric}/test"])}
        errors = values([*by_seed.values()], metric)
        same = errors and max(errors) - min(errors) <= 1e-9 * abs(errors[0])
        cells.append(Cell.number(errors[0], form) if same else cell(errors, form))
    return [label, *cells]


def rule_rows(
    found: Mapping[str, Sequence[Record]],
    rules: Mapping[str, str],
    suffixes: Sequence[str],
    form: str,
) -> list[list[Any]]:
    """A row for each rule, by the prefix of its metrics, that some run has errors of."""
    rows = [
        rule_row(label, found, [f"{rule}_{suffix}" for suffix in suffixes], form)
        for rule, label in rules.items()
    ]
    return [row for row in rows if any(entry is not None for entry in row[1:])]


def bands(found: Mapping[str, Sequence[Record]]) -> list[ReportTable]:
    """Coverage and CRPS of the predictive bands; no table if no run has these metrics."""
    rows = []
    for name, runs in found.items():
        entries = [
            cell(values(runs, metric, 100), ".0f")
            if "coverage" in metric
            else cell(values(runs, metric))
            for metric in BANDS
        ]
        if any(entries):
            rows.append([LABELS[name], *entries])
    if not rows:
        return []
    caption = (
        "Fraction of held-out test values inside the 90 % band, within the span of the "
        "observations and beyond it, and the continuous ranked probability score in scaled units."
    )
    return [
        ReportTable.of("Bands", ["model", *BANDS.values()], rows, caption=caption, missing="-")
    ]


def protocol(found: Mapping[str, Sequence[Record]]) -> str:
    """Describe the runs in a few sentences."""
    every = [run for runs in found.values() for run in runs]
    means = "Mean over seeds, standard deviation and number of seeds. "
    return f"{means if every else ''}{protocols(every)}"


def storms_table(runs: DataFrame) -> ReportTable:
    """Table of great-circle errors and of wind errors by lead time."""
    kept = counted(runs, "storms", "extrapolation")
    found = kept.by_model()
    tables = []
    for metric, rules, title in (
        ("track_error", TRACK_RULES, "Track"),
        ("wind_error", WIND_RULES, "Wind"),
    ):
        metrics = [f"{metric}_{h}h" for h in LEADS]
        form = ".0f" if metric == "track_error" else ".1f"
        rows = rule_rows(found, rules, [f"{h}h" for h in LEADS], form)
        rows += [row(LABELS[name], members, metrics, form) for name, members in found.items()]
        caption = {
            "track_error": "Mean great-circle error in km by lead time, of Atlantic storms of "
            "2017 to 2022 from two days of fixes. " + protocol(found),
            "wind_error": "Mean absolute error of the wind in knots.",
        }[metric]
        tests = Comparisons("storms", LABELS)
        for hours in (12, 72):
            tests.add_rules(found, metric, rules, f"{hours}h", f"{title.lower()} at {hours} h")
        tables.append(
            ReportTable.of(
                title, ["model", *(f"{h} h" for h in LEADS)], rows, caption=caption, missing="-",
                notes=tests.notes,
            )
        )  # fmt: skip
    tables[0].notes = [*tables[0].notes, *kept.notes]
    tables[0].more = [*tables[1:], *bands(found)]
    return tables[0]


def storm_births_table(runs: DataFrame) -> ReportTable:
    """Table of likelihoods of half of a season's births, by rates inferred from the other half."""
    counted = births(runs)
    kept = counted.runs
    rows = [
        row(label, kept, [f"held_out_nll{name}"], ".2f") for name, label in BIRTH_RULES.items()
    ]
    tests = Comparisons("seasons", LABELS)
    for name, label in BIRTH_RULES.items():
        if name and values(kept, f"held_out_nll{name}"):
            pair = paired_errors(kept, "held_out_nll", f"held_out_nll{name}")
            tests.add("latent ODE", *pair, f"the {label}")
    caption = (
        "Negative log-likelihood, in nats per season, of half of the births of Atlantic storms of "
        "2017 to 2022, by a rate from the other half. Each seed splits the same six "
        f"seasons differently. {protocol(counted.by_model())}"
    )
    return ReportTable.of(
        "storm_births", ["rate", "nats per season"], rows if kept else [], caption=caption,
        missing="-", notes=[*tests.notes, *counted.notes],
    )  # fmt: skip


def mimic_demo_table(runs: DataFrame) -> ReportTable:
    """Table of normalised errors by feature, in forecasts and in interpolation."""
    tables: list[ReportTable] = []
    for task, title, how in (
        ("extrapolation", "mimic_demo", "the second day from the first"),
        ("interpolation", "mimic_demo, filling in", "values between those that a model sees"),
    ):
        kept = counted(runs, "mimic_demo", task)
        found = kept.by_model()
        groups = (*VITAL_SIGNS, "other", "all")
        rows = rule_rows(found, VALUE_RULES, groups, ".2f")
        metrics = [f"mse_{group}" for group in groups]
        rows += [row(LABELS[name], members, metrics, ".2f") for name, members in found.items()]
        if not rows and tables:
            continue
        headings = [*(g.replace("_", " ") for g in VITAL_SIGNS), "laboratory and other", "all"]
        caption = (
            f"Mean squared error of {how}, in squared standard deviations of the training stays, "
            f"over values that the model did not see. {protocol(found)}"
        )
        tests = Comparisons("stays", LABELS)
        tests.add_rules(found, "mse", VALUE_RULES, "all", "all features")
        tables.append(
            ReportTable.of(
                title, ["model", *headings], rows, caption=caption, missing="-",
                notes=[*tests.notes, *kept.notes], more=bands(found),
            )
        )  # fmt: skip
    tables[0].more = [*tables[0].more, *tables[1:]]
    return tables[0]


def pbcseq_table(runs: DataFrame) -> ReportTable:
    """Table of forecast errors, and of the benefit of modelling the visit times."""
    kept = counted(runs, "pbcseq", "extrapolation")
    found = kept.by_model()
    columns = {"mse_all": "MSE", "log_likelihood": "log-likelihood"}
    rows = [[*rule, None] for rule in rule_rows(found, VALUE_RULES, ["all"], ".3f")]
    rows += [row(LABELS[name], members, list(columns), ".3f") for name, members in found.items()]
    tests = Comparisons("patients", LABELS)
    tests.add_rules(found, "mse", VALUE_RULES, "all", "laboratory values")
    both = [found.get(name) for name in (POISSON, "irregular_latent_ode")]
    if all(both):
        seeds = [
            {int(run.get("seed", 0)): run["mse_all/test"] for run in each or ()} for each in both
        ]
        shared = sorted(seeds[0].keys() & seeds[1].keys())
        one, other = ([seed[s] for s in shared] for seed in seeds)
        tests.add("With the Poisson process of visits", one, other, "without it")
    caption = (
        "Mean squared error of laboratory values after the first 3.5 years from those before, in "
        "squared standard deviations of the training patients, and Gaussian log-likelihood in "
        f"nats per number. {protocol(found)}"
    )
    return ReportTable.of(
        "pbcseq", ["model", *columns.values()], rows, caption=caption, missing="-",
        notes=[*tests.notes, *kept.notes], more=bands(found),
    )  # fmt: skip


REAL_TABLES: dict[str, Callable[[DataFrame], ReportTable]] = {
    "storms": storms_table,
    "storm_births": storm_births_table,
    "mimic_demo": mimic_demo_table,
    "pbcseq": pbcseq_table,
}
