"""Plain and augmented neural ODEs on spheres, over seeds: a table and the flows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pandas import DataFrame

from ...reports.grouped import measured
from ...reports.records import group_runs, not_finite, trainings
from ...reports.table import ReportTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["flows", "spheres_table"]

SEPARATED = 0.99  # accuracy below which a run counts as a failure
COLUMNS = {
    "loss/test": ("test loss", 1.0, ".2g"),
    "accuracy/test": ("test accuracy", 1.0, ".4f"),
    "nfe/forward": ("evaluations per solve", 1.0, ".0f"),
}


def group_by_kind(runs: DataFrame) -> dict[tuple[int, int], list[Mapping[str, Any]]]:
    """Runs on spheres by dimension and number of augmented dimensions, sorted by them.

    Among runs that differ in nothing else, the last uninterrupted one of each seed.
    """
    uninterrupted = [
        run
        for run in trainings(runs)
        if run.get("config.model.name") == "sphere_ode" and run["status"] != "interrupted"
    ]
    return group_runs(
        uninterrupted,
        lambda run: (int(run["config.dataset.dim"]), int(run["config.model.augment"])),
    )


def spheres_table(runs: DataFrame) -> ReportTable:
    """Table of loss, accuracy and evaluations over seeds, with the number of failed runs."""
    rows, counted = [], []
    for (dim, augment), all_runs in group_by_kind(runs).items():
        done = [run for run in all_runs if run["status"] == "completed"]
        failures = len(all_runs) - sum(run.get("accuracy/test", 0) >= SEPARATED for run in done)
        counted += done
        kind = "plain" if not augment else f"augmented by {augment}"
        rows.append([f"{dim}-d", kind, len(all_runs), *measured(done, COLUMNS), failures])
    return ReportTable.of(
        "Concentric spheres",
        ["spheres", "neural ODE", "seeds", *(name for name, *_ in COLUMNS.values()), "failures"],
        rows,
        caption="Squared error and accuracy on held-out points, and function evaluations of a "
        "training solve, mean ± sample standard deviation over seeds.",
        notes=[
            f"A failure is a run with an accuracy below {100 * SEPARATED:.0f} %, or whose solver "
            "gave up.",
            *not_finite(counted, COLUMNS),
        ],
    )  # fmt: skip


def flows(runs: DataFrame, title: str) -> Figure:
    """The flow of the first seed of each kind, a column for plain and one for augmented.

    Raises:
        ValueError: No run kept its flow.
    """
    from ...figures.style import new_figure, style  # imported only to draw
    from .sphere_figures import draw_flow

    kinds = {
        key: members
        for key, members in group_by_kind(runs).items()
        if (Path(members[0]["directory"]) / "flow.npz").is_file()
    }
    if not kinds:
        raise ValueError(
            "no run on spheres with its flow.npz is among them; make some with "
            "node-run sweep=anode_spheres"
        )
    rows, columns = sorted({key[0] for key in kinds}), sorted({key[1] for key in kinds})
    with style():
        figure = new_figure(width=8.2, height=3.6 * len(rows))
        for (dim, augment), members in kinds.items():
            with np.load(Path(members[0]["directory"]) / "flow.npz") as file:
                arrays = {name: file[name] for name in file.files}
            place = rows.index(dim) * len(columns) + columns.index(augment) + 1
            axis = draw_flow(figure, (len(rows), len(columns), place), arrays)
            accuracy = members[0].get("accuracy/test", float("nan"))
            kind = "plain" if not augment else f"augmented by {augment}"
            axis.set_title(f"{dim}-d, {kind}: accuracy {100 * accuracy:.1f} %", fontsize=11)
        figure.suptitle("a ball (blue) and the shell around it (orange), carried by a neural ODE")
    return figure
