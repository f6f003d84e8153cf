"""One self-contained page of all runs: opens from disk, needs no server and no network."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from pandas import DataFrame

from .grouped import grouped, runs_table
from .render import table_html

__all__ = ["page"]

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


def page(runs: DataFrame, target: Path) -> str:
    """The page's text; links to run directories are relative to `target`.

    One section for each experiment: results over seeds, and the figures of its last run.
    """
    names = sorted(set(runs["name"]))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>node_experiments</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{STYLE}</style></head><body><h1>node_experiments</h1>",
        f"<p>{len(runs)} runs of {len(names)} experiments.</p>",
    ]
    for name in names:
        members = runs[runs["name"] == name]
        completed = members[members["status"] == "completed"]
        parts.append(f"<h2>{escape(name)}</h2>")
        if len(completed):
            parts.append(table_html(grouped(members, name)))
        parts += [figure_html(path) for path in last_figures(completed)]
    parts += ["<h2>All runs</h2>", table_html(runs_table(runs), links_from=target.parent)]
    return "\n".join([*parts, "</body></html>"]) + "\n"


def last_figures(runs: DataFrame) -> list[Path]:
    """The figures of the last run that has some."""
    for directory in reversed(list(runs["directory"])):
        if paths := sorted((Path(directory) / "figures").glob("*.png")):
            return paths
    return []


def figure_html(path: Path) -> str:
    """A picture, inside the page."""
    content = base64.b64encode(path.read_bytes()).decode()
    name = escape(path.stem)
    image = f'<img alt="{name}" src="data:image/png;base64,{content}">'
    return f"<figure>{image}<figcaption>{name}</figcaption></figure>"
