"""Selection of the runs that the tables of irregular series count, and notes on all runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import nan

from pandas import DataFrame

from ...reports.records import (
    Record,
    differences,
    has,
    left_out,
    most_alike,
    one_per_seed,
    trainings,
    unfinished,
    with_same_budget,
)
from ...reports.verdicts import epoch_sentence

__all__ = ["Cells", "Counted", "Record", "collect", "first_metric", "protocols"]

Cells = Mapping[tuple[str, float], Sequence[Record]]


@dataclass(frozen=True)
class Counted:
    """The runs of a table.

    Attributes:
        cells: Runs by model and by the value of a dataset setting, or 0 without such a setting;
            one run per seed, in ascending order of seeds.
        notes: Sentences on the runs that were joined and on those that were left out.
    """

    cells: Cells
    notes: list[str]

    @property
    def runs(self) -> list[Record]:
        """The runs of all cells."""
        return [run for members in self.cells.values() for run in members]

    def by_model(self) -> dict[str, Sequence[Record]]:
        """The cells of a table that has one cell per model."""
        return {model: members for (model, _), members in self.cells.items()}


def collect(
    runs: DataFrame,
    dataset: str,
    task: str | None,
    models: Collection[str],
    metrics: Sequence[str],
    setting: str | None = None,
) -> Counted:
    """Collect the runs that a table counts, in the order of its models.

    The runs of all cells were trained on the same data for the same number of steps; the runs of
    one cell differ only in their seed, and of two with the same seed the last to start counts.

    Args:
        models: Names as returned by `model_of`.
        metrics: Tags, of which a run needs at least one.
        setting: Dataset setting that tells the cells of a model apart.
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
    for run in with_same_budget(measured, ignore=varied):
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
    """The name of a run's model; a latent ODE with an RNN encoder has a separate name."""
    name = str(run["config.model.name"])
    other = name == "irregular_latent_ode" and run.get("config.model.encoder") == "rnn"
    return f"{name}/rnn" if other else name


def first_metric(run: Record, metrics: Sequence[str]) -> float:
    """The value of the first of these metrics that a run has; NaN if it has none."""
    return next((run[name] for name in metrics if has(run, [name])), nan)


def protocols(runs: Sequence[Record]) -> str:
    """Sentences on how long these runs trained and on the epoch of their metrics."""
    if not runs:
        return "No run of ours is finished."
    budgets = sorted({(str(run.get("protocol")), int(run.get("last/step", 0))) for run in runs})
    named = ", ".join(
        f"{name} ({steps:,} training steps)" if steps else name for name, steps in budgets
    )
    return " ".join(filter(None, [f"Our protocol: {named}.", epoch_sentence(runs)]))
