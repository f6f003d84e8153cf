"""What a sweep shows when its jobs are done, and whether any of them failed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from rich.console import Console

from ..reports.grouped import COLUMNS, measured
from ..reports.records import one_per_seed, records
from ..reports.render import print_table
from ..reports.table import ReportTable
from ..reports.verdicts import epoch_sentence
from ..runs.frame import frame_of, run_row
from ..runs.jobs import FILE as JOBS
from ..runs.jobs import Job, read_jobs

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
            (Path(str(config.hydra.sweep.dir)) / JOBS).unlink(missing_ok=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the table and the failures."""
        folder = Path(str(config.hydra.sweep.dir))
        jobs = [(job, record(job)) for job in read_jobs(folder)]
        console = Console(width=None if Console().is_terminal else 200)
        print_table(console, summary(jobs, str(folder)))
        failed = [(job, run) for job, run in jobs if run["status"] != "completed"]
        for job, run in failed:
            console.print(
                f"job {job.job} {job.overrides} {run['status']}: {run.get('reason') or ''}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        SweepSummary.exit_code = 1 if failed else 0


def record(job: Job) -> dict[str, Any]:
    """The run of a job."""
    if job.reason is not None:
        return {"status": "failed", "reason": job.reason}
    (run,) = records(frame_of([run_row(Path(job.folder))]))
    return run


def summary(jobs: list[tuple[Job, dict[str, Any]]], title: str) -> ReportTable:
    """One row per job: what varied, how it ended, its metric, and what it cost."""
    runs = [run for _, run in jobs]
    metrics = dict.fromkeys(f"{run['metric']}/test" for run in runs if run.get("metric"))
    columns = {tag: (tag, 1.0, ".4f") for tag in metrics}
    columns |= {tag: column for tag, column in COLUMNS.items() if any(tag in run for run in runs)}
    rows = [
        [job.job, job.overrides, run["status"], *measured([run], columns)] for job, run in jobs
    ]
    headings = ["job", "overrides", "status", *(heading for heading, _, _ in columns.values())]
    notes = [*filter(None, [epoch_sentence(runs)])]
    return ReportTable.of(title, headings, rows, notes=notes, more=means(jobs, columns))


def means(
    jobs: list[tuple[Job, dict[str, Any]]], columns: dict[str, tuple[str, float, str]]
) -> list[ReportTable]:
    """A table of means over the seeds of what else varied; none where no seed varied."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for job, run in jobs:
        others = [f"{name}={value}" for name, value in job.varied.items() if name != "seed"]
        if run["status"] == "completed":
            groups.setdefault(" ".join(others), []).append(run)
    seeds = {name: one_per_seed(found) for name, found in groups.items()}
    if max(map(len, seeds.values()), default=0) < 2:
        return []
    rows = [[name, len(found), *measured(found, columns)] for name, found in seeds.items()]
    headings = ["overrides", "n", *(heading for heading, _, _ in columns.values())]
    notes = ["Mean ± sample standard deviation over n seeds."]
    return [ReportTable.of("over seeds", headings, rows, notes=notes)]
