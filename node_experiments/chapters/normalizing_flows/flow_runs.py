"""Selection, estimates and tests of runs of normalizing flows, for Figures 4 and 5."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from ...reports.rank_test import SIGNIFICANCE_LEVEL, UNDECIDED
from ...reports.records import (
    Record,
    has,
    most_alike,
    odd_tags,
    one_per_seed,
    trainings,
    unfinished,
)
from ...reports.seed_tests import holm, welch_p
from ...reports.table import Cell, Estimate

__all__ = [
    "MODELS",
    "ONE_SEED",
    "SPREAD",
    "Record",
    "cell",
    "corrected_ps",
    "density_matching_runs",
    "describe_test",
    "estimate",
    "finite_runs",
    "group_by_dataset",
    "group_by_target",
    "has_seeds",
    "load_panels",
    "maximum_likelihood_runs",
    "metric_value",
    "metric_values",
    "not_counted",
]

MODELS = {"planar_nf": "NF", "planar_cnf": "CNF"}
SPREAD = (
    "With several seeds: mean ± sample standard deviation (number of seeds); figures show the "
    "density of the first seed."
)
ONE_SEED = (
    "Each cell is one trained flow, and ± is the error of its estimate alone: for flows in "
    f"general this is {UNDECIDED}."
)
COUNTS = ("config.model.units", "step", "parameters")  # required for every row
K = TypeVar("K", bound=Hashable)
Runs = list[Record]


def estimate(runs: Sequence[Record], tag: str) -> Estimate:
    """Estimate a test metric over seeds; for a single run the error is its own standard error.

    That error is the metric `<tag>_se`; NaN if the run has none.
    """
    if len(runs) == 1:
        return Estimate(metric_value(runs[0], tag), metric_value(runs[0], f"{tag}_se"), 1)
    found = Estimate.of(metric_value(run, tag) for run in runs)
    assert found is not None
    return found


def cell(runs: Sequence[Record], tag: str, digits: int) -> Cell:
    """A cell with mean and spread, and the number of seeds if there are several."""
    form = f".{digits}f"
    return estimate(runs, tag).cell(form, form, count=2)


def density_matching_runs(runs: DataFrame) -> Runs:
    """Training runs of planar flows by density matching, of any status."""
    return [run for run in planar_runs(runs) if run.get("config.dataset.name") == "energies"]


def maximum_likelihood_runs(runs: DataFrame) -> Runs:
    """Training runs of planar flows by maximum likelihood, of any status."""
    return [run for run in planar_runs(runs) if run.get("config.dataset.name") != "energies"]


def planar_runs(runs: DataFrame) -> Runs:
    """Training runs of planar flows, of any status."""
    return [run for run in trainings(runs) if run.get("config.model.name") in MODELS]


def group_by_target(runs: DataFrame) -> dict[str, dict[tuple[str, int], Runs]]:
    """Completed runs of density matching by energy, then by (model, units); one per seed."""
    found: dict[str, dict[tuple[str, int], Runs]] = {}
    for run in finite_runs(density_matching_runs(runs), "kl"):
        if has(run, COUNTS, ["config.dataset.energy"]):
            key = run["config.model.name"], run["config.model.units"]
            found.setdefault(run["config.dataset.energy"], {}).setdefault(key, []).append(run)
    return keep_one_per_seed(found)


def group_by_dataset(runs: DataFrame) -> dict[str, dict[str, Runs]]:
    """Completed runs of maximum likelihood by dataset and model; one per seed."""
    found: dict[str, dict[str, Runs]] = {}
    for run in finite_runs(maximum_likelihood_runs(runs), "log_likelihood"):
        if has(run, COUNTS):
            cells = found.setdefault(str(run.get("config.dataset.name")), {})
            cells.setdefault(run["config.model.name"], []).append(run)
    return keep_one_per_seed(found)


def keep_one_per_seed(found: Mapping[str, Mapping[K, Runs]]) -> dict[str, dict[K, Runs]]:
    """Keep the last run of each seed, sorted by seed, among runs that differ in nothing else."""
    return {
        name: {key: one_per_seed(most_alike(members)) for key, members in cells.items()}
        for name, cells in sorted(found.items())
    }


def finite_runs(runs: Iterable[Record], tag: str) -> Runs:
    """The completed runs whose metric on test data is finite."""
    return [
        run
        for run in runs
        if run["status"] == "completed" and math.isfinite(run.get(f"{tag}/test", math.nan))
    ]


def not_counted(
    runs: Sequence[Record], cells: Iterable[Sequence[Record]], tag: str, where: str
) -> list[str]:
    """Notes on runs that a table leaves out; empty if there are none.

    Args:
        runs: All runs, of any status.
        cells: The runs that the table shows.
        tag: The metric, which may be infinite or NaN.
        where: A description of the runs for the notes, such as `of density matching`.
    """
    odd = sum(run["status"] == "completed" and f"{tag}/test" in odd_tags(run) for run in runs)
    what = f"Completed runs {where} whose result is not a finite number, not counted: {odd}."
    counted = [run for seeds in cells for run in seeds]
    return [*unfinished(runs, counted, where), *([what] if odd else [])]


def corrected_ps(pairs: Mapping[K, tuple[Sequence[float], Sequence[float]]]) -> dict[K, float]:
    """The corrected p of each pair with several seeds on both sides, tested as in `describe_test`.

    >>> corrected_ps({"one seed each": ([1.0], [2.0])})
    {}
    """
    ps = {name: welch_p(*pair) for name, pair in pairs.items() if min(map(len, pair)) > 1}
    return dict(zip(ps, holm(list(ps.values())), strict=True))


def describe_test(what: str, count: int) -> str:
    """Describe the test of this number of pairs."""
    correction = f" after Holm's correction for {count} tests" if count > 1 else ""
    return f"Welch's t-test of {what} over seeds, p < {SIGNIFICANCE_LEVEL:g}{correction}"


def has_seeds(found: Mapping[str, Mapping[Any, Sequence[Record]]]) -> bool:
    """Whether any cell has more than one seed."""
    return any(len(runs) > 1 for cells in found.values() for runs in cells.values())


def load_panels(runs: Iterable[Record]) -> dict[str, NDArray] | None:
    """The arrays of the first of these runs whose `panels.npz` is readable; None without any."""
    for run in runs:
        try:
            with np.load(Path(run["directory"]) / "panels.npz") as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError):
            continue
    return None


def metric_values(runs: Iterable[Record], tag: str) -> list[float]:
    """A metric on test data, of the runs that have it."""
    return [run[f"{tag}/test"] for run in runs if f"{tag}/test" in run]


def metric_value(run: Record, tag: str) -> float:
    """A metric on test data; NaN if the run has none."""
    return run.get(f"{tag}/test", float("nan"))
