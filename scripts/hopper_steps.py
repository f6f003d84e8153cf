"""Errors of interpolation on the Hopper against the steps of training."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from node_experiments.chapters.irregular_series.counted_runs import Cells
from node_experiments.chapters.irregular_series.tables import (
    HOPPER,
    MODELS,
    OBSERVED_FRACTIONS,
    cell,
    errors,
    forecasts,
)
from node_experiments.reports.rank_test import compare
from node_experiments.reports.records import Record
from node_experiments.reports.seed_tests import describe_comparison
from node_experiments.reports.table import Cell, ReportTable
from node_experiments.runs import load_runs

LATENT_ODE = "irregular_latent_ode"
VALIDATION = "mse_samples/validation"
LONG = "_epochs"  # is in the names of folders of longer trainings than the table's
WIDE = "_wide"  # ends the names of folders of runs with the published dynamics
PUBLISHED_STEPS = 300 * 160  # epochs of as many batches of 50 trajectories
SHARE = 0.1  # observed, where models are compared
SEEDS = 3  # of a training that is compared with the published errors


@dataclass(frozen=True)
class Training:
    """Runs of equal steps.

    Attributes:
        wide: Whether the dynamics have the four layers of 300 units of the official code, instead
            of two of 100.
    """

    cells: Cells
    epochs: int
    steps: int
    wide: bool

    @property
    def runs(self) -> list[Record]:
        """The runs of all cells."""
        return [run for members in self.cells.values() for run in members]

    @property
    def name(self) -> str:
        """Its length, and its dynamics if they are wide."""
        return f"{self.epochs} epochs" + (", four layers of 300" if self.wide else "")


def hopper_trainings(reference: Path) -> list[Training]:
    """All trainings, one per folder, by rising steps."""
    found = []
    for folder in reference.glob("hopper_interpolation*"):
        runs = load_runs(folder)
        if LONG in folder.name:
            # Interpolation never reads this setting, whose default changed between two seeds. (In
            # the other folders it also tells apart the two ways in which gaps were stepped over.)
            runs = runs.drop(columns="config.model.teacher_forcing", errors="ignore")
        counted = forecasts(runs, "hopper", "interpolation")
        ((epochs, steps),) = {
            (int(run["config.trainer.epochs"]), int(run["last/step"])) for run in counted.runs
        }
        found.append(Training(counted.cells, epochs, steps, folder.name.endswith(WIDE)))
    return sorted(found, key=lambda each: (each.steps, each.wide))


def best_of(trainings: list[Training], share: float) -> Training:
    """The one whose latent ODEs have the lowest mean error on validation data.

    Each seed draws other windows, so trainings of fewer than three count only if there are no
    others.
    """
    own = [each for each in trainings if (LATENT_ODE, share) in each.cells]
    several = [each for each in own if len(each.cells[LATENT_ODE, share]) >= SEEDS]
    return min(
        several or own,
        key=lambda each: fmean(run[VALIDATION] for run in each.cells[LATENT_ODE, share]),
    )


def hopper_steps(reference: Path) -> list[ReportTable]:
    """All models with the fewest points observed, and latent ODEs with all fractions."""
    found = hopper_trainings(reference)
    return [by_model(found), by_fraction(found)]


def by_model(trainings: list[Training]) -> ReportTable:
    """Errors of all models with 10 % of the points, one column for each number of steps."""
    published, at = HOPPER["interpolation"], OBSERVED_FRACTIONS.index(SHARE)
    budgets = sorted(
        {each.steps for each in trainings for _, share in each.cells if share == SHARE}
    )
    rows: list[list[Any]] = []
    for wide, models in ((False, MODELS), (True, {LATENT_ODE: "the same, four layers of 300"})):
        by_steps = {each.steps: each.cells for each in trainings if each.wide == wide}
        for model, label in models.items():
            ours = [errors(by_steps.get(steps, {}), model, SHARE) for steps in budgets]
            rows.append([label, *map(cell, ours), Cell.number(published[model][at], ".3f")])
    return ReportTable.of(
        "The Hopper's models against their training",
        ["model", *(f"{steps:,} steps" for steps in budgets), "published"],
        rows,
        caption=f"Test MSE x 100 with {SHARE:.0%} of the points observed, against the steps of "
        "training; mean, standard deviation and number of seeds. Published are errors after about "
        f"{PUBLISHED_STEPS:,} steps.",
        notes=[width_sentence(trainings)],
        missing="-",
    )


def width_sentence(trainings: list[Training]) -> str:
    """Whether wider dynamics have another error on validation data after equal steps."""
    by_budget = {(each.steps, each.wide): each.cells for each in trainings}
    steps = min(steps for steps, wide in by_budget if wide)
    medians = []
    for metric in (VALIDATION, "mse_samples/test"):
        wide, narrow = (
            [100 * run[metric] for run in by_budget[steps, each][LATENT_ODE, SHARE]]
            for each in (True, False)
        )
        found = compare(wide, narrow)
        data = metric.partition("/")[2]
        medians.append(
            f"{found.verdict} on {data} data (medians {found.ours:.3f} and {found.theirs:.3f}, "
            f"p = {found.p:.2g})"
        )
    return (
        "With dynamics of four layers of 300 units, as in the official code, instead of two of "
        f"100, the latent ODE's error after {steps:,} steps is {' and '.join(medians)}."
    )


def by_fraction(trainings: list[Training]) -> ReportTable:
    """Errors of latent ODEs for each fraction of the points, one row for each training."""
    published = HOPPER["interpolation"][LATENT_ODE]
    rows: list[list[Any]] = []
    for each in trainings:
        cells = (cell(errors(each.cells, LATENT_ODE, share)) for share in OBSERVED_FRACTIONS)
        rows.append([each.name, Cell.number(each.steps, ",.0f"), *cells])
    about = Cell(f"about {PUBLISHED_STEPS:,}", {"": PUBLISHED_STEPS})
    rows.append(["published", about, *(Cell.number(value, ".3f") for value in published)])
    notes = []
    for share, known in zip(OBSERVED_FRACTIONS, published, strict=True):
        best = best_of(trainings, share)
        ours = errors(best.cells, LATENT_ODE, share)
        verdict = describe_comparison(ours, [known] * len(ours), "the published one")
        notes.append(
            f"{share:.0%} observed, {best.name}: {fmean(ours) / known:.2f} times the published "
            f"error; {verdict}."
        )
    return ReportTable.of(
        "The Hopper's latent ODE against its training",
        ["", "training steps", *(f"{share:.0%}" for share in OBSERVED_FRACTIONS)],
        rows,
        caption="Test MSE x 100 of the latent ODE with an ODE encoder by the fraction of the "
        "points observed, one cycle each. Below the table, of the trainings with three seeds or "
        "more, the one with the lowest error on validation data is compared with the published "
        "error by a t-test over seeds; no spread is published, so the published error counts as "
        "exact.",
        notes=notes,
        missing="-",
    )
