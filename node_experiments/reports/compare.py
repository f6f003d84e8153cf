"""Comparison of two runs: the settings that differ, and the differences of their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ..runs.frame import is_tag
from .records import CONFIG, odd_tags, records, show
from .table import Cell, ReportTable

__all__ = ["compare"]


def compare(runs: DataFrame) -> ReportTable:
    """Table of the settings that differ or that only one of two runs has, then of all numbers.

    Args:
        runs: DataFrame with two rows.
    """
    one, other = records(runs)
    names = [Path(run["directory"]).name for run in (one, other)]
    if names[0] == names[1]:
        names = [run["directory"] for run in (one, other)]
    keys = sorted({key for run in (one, other) for key in run if key.startswith(CONFIG)})
    rows = [[key.removeprefix(CONFIG), shown(one, key), shown(other, key)] for key in keys]
    differ = [row for row in rows if row[1] != row[2]]
    tags = sorted(
        {tag for run in (one, other) for tag in [*run, *odd_tags(run)] if is_reported(tag)}
    )
    metrics = ReportTable.of(
        "metrics",
        ["metric", *names, "difference"],
        [[tag, number(one, tag), number(other, tag), difference(one, other, tag)] for tag in tags],
        notes=[
            f"{name} is {run['status']} {run.get('reason') or ''}".rstrip()
            for name, run in zip(names, (one, other), strict=True)
            if run["status"] != "completed"
        ] + [
            f"{name}: numbers {run['epoch_phrase']}."
            for name, run in zip(names, (one, other), strict=True)
            if run.get("epoch_phrase")
        ],
    )  # fmt: skip
    return ReportTable.of(
        "settings",
        ["setting", *names],
        differ,
        notes=[] if differ else ["No setting differs."],
        more=[metrics],
    )


def is_reported(column: str) -> bool:
    """Whether a column holds a number of the reported epoch."""
    return is_tag(column) and not column.startswith("last/")


def shown(run: Mapping[str, Any], key: str) -> str:
    """A setting as text, empty where a run does not have it."""
    return show(run[key]) if key in run else ""


def number(run: Mapping[str, Any], tag: str) -> Cell | None:
    """A number with six digits; None if a run does not have it."""
    if tag in odd_tags(run):
        return Cell.number(run.get(tag, math.nan), ".6g")
    return Cell.number(run[tag], ".6g") if tag in run else None


def difference(one: Mapping[str, Any], other: Mapping[str, Any], tag: str) -> Cell | None:
    """The other number minus the first; None if a run does not have it."""
    if tag not in one or tag not in other:
        return None
    return Cell.number(other[tag] - one[tag], "+.4g")
