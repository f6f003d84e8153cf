"""Runs of normalizing flows as Figures 4 and 5 need them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .runs import Run

__all__ = ["MODELS", "by_dataset", "by_target", "number", "panels_of"]

MODELS = {"planar_nf": "NF", "planar_cnf": "CNF"}


def by_target(runs: Iterable[Run]) -> dict[str, dict[tuple[str, int], Run]]:
    """Completed runs of density matching by energy, and by model and units; the last of each."""
    found: dict[str, dict[tuple[str, int], Run]] = {}
    for run in chosen(runs):
        config = run.config
        if config.get("dataset.name") == "energies":
            key = config["model.name"], config["model.units"]
            found.setdefault(config["dataset.energy"], {})[key] = run
    return dict(sorted(found.items()))


def by_dataset(runs: Iterable[Run]) -> dict[str, dict[str, Run]]:
    """Completed runs of maximum likelihood by dataset and model; the last of each."""
    found: dict[str, dict[str, Run]] = {}
    for run in chosen(runs):
        if "log_likelihood/test" in run.metrics:
            name = str(run.config.get("dataset.name"))
            found.setdefault(name, {})[run.config["model.name"]] = run
    return dict(sorted(found.items()))


def chosen(runs: Iterable[Run]) -> list[Run]:
    """Those of planar flows that are completed."""
    return [r for r in runs if r.status == "completed" and r.config.get("model.name") in MODELS]


def panels_of(run: Run) -> dict[str, NDArray] | None:
    """The arrays that a run kept, or None where it kept none that can be read."""
    path: Path = run.folder / "panels.npz"
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError):
        return None


def number(run: Run, tag: str) -> Any:
    """A metric of the test data, NaN where there is none."""
    return run.metrics.get(f"{tag}/test", float("nan"))
