"""The runs that count in Table 2, and the metric of each of its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from pandas import DataFrame

from ...reports.records import (
    has,
    left_out,
    most_alike,
    not_finite,
    one_per_seed,
    trainings,
    unfinished,
    with_same_budget,
)

__all__ = [
    "ALL",
    "COUNTS",
    "LATENT",
    "MODELS",
    "RECURRENT",
    "Cells",
    "collect",
    "numbers",
    "scored",
]

COUNTS = (30, 50, 100)
ALL = 100  # points of a window: if all are observed, the mean gap is the gap between targets
LATENT = "latent_ode"
# Label, model, metric; the paper has one row for both recurrent networks.
RECURRENT = (
    ("RNN, forecast from target to target", "rnn", "rmse_target"),
    ("RNN with time gaps, from target to target", "rnn_dt", "rmse_target"),
    ("RNN, in steps of the mean gap", "rnn", "rmse_mean_gap"),
    ("RNN with time gaps, in steps of the mean gap", "rnn_dt", "rmse_mean_gap"),
)
MODELS = {"rnn": "RNN", "rnn_dt": "RNN with time gaps", "latent_ode": "latent ODE"}
# Runs, as (model, observations, seed, protocol, steps), whose test error influenced the choice of
# a setting, and that choice.
CHOSEN_BY = {
    (LATENT, 30, 0, "quick", 6_000): (
        "6,000 steps instead of 3,000 were chosen by its validation error and also its test error"
    )
}
Cells = dict[tuple[str, int], Sequence[Mapping[str, Any]]]


def collect(runs: DataFrame) -> tuple[Cells, list[str]]:
    """Completed runs by model and number of observations, and notes on those that are not shown.

    All runs were trained on the same data for the same number of steps. The runs of one cell
    differ only in their seed; of several with the same seed, the last counts.
    """
    on_spirals = [
        run
        for run in trainings(runs)
        if run.get("config.dataset.name") == "spirals"
        and has(run, ["config.dataset.observations"], ["config.model.name"])
    ]
    completed = [run for run in on_spirals if run["status"] == "completed"]
    cells: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for run in with_same_budget(completed, ignore=["dataset.observations"]):
        cells[run["config.model.name"], run["config.dataset.observations"]].append(run)
    seeds: Cells = {key: one_per_seed(most_alike(members)) for key, members in cells.items()}
    counted = [run for members in seeds.values() for run in members]
    of_table = [run for run in on_spirals if run["config.model.name"] in MODELS]
    return seeds, [
        *left_out(len(completed) - len(counted), "on spirals"),
        *unfinished(of_table, counted, "on spirals"),
        *not_finite(counted, ["rmse/test"]),
    ]


def scored(cells: Cells) -> tuple[Cells, list[str]]:
    """The cells without the runs in `CHOSEN_BY`, and notes on these."""
    kept: Cells = {
        key: [run for run in runs if choice(key, run) not in CHOSEN_BY]
        for key, runs in cells.items()
    }
    notes = [
        f"Seed {seed:g} of the {MODELS[model]} with {count} observations is left out: {why}."
        for (model, count, seed, _, _), why in CHOSEN_BY.items()
        if len(kept.get((model, count), [])) < len(cells.get((model, count), []))
    ]
    return kept, notes


def choice(cell: tuple[str, int], run: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key of a run in `CHOSEN_BY`."""
    return *cell, run.get("seed"), run.get("protocol"), run.get("last/step")


def numbers(runs: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    """A test metric of each run that has it: at the best epoch, or with `last/` at the last."""
    return [run[f"{metric}/test"] for run in runs if f"{metric}/test" in run]
