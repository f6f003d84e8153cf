"""Runs of normalizing flows as Figures 4 and 5 need them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from ...reports.rank_test import UNDECIDED
from ...reports.records import has, most_alike, one_per_seed, trainings, unfinished
from ...reports.seed_tests import LEVEL, holm, welch_p
from ...reports.table import Cell, Estimate

__all__ = [
    "MODELS",
    "ONE_SEED",
    "SPREAD",
    "Record",
    "by_dataset",
    "by_target",
    "cell",
    "corrected_ps",
    "estimate",
    "finite",
    "has_seeds",
    "not_counted",
    "number",
    "of_energies",
    "of_points",
    "panels_of",
    "tested_by",
]

Record = Mapping[str, Any]
MODELS = {"planar_nf": "NF", "planar_cnf": "CNF"}
SPREAD = (
    "Of several seeds: their mean ± sample standard deviation (number of seeds); figures show the "
    "first one's density."
)
ONE_SEED = (
    "Each cell is one trained flow, and ± is the error of its estimate alone: for flows in "
    f"general this is {UNDECIDED}."
)
COUNTS = ("config.model.units", "step", "parameters")  # numbers that every row needs
K = TypeVar("K", bound=Hashable)
Runs = list[Record]


def estimate(runs: Sequence[Record], tag: str) -> Estimate:
    """A metric on test data, over seeds; the spread of one run is its own standard error.

    That error is the metric `<tag>_se`; NaN where there is none.
    """
    if len(runs) == 1:
        return Estimate(number(runs[0], tag), number(runs[0], f"{tag}_se"), 1)
    found = Estimate.of(number(run, tag) for run in runs)
    assert found is not None
    return found


def cell(runs: Sequence[Record], tag: str, digits: int) -> Cell:
    """Mean and spread, and over how many seeds if that is more than one."""
    form = f".{digits}f"
    return estimate(runs, tag).cell(form, form, count=2)


def of_energies(runs: DataFrame) -> Runs:
    """Trainings of planar flows by density matching, however they ended."""
    return [run for run in of_planar(runs) if run.get("config.dataset.name") == "energies"]


def of_points(runs: DataFrame) -> Runs:
    """The same by maximum likelihood."""
    return [run for run in of_planar(runs) if run.get("config.dataset.name") != "energies"]


def of_planar(runs: DataFrame) -> Runs:
    """Trainings of planar flows, however they ended."""
    return [run for run in trainings(runs) if run.get("config.model.name") in MODELS]


def by_target(runs: DataFrame) -> dict[str, dict[tuple[str, int], Runs]]:
    """Completed runs of density matching by energy, and by model and units; one of each seed."""
    found: dict[str, dict[tuple[str, int], Runs]] = {}
    for run in finite(of_energies(runs), "kl"):
        if has(run, COUNTS, ["config.dataset.energy"]):
            key = run["config.model.name"], run["config.model.units"]
            found.setdefault(run["config.dataset.energy"], {}).setdefault(key, []).append(run)
    return one_of_each_seed(found)


def by_dataset(runs: DataFrame) -> dict[str, dict[str, Runs]]:
    """Completed runs of maximum likelihood by dataset and model; one of each seed."""
    found: dict[str, dict[str, Runs]] = {}
    for run in finite(of_points(runs), "log_likelihood"):
        if has(run, COUNTS):
            cells = found.setdefault(str(run.get("config.dataset.name")), {})
            cells.setdefault(run["config.model.name"], []).append(run)
    return one_of_each_seed(found)


def one_of_each_seed(found: Mapping[str, Mapping[K, Runs]]) -> dict[str, dict[K, Runs]]:
    """The last run of each seed, seeds rising, of those that differ in nothing else."""
    return {
        name: {key: one_per_seed(most_alike(members)) for key, members in cells.items()}
        for name, cells in sorted(found.items())
    }


def finite(runs: Iterable[Record], tag: str) -> Runs:
    """Those that are completed and have a finite number of this metric on test data."""
    return [
        run
        for run in runs
        if run["status"] == "completed" and math.isfinite(run.get(f"{tag}/test", math.nan))
    ]


def not_counted(
    runs: Sequence[Record], cells: Iterable[Sequence[Record]], tag: str, where: str
) -> list[str]:
    """Notes on runs that a table could have shown and does not; none if there are none.

    Args:
        runs: All of them, however they ended.
        cells: Those that it shows.
        tag: The metric, which may be infinite or NaN.
        where: What the runs are of.
    """
    odd = sum(
        run["status"] == "completed"
        and f"{tag}/test" in str(run.get("not_finite", "")).split(", ")
        for run in runs
    )
    what = f"Completed runs {where} whose result is not a finite number, not counted: {odd}."
    counted = [run for seeds in cells for run in seeds]
    return [*unfinished(runs, counted, where), *([what] if odd else [])]


def corrected_ps(pairs: Mapping[K, tuple[Sequence[float], Sequence[float]]]) -> dict[K, float]:
    """The p of each pair that has several seeds of both, as `tested_by` says.

    >>> corrected_ps({"one seed each": ([1.0], [2.0])})
    {}
    """
    ps = {name: welch_p(*pair) for name, pair in pairs.items() if min(map(len, pair)) > 1}
    return dict(zip(ps, holm(list(ps.values())), strict=True))


def tested_by(what: str, count: int) -> str:
    """How so many pairs are tested."""
    correction = f" after Holm's correction for {count} tests" if count > 1 else ""
    return f"Welch's t-test of {what} over seeds, p < {LEVEL:g}{correction}"


def has_seeds(found: Mapping[str, Mapping[Any, Sequence[Record]]]) -> bool:
    """Whether anything was run with more than one seed."""
    return any(len(runs) > 1 for cells in found.values() for runs in cells.values())


def panels_of(runs: Iterable[Record]) -> dict[str, NDArray] | None:
    """The arrays that the first of these runs kept that kept any that can be read."""
    for run in runs:
        try:
            with np.load(Path(run["directory"]) / "panels.npz") as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError):
            continue
    return None


def number(run: Record, tag: str) -> float:
    """A metric of the test data, NaN where there is none."""
    return run.get(f"{tag}/test", float("nan"))
