"""`metrics.csv`: one row for each training step that is logged, one column for each tag."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import write_atomically
from .loggers import TrackedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CsvFile"]


class CsvFile:
    """Rewrites the CSV file at each checkpoint, whole or not at all; see `Logger`."""

    def __init__(self, run: TrackedRun) -> None:
        self._path = run.folder / "metrics.csv"
        self._rows: dict[int, dict[str, object]] = {}
        if run.valid_until is not None:
            rows = {int(str(row["step"])): row for row in whole_rows(self._path)}
            self._rows |= {step: row for step, row in rows.items() if step <= run.valid_until}

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._rows.setdefault(step, {"step": step}).update(values)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Do nothing: a table holds no pictures."""

    def flush(self) -> None:
        tags = sorted({tag for row in self._rows.values() for tag in row} - {"step"})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["step", *tags], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows.values())
        write_atomically(self._path, lambda file: file.write(text.getvalue().encode()))

    def close(self, status: str) -> None:
        self.flush()


def whole_rows(path: Path) -> list[dict[str, object]]:
    """The complete rows of the table of an earlier process, as far as it can be read."""
    try:
        text = path.read_text(errors="replace").replace("\0", "")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
    except (OSError, csv.Error):
        return []
    whole = (row for row in rows if None not in row and None not in row.values())
    return [
        {tag: value for tag, value in row.items() if value != ""}
        for row in whole
        if (row.get("step") or "").isdecimal()
    ]
