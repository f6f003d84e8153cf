"""What a sweep shows when its jobs are done, and whether any of them failed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from ..reports.tables import (
    COLUMNS,
    Cell,
    Table,
    for_terminal,
)
from ..runs.directory import (
    read_json,
    status,
)
from ..runs.run import Run

__all__ = ["SweepSummary", "note_job"]

JOBS = "jobs.jsonl"


def note_job(sweep: Path, number: int, overrides: str, folder: Path, reason: str | None) -> None:
    """Note where a job of a sweep ran, or why it could not; jobs may run in many processes."""
    line = {"job": number, "overrides": overrides, "folder": str(folder), "reason": reason}
    # One write of one line: lines of jobs that end together do not mix.
    descriptor = os.open(sweep / JOBS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, (json.dumps(line) + "\n").encode())
    finally:
        os.close(descriptor)


class SweepSummary(Callback):
    """Hydra's callback around a sweep.

    Attributes:
        exit_code: Of the last sweep in this process: 1 if a job failed.
    """

    exit_code: ClassVar[int] = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Forget what an earlier sweep into this folder noted."""
        with suppress(OSError):  # where nothing can be written, the launcher says so
            (Path(str(config.hydra.sweep.dir)) / JOBS).unlink(missing_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table and the failures."""
        folder = Path(str(config.hydra.sweep.dir))
        jobs = read_jobs(folder)
        console = Console(width=None if Console().is_terminal else 200)
        console.print(for_terminal(summary(jobs, str(folder))))
        failed = [(job, run) for job, run in jobs if run.status != "completed"]
        for job, run in failed:
            console.print(
                f"job {job['job']} {job['overrides']} {run.status}: {run.reason}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        SweepSummary.exit_code = 1 if failed else 0


def read_jobs(sweep: Path) -> list[tuple[dict[str, Any], Run]]:
    """The jobs of the last sweep into a folder, with their runs, in the order of their numbers."""
    try:
        lines = (sweep / JOBS).read_text().splitlines()
    except OSError:
        return []
    # A job that was started again has more than one line; the last one counts.
    jobs = {job["job"]: job for job in map(json.loads, lines)}
    found = []
    for _, job in sorted(jobs.items()):
        folder = Path(job["folder"])
        if job["reason"] is None:
            run = Run(folder, read_json(folder / "result.json"), status(folder))
        else:
            run = Run(folder, {"reason": job["reason"]}, "failed")
        found.append((job, run))
    return found


def summary(jobs: list[tuple[dict[str, Any], Run]], title: str) -> Table:
    """One row a job: what varied, how it ended, its metric, and what it cost."""
    metrics = {f"{run.metric}/test": f"{run.metric}/test" for _, run in jobs if run.metric}
    headings = ["job", "overrides", "status", *metrics]
    headings += [heading for heading, _, _ in COLUMNS.values()]
    rows = []
    for job, run in jobs:
        row: list[Any] = [job["job"], job["overrides"], run.status]
        row += [cell(run, tag, 1.0, ".4f") for tag in metrics]
        row += [cell(run, tag, scale, form) for tag, (_, scale, form) in COLUMNS.items()]
        rows.append(row)
    return Table(title, headings, rows)


def cell(run: Run, tag: str, scale: float, form: str) -> Cell | None:
    """One number of one run."""
    return Cell.of([run.metrics[tag]] if tag in run.metrics else [], scale, form)
