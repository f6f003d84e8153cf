"""The table of a sweep: a row for each of its jobs, and the failures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ..reports.grouped import COLUMNS, measured
from ..reports.records import not_finite, one_per_seed, records
from ..reports.render import print_table
from ..reports.table import ReportTable
from ..reports.verdicts import epoch_sentence
from ..runner.messages import show
from ..runs.frame import frame_of, run_row
from ..runs.jobs import Job, read_jobs

__all__ = ["print_summary"]


def print_summary(folder: Path) -> int:
    """Print the table and the failures of a sweep; return 1 if a job failed, else 0."""
    jobs = [(job, record(job)) for job in read_jobs(folder)]
    console = Console(width=None if Console().is_terminal else 200)
    print_table(console, summary(jobs, str(folder)))
    failed = [(job, run) for job, run in jobs if run["status"] != "completed"]
    for job, run in failed:
        show(f"job {job.job} {job.overrides} {run['status']}: {run.get('reason') or ''}")
    return 1 if failed else 0


def record(job: Job) -> dict[str, Any]:
    """Record of the run of a job."""
    if job.reason is not None:
        return {"status": "failed", "reason": job.reason}
    (run,) = records(frame_of([run_row(Path(job.folder))]))
    return run


def summary(jobs: list[tuple[Job, dict[str, Any]]], title: str) -> ReportTable:
    """Table with one row per job: what varied, how it ended, its metric and its cost."""
    runs = [run for _, run in jobs]
    metrics = dict.fromkeys(f"{run['metric']}/test" for run in runs if run.get("metric"))
    columns = {tag: (tag, 1.0, ".4f") for tag in metrics}
    columns |= {tag: column for tag, column in COLUMNS.items() if any(tag in run for run in runs)}
    rows = [
        [job.job, in_words(job.varied), run["status"], *measured([run], columns)]
        for job, run in jobs
    ]
    headings = ["job", "overrides", "status", *(heading for heading, _, _ in columns.values())]
    notes = [*filter(None, [epoch_sentence(runs)])]
    return ReportTable.of(title, headings, rows, notes=notes, more=means(jobs, columns))


def in_words(varied: Mapping[str, str]) -> str:
    """Overrides as on the command line, so that lines break between them.

    >>> in_words({"solver": "rk4", "seed": "0"})
    'solver=rk4 seed=0'
    """
    return " ".join(f"{name}={value}" for name, value in varied.items())


def means(
    jobs: list[tuple[Job, dict[str, Any]]], columns: dict[str, tuple[str, float, str]]
) -> list[ReportTable]:
    """Table of means over seeds, by the other overrides; an empty list if no seed varied."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for job, run in jobs:
        others = {name: value for name, value in job.varied.items() if name != "seed"}
        if run["status"] == "completed":
            groups.setdefault(in_words(others), []).append(run)
    seeds = {name: one_per_seed(found) for name, found in groups.items()}
    if max(map(len, seeds.values()), default=0) < 2:
        return []
    rows = [[name, len(found), *measured(found, columns)] for name, found in seeds.items()]
    headings = ["overrides", "n", *(heading for heading, _, _ in columns.values())]
    notes = ["Mean ± sample standard deviation over n seeds."]
    notes += not_finite([run for found in seeds.values() for run in found], columns)
    return [ReportTable.of("over seeds", headings, rows, notes=notes)]
