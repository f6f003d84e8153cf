"""What a sweep shows when its jobs are done, and whether any of them failed."""

from __future__ import annotations

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
from ..runs.jobs import FILE, Job, read_jobs
from ..runs.run import Run

__all__ = ["SweepSummary"]


class SweepSummary(Callback):
    """Hydra's callback around a sweep.

    Attributes:
        exit_code: Of the last sweep in this process: 1 if a job failed.
    """

    exit_code: ClassVar[int] = 0

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Forget what an earlier sweep into this folder noted."""
        with suppress(OSError):  # where nothing can be written, the launcher says so
            (Path(str(config.hydra.sweep.dir)) / FILE).unlink(missing_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table and the failures."""
        folder = Path(str(config.hydra.sweep.dir))
        jobs = runs_of(folder)
        console = Console(width=None if Console().is_terminal else 200)
        console.print(for_terminal(summary(jobs, str(folder))))
        failed = [(job, run) for job, run in jobs if run.status != "completed"]
        for job, run in failed:
            console.print(
                f"job {job.job} {job.overrides} {run.status}: {run.reason}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        SweepSummary.exit_code = 1 if failed else 0


def runs_of(sweep: Path) -> list[tuple[Job, Run]]:
    """The jobs of the last sweep into a directory, with their runs, by number."""
    found = []
    for job in read_jobs(sweep):
        folder = Path(job.folder)
        if job.reason is None:
            run = Run(folder, read_json(folder / "result.json"), status(folder))
        else:
            run = Run(folder, {"reason": job.reason}, "failed")
        found.append((job, run))
    return found


def summary(jobs: list[tuple[Job, Run]], title: str) -> Table:
    """One row a job: what varied, how it ended, its metric, and what it cost."""
    metrics = {f"{run.metric}/test": f"{run.metric}/test" for _, run in jobs if run.metric}
    headings = ["job", "overrides", "status", *metrics]
    headings += [heading for heading, _, _ in COLUMNS.values()]
    rows = []
    for job, run in jobs:
        row: list[Any] = [job.job, job.overrides, run.status]
        row += [cell(run, tag, 1.0, ".4f") for tag in metrics]
        row += [cell(run, tag, scale, form) for tag, (_, scale, form) in COLUMNS.items()]
        rows.append(row)
    return Table(title, headings, rows)


def cell(run: Run, tag: str, scale: float, form: str) -> Cell | None:
    """One number of one run."""
    return Cell.of([run.metrics[tag]] if tag in run.metrics else [], scale, form)
