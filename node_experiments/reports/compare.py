"""Two runs side by side: where their settings differ, and by how much their numbers do."""

from __future__ import annotations

from ..runs.run import Run
from .tables import (
    Table,
    show,
)

__all__ = ["compare_metrics", "compare_settings"]


def compare_settings(one: Run, other: Run) -> Table:
    """The settings that differ, and that only one of the runs has."""
    names = sorted(one.config.keys() | other.config.keys())
    rows = [
        [name, shown(one, name), shown(other, name)]
        for name in names
        if shown(one, name) != shown(other, name)
    ]
    notes = () if rows else ("no setting differs",)
    return Table("settings", ["setting", one.folder.name, other.folder.name], rows, notes)


def shown(run: Run, name: str) -> str:
    """A setting as text, empty where a run does not have it."""
    return show(run.config[name]) if name in run.config else ""


def compare_metrics(one: Run, other: Run) -> Table:
    """All numbers of the results, with their difference."""
    rows = []
    for tag in sorted(one.metrics.keys() | other.metrics.keys()):
        a, b = one.metrics.get(tag), other.metrics.get(tag)
        difference = None if a is None or b is None else f"{b - a:+.4g}"
        rows.append([tag, number(a), number(b), difference])
    notes = tuple(
        f"{run.folder.name} is {run.status} {run.reason}".rstrip()
        for run in (one, other)
        if run.status != "completed"
    )
    headings = ["metric", one.folder.name, other.folder.name, "difference"]
    return Table("metrics", headings, rows, notes)


def number(value: float | None) -> str | None:
    """A number with six digits."""
    return None if value is None else f"{value:.6g}"
