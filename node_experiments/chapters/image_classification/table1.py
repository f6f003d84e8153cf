"""Table 1 of Chen et al. 2018 beside ours: error, size, memory and time of networks on MNIST.

One table for every training budget found, so that the rows of a table can be compared. A row
whose runs failed or do not exist stays in it and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ...reports.tables import Cell
from ...runs.jobs import FILE, read_jobs
from ...runs.run import (
    Run,
    find_runs,
)
from .budget import (
    Budget,
    budget_of,
    order,
    stated,
)
from .growth import (
    growth_table,
    read_growth,
)
from .table1_rows import (
    ROWS,
    Row,
    row_of,
)

__all__ = ["table1"]

HEADINGS = (
    "model",
    "`node-run experiment=`",
    "test error, %",
    "parameters",
    "saved for backward, MB",
    "memory",
    "evaluations a solve, forward + backward",
    "s a step",
    "time",
    "runs",
)


def table1(folder: Path) -> str:
    """Markdown from all runs below a folder."""
    sections: dict[Budget, dict[Row, list[Run]]] = defaultdict(lambda: defaultdict(list))
    others = 0
    for run in find_runs(folder):
        if run.config.get("dataset.name") != "mnist" or run.config.get("mode") != "train":
            continue
        row = row_of(run)
        if row is None:
            others += 1
        else:
            sections[budget_of(run)][row].append(run)
    growth = read_growth(folder)
    ordered = [rows for _, rows in sorted(sections.items(), key=lambda item: order(*item))]
    lost = lost_jobs(folder, ordered)
    parts = [
        section(rows, [job for job in lost if job.section == number], growth)
        for number, rows in enumerate(ordered or [{}])
    ]
    if others:
        parts.append(
            f"Runs on MNIST with other models, solvers or settings, not shown: {others}.\n"
        )
    if growth:
        parts.append(growth_table(growth))
    return "\n".join(parts)


@dataclass(frozen=True)
class LostJob:
    """A job of a sweep that failed before it had a folder, and the table that it belongs to."""

    experiment: str
    reason: str
    section: int


def lost_jobs(folder: Path, sections: Sequence[Mapping[Row, Sequence[Run]]]) -> list[LostJob]:
    """All of them; those of a sweep that left no run at all belong to the first table."""
    found = []
    for path in sorted(folder.rglob(FILE)):
        place = 0
        for number, rows in enumerate(sections):
            if any(path.parent in run.folder.parents for runs in rows.values() for run in runs):
                place = number
        for job in read_jobs(path.parent):
            if job.reason is not None and "experiment" in job.varied:
                found.append(LostJob(job.varied["experiment"], job.reason, place))
    return found


def section(
    rows: Mapping[Row, Sequence[Run]], lost: Sequence[LostJob], growth: Mapping[str, Any]
) -> str:
    """The table of one budget, with what the budget is."""
    lines = [
        "| " + " | ".join(HEADINGS) + " |",
        "| --- | --- |" + " --: |" * (len(HEADINGS) - 3) + " --- |",
    ]
    for row in ROWS:
        reasons = [job.reason for job in lost if job.experiment == row.experiment]
        lines.append(ours(row, rows.get(row, ()), reasons, growth))
        if row.paper is not None:
            error, parameters, memory, time = row.paper
            cells = ["paper", "", error, parameters, "", memory, "", "", time, ""]
            lines.append("| " + " | ".join(cells) + " |")
    done = [run for runs in rows.values() for run in measured(runs)]
    return "\n".join([*lines, "", *([stated(done)] if done else []), ""])


def ours(row: Row, runs: Sequence[Run], lost: Sequence[str], growth: Mapping[str, Any]) -> str:
    """The row of one network: what its completed runs found, and what became of the others."""
    done = measured(runs)
    errors = [100 * (1 - final(run)["accuracy/test"]) for run in done]
    forward, backward = (
        [final(run)[tag] for run in done if tag in final(run)]
        for tag in ("nfe/forward", "nfe/backward")
    )
    steps = [
        epoch["time/step_seconds"]
        for run in done
        for epoch in run.epochs
        if "time/step_seconds" in epoch
    ]
    saved = [
        final(run)["memory/saved_bytes"] for run in done if "memory/saved_bytes" in final(run)
    ]
    power = growth.get(row.growth or "")
    cells = [
        row.label,
        f"`{row.experiment}`",
        text(Cell.of(errors, 1, ".2f")),
        f"{done[0].result['parameters']:,}" if done else "-",
        text(Cell.of(saved[:1], 1e-6, ".1f")),
        "-" if power is None else power.memory,
        f"{fmean(forward):.1f} + {fmean(backward):.1f}" if forward and backward else "-",
        f"{min(steps):.3f}" if steps else "-",
        "-" if power is None else power.time,
        became(runs, done, lost),
    ]
    return "| " + " | ".join(cells) + " |"


def measured(runs: Sequence[Run]) -> list[Run]:
    """The completed runs that say how accurate they are; of equal ones the last."""
    found = {
        run.result.get("config_hash", run.folder): run
        for run in runs
        if run.status == "completed" and "accuracy/test" in final(run)
    }
    return list(found.values())


def final(run: Run) -> dict[str, Any]:
    """Metrics of the weights after the last epoch, which no data chose."""
    return run.result.get("metrics") or {}


def text(cell: Cell | None) -> str:
    """A cell, or a dash."""
    return "-" if cell is None else str(cell)


def became(runs: Sequence[Run], done: Sequence[Run], lost: Sequence[str]) -> str:
    """How many runs were counted, and why others were not."""
    known = {run.result.get("config_hash") for run in done}
    notes = [f"{len(done)} seed{'s' if len(done) != 1 else ''}"] if done else []
    for run in runs:
        if run in done or run.result.get("config_hash", "?") in known:
            continue
        if run.status == "completed":
            notes.append("one without metrics")
        else:
            at = f" after {len(run.epochs)} of {run.config.get('trainer.epochs')} epochs"
            notes.append(f"one {run.status}{at}" + (f": {run.reason}" if run.reason else ""))
    notes += [f"one failed: {reason}" for reason in lost]
    return "; ".join(notes).replace("|", "/").replace("\n", " ") or "not run"
