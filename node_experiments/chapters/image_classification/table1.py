"""Table 1 of Chen et al. 2018 beside ours: error, size, memory and time of networks on MNIST.

There is one table per training budget, so that the rows of a table are comparable; budgets of
only one network, as in sweeps of other settings, are mentioned in a note. A row whose runs failed
or do not exist stays in its table and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pandas import DataFrame

from ...reports.paired import unpaired_error
from ...reports.records import Record, differences, has, most_alike, one_per_seed, records
from ...reports.seed_tests import holm, paired_p
from ...reports.table import Cell, Estimate, ReportTable
from ...runs.frame import read_epochs
from .budget import Budget, budget_of, budget_sort_key, describe_budget
from .growth import growth_table, read_growth
from .solver_transfer import PUBLISHED_TEST_IMAGES
from .table1_rows import ROWS, Row, row_of

__all__ = ["table1"]

HEADINGS = (
    "model",
    "experiment",
    "test error, %",
    "parameters",
    "saved for backward, MB",
    "memory",
    "evaluations per solve",
    "s per step",
    "time",
    "runs",
)

# Results that a run must have recorded to be counted.
REQUIRED = ("last/accuracy/test", "last/step", "last/epoch", "parameters")

Section = Mapping[Row, Sequence[Record]]


def table1(runs: DataFrame) -> ReportTable:
    """Build the tables of all runs on MNIST, one per budget, that with the most rows first."""
    sections: dict[Budget, dict[Row, list[Record]]] = defaultdict(lambda: defaultdict(list))
    lost, others = [], 0
    for run in records(runs):
        if run.get("overrides") and run.get("choices.experiment"):
            lost.append(run)
        if run.get("config.dataset.name") != "mnist" or run.get("config.mode") != "train":
            continue
        row = row_of(run)
        if row is None:
            others += 1
        else:
            sections[budget_of(run)][row].append(run)
    growth = read_growth(Path(runs.attrs["outputs"])) if "outputs" in runs.attrs else {}
    ordered: list[Section] = [
        rows for _, rows in sorted(sections.items(), key=lambda item: budget_sort_key(*item))
    ] or [{}]
    lost_of: dict[int, list[Record]] = defaultdict(list)
    for job in lost:
        lost_of[table_index(job, ordered)].append(job)
    compares = [n == 0 or len(rows) > 1 or n in lost_of for n, rows in enumerate(ordered)]
    tables = [
        budget_table(rows, lost_of[n], growth) for n, rows in enumerate(ordered) if compares[n]
    ]
    alone = [rows for n, rows in enumerate(ordered) if not compares[n]]
    notes = []
    if alone:
        count = sum(len(runs) for rows in alone for runs in rows.values())
        names = sorted({row.experiment for rows in alone for row in rows})
        notes = [
            f"Runs of one network alone, by other recipes, not shown: {count} of "
            f"{', '.join(names)} (`node-report table {names[0]}`)."
        ]
    if others:
        notes.append(f"Runs on MNIST with other models, solvers or settings, not shown: {others}.")
    tables[-1].notes = [*tables[-1].notes, *notes]
    if growth:
        tables.append(growth_table(growth))
    tables[0].more = tables[1:]
    return tables[0]


def table_index(job: Record, sections: Sequence[Section]) -> int:
    """Index of the table of a job that failed before it had a directory: that of its sweep.

    A job of a sweep without any run belongs to the first table.
    """
    sweep = Path(job["directory"]).parent
    place = 0
    for number, rows in enumerate(sections):
        directories = (Path(run["directory"]) for runs in rows.values() for run in runs)
        if any(sweep in directory.parents for directory in directories):
            place = number
    return place


def budget_table(rows: Section, lost: Sequence[Record], growth: Mapping[str, Any]) -> ReportTable:
    """The table of one budget, with a description of the budget."""
    lines = []
    for row in ROWS:
        reasons = [job["reason"] for job in lost if job["choices.experiment"] == row.experiment]
        lines.append(our_row(row, rows.get(row, ()), reasons, growth))
        if row.paper is not None:
            lines.append(paper_row(*row.paper))
    counted = [counted_runs(runs) for runs in rows.values()]
    done = [run for runs in counted for run in runs]
    return ReportTable.of(
        "Table 1",
        HEADINGS,
        lines,
        caption=describe_budget(done) if done else "",
        notes=[*verdicts(rows), *differences(counted, what="Seeds of one row")],
        missing="-",
    )


def verdicts(rows: Section) -> list[str]:
    """Compare the ODE-Net's error with the others', given the sampling error of the test images.

    All networks have the same test images, but these count as drawn separately for each network.
    That is conservative: it overlooks differences rather than reporting false ones.
    """
    errors = {
        row: fmean(1 - run["last/accuracy/test"] for run in done)
        for row in ROWS
        if (done := counted_runs(rows.get(row, ())))
    }
    net = next((row for row in errors if row.experiment == "mnist_odenet"), None)
    if net is None or len(errors) < 2:
        return []
    images = counted_runs(rows[net])[0].get("config.dataset.test_size") or PUBLISHED_TEST_IMAGES
    found = {}
    for row, error in errors.items():
        if row is not net:
            noise = 2 * unpaired_error(error, errors[net], images)
            found[row] = (100 * (errors[net] - error), 100 * noise)
    lines = [
        f"{row.label} {round(change, 2) + 0.0:+.2f} ± {noise:.2f}, "  # no -0.00
        + ("not told apart" if abs(change) <= noise else "lower" if change < 0 else "higher")
        for row, (change, noise) in found.items()
    ]
    notes = [
        "The ODE-Net's error minus that of each other network, in percentage points ± two "
        f"standard errors of sampling {images:,} test images: {'; '.join(lines)}. "
        "These errors do not include the differences between trainings.",
        *between_trainings(net, {row: counted_runs(rows[row]) for row in errors}),
    ]
    resnet = next((row for row in found if row.experiment == "mnist_resnet"), None)
    if resnet is not None:
        change, noise = found[resnet]
        sizes = [counted_runs(rows[row])[0]["parameters"] for row in (net, resnet)]
        notes.append(
            "The paper: the ODE-Net errs about as often as the ResNet (0.42 % and 0.41 %), with a "
            f"third of its parameters. Here, with {sizes[0] / sizes[1]:.0%} of them, "
            + compare_error_rates(change, noise)
        )
    return notes


def between_trainings(net: Row, runs: Mapping[Row, Sequence[Record]]) -> list[str]:
    """Compare the ODE-Net's errors with the others' over the seeds that both have."""
    by_seed = {
        row: {int(run["seed"]): 1 - run["last/accuracy/test"] for run in done}
        for row, done in runs.items()
    }
    ps = {}
    for row, errors in by_seed.items():
        shared = sorted(errors.keys() & by_seed[net].keys())
        p = paired_p([by_seed[net][seed] for seed in shared], [errors[seed] for seed in shared])
        if row is not net and p is not None:
            ps[row] = p
    if not ps:
        return []
    corrected = zip(ps.items(), holm(list(ps.values())), strict=True)
    found = [f"{row.label} {p:.2g} ({after:.2g})" for (row, p), after in corrected]
    return [
        "Between trainings, p of a t-test paired by seed, and in brackets corrected for the "
        f"number of networks (Holm): {'; '.join(found)}."
    ]


def compare_error_rates(change: float, noise: float) -> str:
    """State whether two networks err equally often, as far as the test images can tell.

    Args:
        change: Difference of their errors, in points.
        noise: Two standard errors of this difference.
    """
    if abs(change) > noise:
        return f"this does not hold: it errs {'more' if change > 0 else 'less'} often."
    return (
        "the two are not told apart, and a difference of more than "
        f"{abs(change) + noise:.2f} points is excluded at two standard errors."
    )


def our_row(
    row: Row, runs: Sequence[Record], lost: Sequence[str], growth: Mapping[str, Any]
) -> list[Any]:
    """The row of one network: results of its completed runs, and what became of the others.

    All numbers are of the weights after the last epoch, as in the paper, not of a selected one.
    """
    done = counted_runs(runs)
    error = Estimate.of(100 * (1 - run["last/accuracy/test"]) for run in done)
    steps = [
        epoch["time/step_seconds"]
        for run in done[:1]  # seeds may have run on different machines
        for epoch in read_epochs(run["directory"])
        if "time/step_seconds" in epoch
    ]
    saved = last_values(done, "memory/saved_bytes")
    power = growth.get(row.growth or "")
    return [
        row.label,
        row.experiment,
        None if error is None else error.cell(".2f", ".2f"),
        Cell.number(int(done[0]["parameters"]), ",") if done else None,
        Cell.number(saved[0] / 1e6, ".1f") if saved else None,
        None if power is None else power.memory,
        evaluations(done),
        Cell.number(min(steps), ".3f") if steps else None,
        None if power is None else power.time,
        summarize_runs(runs, done, lost),
    ]


def paper_row(error: str, parameters: str, memory: str, time: str) -> list[Any]:
    """The paper's row: the error in per cent, parameters in millions, orders of growth."""
    percent = Cell(error, {"": float(error.split()[0])})
    millions = Cell(parameters, {"": 1e6 * float(parameters.split()[0])})
    return ["paper", "", percent, millions, "", memory, "", "", time, ""]


def counted_runs(runs: Sequence[Record]) -> list[Record]:
    """The completed runs that recorded their accuracy; the last of each seed.

    They differ only in their seed; runs with other settings than most are left out.
    """
    done = [run for run in runs if run["status"] == "completed" and has(run, REQUIRED)]
    return one_per_seed(most_alike(done))


def last_values(runs: Sequence[Record], tag: str) -> list[float]:
    """The value of a metric after the last epoch, for each run that has it."""
    return [run[f"last/{tag}"] for run in runs if f"last/{tag}" in run]


def evaluations(runs: Sequence[Record]) -> Cell | None:
    """Function evaluations per solve, forward and backward."""
    forward, backward = last_values(runs, "nfe/forward"), last_values(runs, "nfe/backward")
    if not forward or not backward:
        return None
    means = {"forward": fmean(forward), "backward": fmean(backward)}
    return Cell(f"{means['forward']:.1f} + {means['backward']:.1f}", means)


def summarize_runs(runs: Sequence[Record], done: Sequence[Record], lost: Sequence[str]) -> str:
    """State how many runs were counted, and why others were not."""
    notes = [f"{len(done)} seed{'s' if len(done) != 1 else ''}"] if done else []
    seeds = {run.get("seed", 0) for run in done}
    for run in runs:
        completed = run["status"] == "completed"
        if completed and done and has(run, REQUIRED) and len(most_alike([done[0], run])) == 1:
            notes.append("one with other settings")
        elif run.get("seed", 0) in seeds:
            continue
        elif completed:
            notes.append("one without metrics")
        else:
            epochs = len(read_epochs(run["directory"]))
            reason = f": {run['reason']}" if run.get("reason") else ""
            total = run.get("config.trainer.epochs")
            notes.append(f"one {run['status']} after {epochs} of {total} epochs{reason}")
    notes += [f"one failed: {reason}" for reason in lost]
    return "; ".join(notes).replace("\n", " ") or "not run"
