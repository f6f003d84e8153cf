"""Tables of numbers: grouped over repetitions, and written as people and programs read them."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table as RichTable

from ..runs.run import Run

__all__ = ["FORMATS", "Cell", "Table", "for_terminal", "grouped", "show", "varying"]

# Tag and heading of the columns, and how a number is scaled and shown.
COLUMNS: dict[str, tuple[str, float, str]] = {
    "time/step_seconds": ("seconds a step", 1.0, ".4g"),
    "nfe/forward": ("evaluations forward", 1.0, ".4g"),
    "nfe/backward": ("backward", 1.0, ".4g"),
    "memory/saved_bytes": ("saved MB", 1e-6, ".4g"),
    "memory/peak_bytes": ("peak MB", 1e-6, ".4g"),
    "gradient/error": ("gradient error", 1.0, ".2g"),
}


@dataclass
class Cell:
    """Mean of some runs; spread is the sample standard deviation, None of a single run."""

    mean: float
    spread: float | None
    count: int
    format: str = ".4g"

    @classmethod
    def of(cls, values: Sequence[float], scale: float = 1.0, format: str = ".4g") -> Cell | None:
        """The cell of these values, None of none."""
        if not values:
            return None
        scaled = [scale * value for value in values]
        spread = statistics.stdev(scaled) if len(scaled) > 1 else None
        return cls(statistics.fmean(scaled), spread, len(scaled), format)

    def __str__(self) -> str:
        mean = f"{self.mean:{self.format}}"
        return mean if self.spread is None else f"{mean} ± {self.spread:.2g}"


@dataclass
class Table:
    """Rows of text, numbers and cells under headings."""

    title: str
    headings: list[str]
    rows: list[list[Any]]
    notes: tuple[str, ...] = ()

    def texts(self) -> list[list[str]]:
        """The rows as text."""
        return [["" if entry is None else str(entry) for entry in row] for row in self.rows]


def grouped(runs: Sequence[Run], title: str) -> Table:
    """One row for each setting of what varies between the runs; means over their seeds."""
    completed = [run for run in runs if run.status == "completed"]
    names = what_varies(completed)
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in completed:
        key = tuple(show(run.settings.get(name)) for name in names)
        groups.setdefault(key, []).append(run)
    metrics = sorted({tag for run in completed for tag in run.metrics if tag.endswith("/test")})
    columns = {tag: (tag, 1.0, ".4f") for tag in metrics}
    columns |= {t: c for t, c in COLUMNS.items() if any(t in run.metrics for run in completed)}
    rows = []
    for key, members in groups.items():
        cells = [
            Cell.of([run.metrics[tag] for run in members if tag in run.metrics], scale, form)
            for tag, (_, scale, form) in columns.items()
        ]
        rows.append([*key, len(members), *cells])
    left_out = len(runs) - len(completed)
    notes: tuple[str, ...] = (
        "mean ± sample standard deviation over runs that differ in their seed",
    )
    if left_out:
        notes += (f"{left_out} of {len(runs)} runs are not completed and not counted",)
    headings = [*names, "runs", *(heading for heading, _, _ in columns.values())]
    return Table(title, headings, rows, notes)


def what_varies(runs: Sequence[Run]) -> list[str]:
    """Names of the settings that differ between runs."""
    return varying([run.settings for run in runs])


def varying(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names by which these settings can be told apart; of a group, only its own if that differs.

    Which solver was chosen says more than every tolerance that came with it, so a setting is left
    out when the names before it already tell the same runs apart.
    """
    names = sorted({key for each in settings for key in each}, key=by_importance)
    chosen: list[str] = []
    count = min(1, len(settings))
    for name in names:
        split = {tuple(show(each.get(n)) for n in [*chosen, name]) for each in settings}
        if len(split) > count:
            chosen.append(name)
            count = len(split)
    return chosen


def by_importance(name: str) -> tuple[int, str]:
    """Names of choices come before their settings."""
    last = name.rpartition(".")[2]
    return (0 if last in ("name", "method") else 1, name)


def show(value: Any) -> str:
    """A setting as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def for_terminal(table: Table) -> RichTable:
    """The table as rich draws it."""
    drawn = RichTable(title=table.title, caption="\n".join(table.notes) or None)
    for heading in table.headings:
        drawn.add_column(heading, overflow="fold")
    for row in table.texts():
        drawn.add_row(*(text.replace("[", "\\[") for text in row))
    return drawn


def to_markdown(table: Table) -> str:
    """A table of GitHub's Markdown."""

    def line(entries: Sequence[str]) -> str:
        return "| " + " | ".join(entry.replace("|", "\\|") for entry in entries) + " |"

    lines = [line(table.headings), line(["---"] * len(table.headings))]
    lines += [line(row) for row in table.texts()]
    return "\n".join([*lines, "", *table.notes]).rstrip() + "\n"


def numbers(table: Table) -> list[dict[str, Any]]:
    """The rows as plain values; a cell gives its mean, and its spread and count beside it."""
    rows = []
    for row in table.rows:
        values: dict[str, Any] = {}
        for heading, entry in zip(table.headings, row, strict=True):
            if isinstance(entry, Cell):
                values[heading] = entry.mean
                values[f"{heading} spread"] = entry.spread
                values[f"{heading} count"] = entry.count
            else:
                values[heading] = entry
        rows.append(values)
    return rows


def to_csv(table: Table) -> str:
    """Comma-separated values, full precision, spread and count in columns of their own."""
    rows = numbers(table)
    names = list(dict.fromkeys(name for row in rows for name in row)) or table.headings
    file = io.StringIO()
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def to_latex(table: Table) -> str:
    """A booktabs tabular."""

    def line(entries: Sequence[str]) -> str:
        return " & ".join(map(escape, entries)) + r" \\"

    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * len(table.headings)}}}",
            r"\toprule",
            line(table.headings),
            r"\midrule",
            *map(line, table.texts()),
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {note}" for note in table.notes),
            "",
        ]
    )


def escape(text: str) -> str:
    """Text for LaTeX."""
    for special in "&%$#_{}":
        text = text.replace(special, f"\\{special}")
    return text.replace("±", r"$\pm$")


def to_json(table: Table) -> str:
    """An object with the rows as objects."""
    content = {"title": table.title, "rows": numbers(table), "notes": table.notes}
    return json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
    "json": to_json,
}
