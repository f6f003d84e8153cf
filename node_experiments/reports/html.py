"""One self-contained page of all runs: opens from disk, needs no server and no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from os.path import relpath
from pathlib import Path

from ..runs.run import Run
from .tables import (
    Table,
    grouped,
    show,
)

__all__ = ["page", "runs_table"]

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem;
       color: #222; background: #fff; }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1rem 0; }
th, td { padding: .25rem .7rem; text-align: left; border-bottom: 1px solid #ddd;
         white-space: nowrap; }
th { border-bottom: 2px solid #888; }
td { font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
figure { display: inline-block; margin: 0 1rem 1rem 0; max-width: 48%; }
.failed td { color: #a00; }
p.note { color: #666; }
"""


def runs_table(runs: Sequence[Run]) -> Table:
    """All runs: status, choices, metric at the best epoch, time."""
    rows = []
    for run in runs:
        choices = (run.result.get("choices") or {}).items()
        chosen = " ".join(f"{k}={v}" for k, v in choices if v and k != "experiment")
        tag = f"{run.metric}/test"
        value = f"{run.metric} {run.metrics[tag]:.4f}" if tag in run.metrics else None
        seconds = None if run.seconds is None else f"{run.seconds:.0f} s"
        seed = show(run.config.get("seed", ""))
        rows.append([str(run.folder), run.status, chosen, seed, value, seconds, run.reason])
    headings = ["run", "status", "choices", "seed", "best on test data", "time", "reason"]
    return Table("runs", headings, rows)


def page(runs: Sequence[Run], target: Path) -> str:
    """The page's text; links to run folders are relative to `target`.

    One section for each experiment: results over seeds, and the figures of its last run.
    """
    by_name: dict[str, list[Run]] = {}
    for run in runs:
        by_name.setdefault(run.name, []).append(run)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>node_experiments</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body><h1>node_experiments</h1>",
        f"<p>{len(runs)} runs of {len(by_name)} experiments.</p>",
    ]
    for name, members in sorted(by_name.items()):
        parts.append(f"<h2>{escape(name)}</h2>")
        if any(run.status == "completed" for run in members):
            parts.append(table_html(grouped(members, name)))
        parts += [figure_html(path) for path in last_figures(members)]
    parts += ["<h2>All runs</h2>", table_html(runs_table(runs), links_from=target.parent)]
    return "\n".join([*parts, "</body></html>"]) + "\n"


def last_figures(runs: Sequence[Run]) -> list[Path]:
    """The figures of the last completed run that has some."""
    for run in reversed(runs):
        paths = sorted((run.folder / "figures").glob("*.png"))
        if paths and run.status == "completed":
            return paths
    return []


def figure_html(path: Path) -> str:
    """A picture, inside the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    name = escape(path.stem)
    image = f'<img alt="{name}" src="data:image/png;base64,{content}">'
    return f"<figure>{image}<figcaption>{name}</figcaption></figure>"


def table_html(table: Table, links_from: Path | None = None) -> str:
    """A table; with `links_from`, its first column holds folders to link to."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in table.headings)
    lines = [f"<table><thead><tr>{head}</tr></thead><tbody>"]
    for row in table.texts():
        cells = [escape(text) for text in row]
        if links_from is not None:
            target = relpath(Path(row[0]).resolve(), links_from.resolve())
            cells[0] = f'<a href="{escape(target)}">{cells[0]}</a>'
        failed = ' class="failed"' if "failed" in row else ""
        lines.append(f"<tr{failed}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    return "\n".join([*lines, f"</tbody></table>{notes}"])
