"""`metrics.csv`: one row for each logged number of training steps, one column for each tag."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..runs.files import write_atomically
from .loggers import TrackedRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CsvFile"]


class CsvFile:
    """Rewrites the file at the end of each epoch, whole or not at all; see `Logger`."""

    def __init__(self, run: TrackedRun) -> None:
        self._path = run.folder / "metrics.csv"
        self._rows: dict[int, dict[str, object]] = {}
        if run.valid_until is not None and self._path.exists():
            with self._path.open(newline="") as file:
                for row in csv.DictReader(file):
                    step = int(row["step"])
                    if step <= run.valid_until:
                        self._rows[step] = {tag: v for tag, v in row.items() if v != ""}

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        self._rows.setdefault(step, {"step": step}).update(values)

    def figure(self, name: str, figure: Figure, step: int) -> None:
        """Nothing: a table holds no pictures."""

    def flush(self) -> None:
        tags = sorted({tag for row in self._rows.values() for tag in row} - {"step"})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["step", *tags], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows.values())
        write_atomically(self._path, lambda file: file.write(text.getvalue().encode()))

    def close(self, status: str) -> None:
        self.flush()
