"""The jobs of a sweep, one line of `jobs.jsonl` each, even if a job never had a directory."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["FILE", "Job", "name_of", "note_job", "read_jobs", "split_overrides"]

FILE = "jobs.jsonl"


@dataclass
class Job:
    """One job of a sweep.

    Attributes:
        overrides: What varies, such as `solver=rk4,seed=0`.
        folder: Where it ran.
        reason: Why it failed before it had a run folder; None if it ran.
    """

    job: int
    overrides: str
    folder: str
    reason: str | None = None

    @property
    def varied(self) -> dict[str, str]:
        """The overrides by name."""
        return dict(part.partition("=")[::2] for part in split_overrides(self.overrides) if part)


def name_of(override: str) -> str:
    """The setting or group of an override, such as `solver.rtol` of `+solver.rtol=1e-5`."""
    return override.lstrip("+~").partition("=")[0]


def split_overrides(joined: str) -> list[str]:
    """The overrides that Hydra joined by commas; a comma inside brackets is part of a value.

    >>> split_overrides("dataset.value_columns=[hr,bp],seed=0")
    ['dataset.value_columns=[hr,bp]', 'seed=0']
    """
    return re.split(r",(?=[+~]?[A-Za-z_][\w.@/-]*=)", joined)


def note_job(sweep: Path, number: int, overrides: str, folder: Path, reason: str | None) -> None:
    """Record where a job of a sweep ran, or why it could not; jobs may run in many processes."""
    line = json.dumps(asdict(Job(number, overrides, str(folder), reason))) + "\n"
    sweep.mkdir(parents=True, exist_ok=True)  # missing until a job has run
    # One write per line, so that lines of jobs that end at the same time do not mix.
    descriptor = os.open(sweep / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_jobs(sweep: Path) -> list[Job]:
    """The jobs of the last sweep in a directory, sorted by number.

    Incomplete lines are skipped. A job that was started again has more than one line, of which the
    last one counts.
    """
    try:
        lines = (sweep / FILE).read_text(errors="replace").splitlines()
    except OSError:
        return []
    jobs: dict[int, Job] = {}
    for line in lines:
        try:
            job = Job(**json.loads(line))
        except (ValueError, TypeError, RecursionError):
            continue
        texts = (job.overrides, job.folder, job.reason or "")
        if isinstance(job.job, int) and all(isinstance(text, str) for text in texts):
            jobs[job.job] = job
    return [job for _, job in sorted(jobs.items())]
