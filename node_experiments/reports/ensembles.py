"""An ensemble over seeds: runs that differ in nothing else, as one predictive distribution.

Its distribution is the equally weighted mixture of its members' (Lakshminarayanan et al. 2017).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from ..runs.directory import FORECASTS
from .mixtures import crps, in_central_interval
from .records import Record, by_settings, one_per_seed, records
from .table import Cell, Estimate, ReportTable

__all__ = ["ensemble_table"]

Arrays = Mapping[str, NDArray[Any]]
COLUMNS = {"mse": ("MSE", ".4f"), "crps": ("CRPS", ".4f"), "coverage": ("90 % band", ".3f")}


def ensemble_table(runs: DataFrame, title: str) -> ReportTable:
    """Table of mean scores of the members beside those of their ensemble, one row per setting.

    Scores are over all held-out test values, in the units in which the models read them. Members
    that were tested on different values, such as another draw of observations, form no ensemble.
    """
    completed = [
        run
        for run in records(runs)
        if run["status"] == "completed" and (Path(run["directory"]) / FORECASTS).is_file()
    ]
    names, groups = by_settings(completed)
    rows, notes = [], []
    for key, found in groups.items():
        members = one_per_seed(found)
        label = ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))
        label = label or str(members[0]["name"])
        forecasts = []
        for member in members:
            if (forecast := read(member)) is None:
                notes.append(f"{member['directory']}: {FORECASTS} is damaged; left out.")
            else:
                forecasts.append(forecast)
        if not forecasts:
            continue
        if not all(same_values(forecasts[0], other) for other in forecasts[1:]):
            notes.append(f"{label}: its seeds were tested on different values; no ensemble.")
            continue
        rows.append([label, len(forecasts), *columns(forecasts)])
    headings = [
        f"{name}{of}" for name, _ in COLUMNS.values() for of in (", members", ", ensemble")
    ]
    return ReportTable.of(
        f"Ensembles of {title}",
        ["runs", "seeds", *headings],
        rows,
        caption="Held-out test values, within the span of the observations and beyond it, in the "
        "units in which the models read them: mean over the seeds and standard deviation, and the "
        "even mixture of their predictive distributions.",
        notes=notes,
        missing="-",
    )


def read(run: Record) -> Arrays | None:
    """The forecasts of a run; None if its file is damaged."""
    try:
        with (Path(run["directory"]) / FORECASTS).open("rb") as stream:
            content = np.load(stream)
            found = {name: content[name] for name in ("values", "means", "std")}
    except (OSError, ValueError, EOFError, KeyError, IndexError, BadZipFile, zlib.error):
        return None
    fits = found["means"].ndim == 2 and found["means"].shape[1:] == found["values"].shape
    return found if fits else None


def same_values(one: Arrays, other: Arrays) -> bool:
    """Whether two runs predict the same values."""
    return one["values"].shape == other["values"].shape and bool(
        np.allclose(one["values"], other["values"])
    )


def columns(members: Sequence[Arrays]) -> list[Cell | None]:
    """Cells with the scores of the members and of their mixture."""
    alone = [scores([each]) for each in members]
    together = scores(members) if len(members) > 1 else None
    cells: list[Cell | None] = []
    for name, (_, form) in COLUMNS.items():
        estimate = Estimate.of(each[name] for each in alone)
        cells.append(None if estimate is None else estimate.cell(form, form))
        cells.append(None if together is None else Cell.number(together[name], form))
    return cells


def scores(members: Sequence[Arrays]) -> dict[str, float]:
    """Scores of the equally weighted mixture of the members' distributions."""
    values = members[0]["values"].astype(np.float64)
    means = np.concatenate([each["means"] for each in members]).astype(np.float64)
    std = np.concatenate(
        [np.broadcast_to(each["std"], each["means"].shape) for each in members]
    ).astype(np.float64)
    return {
        "mse": float(((means.mean(0) - values) ** 2).mean()),
        "crps": float(crps(values, means, std).mean()),
        "coverage": float(in_central_interval(values, means, std).mean()),
    }
