"""Tables of the shipped series: errors of each model beside those of a simple rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pandas import DataFrame

from ....reports.records import (
    has,
    left_out,
    most_alike,
    one_per_seed,
    records,
    trainings,
)
from ....reports.seed_tests import against
from ....reports.table import Cell, Estimate, ReportTable
from ..tables import MODELS
from . import LEADS

__all__ = ["REAL_TABLES"]

Record = Mapping[str, Any]
BIRTH_RULES = {
    "_constant": "constant rate, as many births as are seen",
    "_mean_season": "mean season of the training years",
    "_scaled_season": "mean season, as many births as are seen",
    "": "latent ODE",
}
POISSON = "latent_ode_poisson"
LABELS = {**MODELS, POISSON: "latent ODE with a Poisson process of visits"}
VITAL = ("heart_rate", "sbp", "dbp", "respiratory_rate", "spo2", "temp_c")
BANDS = {
    "coverage": "90 % band covers, within (%)",
    "coverage_beyond": "90 % band covers, beyond (%)",
    "crps": "CRPS, within",
    "crps_beyond": "CRPS, beyond",
}


def cells(
    runs: DataFrame, dataset: str, task: str, metric: str
) -> tuple[dict[str, list[Record]], int]:
    """Completed runs by model, one for each seed, and how many others were left out."""
    found: dict[str, list[Record]] = {}
    for run in trainings(runs):
        asked = {"config.dataset.name": dataset, "config.dataset.task": task}
        if any(run.get(key) != value for key, value in asked.items()):
            continue
        if run.get("status") != "completed":
            continue
        if has(run, [f"{metric}/test"], ["config.model.name"]):
            found.setdefault(run["config.model.name"], []).append(run)
    kept = {name: one_per_seed(most_alike(members)) for name, members in found.items()}
    ordered = {name: kept[name] for name in LABELS if name in kept}
    return ordered, sum(map(len, found.values())) - sum(map(len, ordered.values()))


def values(runs: Sequence[Record], metric: str, scale: float = 1.0) -> list[float]:
    """A test metric of each run that has it."""
    return [scale * run[f"{metric}/test"] for run in runs if f"{metric}/test" in run]


def row(label: str, runs: Sequence[Record], metrics: Sequence[str], form: str) -> list[Any]:
    """Mean and standard deviation over seeds of each metric."""
    found = (Estimate.of(values(runs, metric)) for metric in metrics)
    return [label, *(None if each is None else each.cell(form, form, count=1) for each in found)]


def rule(
    label: str, found: Mapping[str, Sequence[Record]], metrics: Sequence[str], form: str
) -> list[Any]:
    """The errors of a rule without parameters: the same in all runs that hide the same values."""
    by_seed = {run.get("seed"): run for runs in found.values() for run in runs}
    cells: list[Cell | None] = []
    for metric in metrics:
        errors = values([*by_seed.values()], metric)
        estimate = Estimate.of(errors)
        cell = None if estimate is None else estimate.cell(form, form, count=1)
        if errors and max(errors) - min(errors) <= 1e-9 * abs(errors[0]):
            cell = Cell.number(errors[0], form)
        cells.append(cell)
    return [label, *cells]


def bands(found: Mapping[str, Sequence[Record]]) -> list[ReportTable]:
    """How honest the bands are; no table where no run tells."""
    rows = []
    for name, runs in found.items():
        estimates = (
            Estimate.of(values(runs, metric, 100 if "coverage" in metric else 1))
            for metric in BANDS
        )
        forms = (".0f" if "coverage" in metric else ".3f" for metric in BANDS)
        entries = [e and e.cell(f, f, count=1) for e, f in zip(estimates, forms, strict=True)]
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
    """Of the runs, in a sentence."""
    every = [run for runs in found.values() for run in runs]
    if not every:
        return "No run of ours is finished."
    names = ", ".join(sorted({str(run.get("protocol")) for run in every}))
    return (
        "Mean over seeds, standard deviation and number of seeds; weights of the best epoch on "
        f"validation data; protocol {names}."
    )


def compared(
    found: Mapping[str, Sequence[Record]], metric: str, simple: str, what: str, where: str
) -> list[str]:
    """Each model against a rule, by a test over seeds."""
    return [
        f"{where}, {LABELS[name]}: {against(values(runs, metric), values(runs, simple), what)}."
        for name, runs in found.items()
    ]


def storms_table(runs: DataFrame) -> ReportTable:
    """Great-circle errors by lead time, and errors of the wind."""
    found, others = cells(runs, "storms", "extrapolation", "track_error_24h")
    tables = []
    for metric, simple, label, title in (
        ("track_error", "persistence_error", "persistence of motion", "Track"),
        ("wind_error", "same_wind_error", "the same wind", "Wind"),
    ):
        metrics, rules = ([f"{n}_{h}h" for h in LEADS] for n in (metric, simple))
        form = ".0f" if metric == "track_error" else ".1f"
        rows = [rule(label, found, rules, form)] if found else []
        rows += [row(LABELS[name], members, metrics, form) for name, members in found.items()]
        caption = {
            "track_error": "Mean great-circle error in km by lead time, of Atlantic storms of "
            "2017 to 2022 from two days of fixes. " + protocol(found),
            "wind_error": "Mean absolute error of the wind in knots.",
        }[metric]
        tables.append(
            ReportTable.of(
                title, ["model", *(f"{h} h" for h in LEADS)], rows, caption=caption, missing="-"
            )
        )
    notes = [
        sentence
        for hours in (12, 72)
        for sentence in compared(
            found, f"track_error_{hours}h", f"persistence_error_{hours}h",
            "persistence of motion", f"track at {hours} h",
        )
    ]  # fmt: skip
    tables[0].notes = [*notes, *left_out(others, "on storms")]
    tables[0].more = [*tables[1:], *bands(found)]
    return tables[0]


def storm_births_table(runs: DataFrame) -> ReportTable:
    """What half of a season's births tells of the other half."""
    every = [
        run
        for run in records(runs)
        if run.get("config.dataset.name") == "storm_births"
        and run.get("status") == "completed"
        and run.get("mode") != "eval"
        and has(run, ["held_out_nll/test"], ["config.model.name"])
    ]
    kept = one_per_seed(most_alike(every))
    found = {"poisson_latent_ode": kept} if kept else {}
    rows = []
    for name, label in BIRTH_RULES.items():
        estimate = Estimate.of(values(kept, f"held_out_nll{name}"))
        rows.append([label, estimate and estimate.cell(".2f", ".2f", count=1)])
    notes = [
        f"latent ODE: {against(values(kept, 'held_out_nll'), theirs, f'the {label}')}."
        for name, label in BIRTH_RULES.items()
        if kept and name and (theirs := values(kept, f"held_out_nll{name}"))
    ]
    caption = (
        "Negative log-likelihood, in nats a season, of half of the births of Atlantic storms of "
        "2017 to 2022, by a rate from the other half. Seeds draw other halves of the same six "
        f"seasons. {protocol(found)}"
    )
    return ReportTable.of(
        "storm_births", ["rate", "nats a season"], rows if kept else [], caption=caption,
        missing="-", notes=[*notes, *left_out(len(every) - len(kept), "on storm_births")],
    )  # fmt: skip


def mimic_demo_table(runs: DataFrame) -> ReportTable:
    """Normalised errors by feature, when forecasting and when filling in."""
    tables: list[ReportTable] = []
    for task, title, how in (
        ("extrapolation", "mimic_demo", "the second day from the first"),
        ("interpolation", "mimic_demo, filling in", "values between those that a model sees"),
    ):
        found, others = cells(runs, "mimic_demo", task, "mse_all")
        groups = (*VITAL, "other", "all")
        metrics, rules = ([f"{n}_{g}" for g in groups] for n in ("mse", "carried_mse"))
        rows = [rule("last value carried forward", found, rules, ".2f")] if found else []
        rows += [row(LABELS[name], members, metrics, ".2f") for name, members in found.items()]
        if not rows and tables:
            continue
        headings = [*(g.replace("_", " ") for g in VITAL), "laboratory and other", "all"]
        caption = (
            f"Mean squared error of {how}, in squared standard deviations of the training stays, "
            f"over values that the model did not see. {protocol(found)}"
        )
        notes = compared(
            found, "mse_all", "carried_mse_all", "the last value carried forward", "all features"
        )
        tables.append(
            ReportTable.of(
                title, ["model", *headings], rows, caption=caption, missing="-",
                notes=[*notes, *left_out(others, "on mimic_demo")], more=bands(found),
            )
        )  # fmt: skip
    tables[0].more = [*tables[0].more, *tables[1:]]
    return tables[0]


def pbcseq_table(runs: DataFrame) -> ReportTable:
    """What the times of the visits are worth."""
    found, others = cells(runs, "pbcseq", "extrapolation", "mse_all")
    columns = {"mse_all": "MSE", "log_likelihood": "log-likelihood"}
    carried = rule("last value carried forward", found, ["carried_mse_all"], ".3f")
    rows = [[*carried, None]] if found else []
    rows += [row(LABELS[name], members, list(columns), ".3f") for name, members in found.items()]
    notes = compared(
        found, "mse_all", "carried_mse_all", "the last value carried forward", "laboratory values"
    )
    both = [found.get(name) for name in (POISSON, "irregular_latent_ode")]
    if all(both):
        seeds = [
            {int(run.get("seed", 0)): run["mse_all/test"] for run in each or ()} for each in both
        ]
        shared = sorted(seeds[0].keys() & seeds[1].keys())
        one, other = ([seed[s] for s in shared] for seed in seeds)
        notes.append(f"With the Poisson process of visits: {against(one, other, 'without it')}.")
    caption = (
        "Mean squared error of laboratory values after the first 3.5 years from those before, in "
        "squared standard deviations of the training patients, and Gaussian log-likelihood in "
        f"nats per number. {protocol(found)}"
    )
    return ReportTable.of(
        "pbcseq", ["model", *columns.values()], rows, caption=caption, missing="-",
        notes=[*notes, *left_out(others, "on pbcseq")], more=bands(found),
    )  # fmt: skip


REAL_TABLES: dict[str, Callable[[DataFrame], ReportTable]] = {
    "storms": storms_table,
    "storm_births": storm_births_table,
    "mimic_demo": mimic_demo_table,
    "pbcseq": pbcseq_table,
}
