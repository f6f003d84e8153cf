"""Runs of normalizing flows as Figures 4 and 5 need them."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...runs.run import Run

__all__ = ["MODELS", "SPREAD", "Estimate", "by_dataset", "by_target", "has_seeds", "panels_of"]

MODELS = {"planar_nf": "NF", "planar_cnf": "CNF"}
SPREAD = (
    "Of several seeds: their mean ± sample standard deviation (number of seeds); figures show the "
    "first one's density."
)
K = TypeVar("K", bound=Hashable)
Runs = list[Run]


@dataclass
class Estimate:
    """A metric of the test data, from one run or from several seeds.

    Attributes:
        spread: Sample standard deviation over seeds; of one run its own standard error.
        count: Number of seeds.
    """

    mean: float
    spread: float
    count: int

    @classmethod
    def of(cls, runs: Sequence[Run], tag: str) -> Estimate:
        """Of this metric, whose standard error is `<tag>_se`; NaN where there is none."""
        values = [number(run, tag) for run in runs]
        if len(values) == 1:
            return cls(values[0], number(runs[0], f"{tag}_se"), 1)
        return cls(statistics.fmean(values), statistics.stdev(values), len(values))

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.spread / self.count**0.5

    def text(self, digits: int) -> str:
        """Mean and spread, and over how many seeds if that is more than one."""
        text = f"{self.mean:.{digits}f} ± {self.spread:.{digits}f}"
        return text if self.count == 1 else f"{text} ({self.count})"


def by_target(runs: Iterable[Run]) -> dict[str, dict[tuple[str, int], Runs]]:
    """Completed runs of density matching by energy, and by model and units; one of each seed."""
    found: dict[str, dict[tuple[str, int], dict[int, Run]]] = {}
    for run in chosen(runs):
        config = run.config
        if config.get("dataset.name") == "energies":
            key = config["model.name"], config["model.units"]
            cell = found.setdefault(config["dataset.energy"], {}).setdefault(key, {})
            cell[config.get("seed", 0)] = run
    return seeds_in_order(found)


def by_dataset(runs: Iterable[Run]) -> dict[str, dict[str, Runs]]:
    """Completed runs of maximum likelihood by dataset and model; one of each seed."""
    found: dict[str, dict[str, dict[int, Run]]] = {}
    for run in chosen(runs):
        config = run.config
        if "log_likelihood/test" in run.metrics:
            cells = found.setdefault(str(config.get("dataset.name")), {})
            cells.setdefault(config["model.name"], {})[config.get("seed", 0)] = run
    return seeds_in_order(found)


def seeds_in_order(found: Mapping[str, Mapping[K, dict[int, Run]]]) -> dict[str, dict[K, Runs]]:
    """The last run of each seed, seeds rising."""
    return {
        name: {key: [run for _, run in sorted(seeds.items())] for key, seeds in cells.items()}
        for name, cells in sorted(found.items())
    }


def chosen(runs: Iterable[Run]) -> Runs:
    """Those of planar flows that are completed."""
    return [r for r in runs if r.status == "completed" and r.config.get("model.name") in MODELS]


def has_seeds(found: Mapping[str, Mapping[Any, Runs]]) -> bool:
    """Whether anything was run with more than one seed."""
    return any(len(runs) > 1 for cells in found.values() for runs in cells.values())


def panels_of(runs: Sequence[Run]) -> dict[str, NDArray] | None:
    """The arrays that the first of these runs kept that kept any that can be read."""
    for run in runs:
        path: Path = run.folder / "panels.npz"
        try:
            with np.load(path) as file:
                return {name: file[name] for name in file.files}
        except (OSError, ValueError):
            continue
    return None


def number(run: Run, tag: str) -> Any:
    """A metric of the test data, NaN where there is none."""
    return run.metrics.get(f"{tag}/test", float("nan"))
