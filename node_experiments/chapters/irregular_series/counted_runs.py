"""Which runs the tables of irregular series count, and what they say of them and of the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

from pandas import DataFrame

from ...reports.budget import of_one_budget
from ...reports.records import (
    differences,
    has,
    left_out,
    most_alike,
    one_per_seed,
    trainings,
    unfinished,
)
from ...reports.verdicts import epoch_sentence

__all__ = ["Cells", "Counted", "Record", "collect", "first_of", "protocols"]

Record = Mapping[str, Any]
Cells = Mapping[tuple[str, float], Sequence[Record]]


@dataclass(frozen=True)
class Counted:
    """The runs of a table.

    Attributes:
        cells: By model and a setting of the data, which is 0 where none tells cells apart; one run
            of each seed, seeds rising.
        notes: What was joined, and what was left out.
    """

    cells: Cells
    notes: list[str]

    @property
    def runs(self) -> list[Record]:
        """Those of all cells."""
        return [run for members in self.cells.values() for run in members]

    def by_model(self) -> dict[str, Sequence[Record]]:
        """The cells of a table that has one for each model."""
        return {model: members for (model, _), members in self.cells.items()}


def collect(
    runs: DataFrame,
    dataset: str,
    task: str | None,
    models: Collection[str],
    metrics: Sequence[str],
    setting: str | None = None,
) -> Counted:
    """The runs that a table counts, in the order of its models.

    All cells hold runs that learned from the same data in as many steps; the runs of one cell
    differ in nothing but their seed, and of two with the same seed the last to start counts.

    Args:
        models: Names as `model_of` gives them.
        metrics: Tags of which a run needs one.
        setting: Of the data, which tells the cells of a model apart.
    """
    varied = [] if setting is None else [f"dataset.{setting}"]
    asked = {"config.dataset.name": dataset, "config.dataset.task": task}
    own = [
        run
        for run in trainings(runs)
        if all(run.get(key) == value for key, value in asked.items())
        and run.get("config.model.variant") != "official_bug"
        and has(run, [f"config.{name}" for name in varied], ["config.model.name"])
        and model_of(run) in models
    ]
    completed = [run for run in own if run["status"] == "completed"]
    measured = [run for run in completed if any(has(run, [name]) for name in metrics)]
    found: dict[tuple[str, float], list[Record]] = defaultdict(list)
    for run in of_one_budget(measured, but=varied):
        value = run[f"config.dataset.{setting}"] if setting else 0.0
        found[model_of(run), value].append(run)
    ranks = {model: rank for rank, model in enumerate(models)}
    cells = {
        key: one_per_seed(most_alike(found[key]))
        for key in sorted(found, key=lambda key: (ranks[key[0]], key[1]))
    }
    kept = [run for members in cells.values() for run in members]
    where = f"on {dataset}" if task is None else f"on {dataset} ({task})"
    notes = differences(cells.values(), what="Seeds of one cell")
    notes += left_out(len(measured) - len(kept), where) + unfinished(own, kept, where)
    if len(measured) < len(completed):
        lost = len(completed) - len(measured)
        notes.append(f"Completed runs {where} without the number, not counted: {lost}.")
    return Counted(cells, notes)


def model_of(run: Record) -> str:
    """The name of a run's model; a latent ODE with an RNN as its encoder has a separate one."""
    name = str(run["config.model.name"])
    other = name == "irregular_latent_ode" and run.get("config.model.encoder") == "rnn"
    return f"{name}/rnn" if other else name


def first_of(run: Record, metrics: Sequence[str]) -> float:
    """The first of these numbers that a run has; NaN if it has none."""
    return next((run[name] for name in metrics if has(run, [name])), nan)


def protocols(runs: Sequence[Record]) -> str:
    """How long these runs trained, and which epoch their numbers are of."""
    if not runs:
        return "No run of ours is finished."
    budgets = sorted({(str(run.get("protocol")), int(run.get("last/step", 0))) for run in runs})
    named = ", ".join(
        f"{name} ({steps:,} training steps)" if steps else name for name, steps in budgets
    )
    return " ".join(filter(None, [f"Our protocol: {named}.", epoch_sentence(runs)]))
