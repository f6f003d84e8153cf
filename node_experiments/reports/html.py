"""One self-contained page of all runs: opens from disk, needs no server and no network.

Everything that a run wrote is escaped; the only script is the page's own (`page.js`), which sorts
and filters. Without it the page shows the same.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from html import escape
from os.path import relpath
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ..files import read_file
from ..runs.directory import read_json
from .grouped import grouped, runs_table
from .pictures import Pictures
from .records import records
from .render import table_html

__all__ = ["page"]

HERE = Path(__file__).parent
HEADINGS = ("run", "experiment", "status", "seed", "test data", "epoch", "seconds")


def page(runs: DataFrame, target: Path, embed: bool = True) -> str:
    """The page as HTML; links to run folders are relative to `target`.

    Args:
        embed: Embed pictures, scaled down, instead of linking to them.
    """
    names = sorted(set(runs["name"]))
    pictures = Pictures(target.parent, embed)
    members = records(runs)
    shown = runs_table(runs).texts()
    rows = [
        run_html(run, texts, pictures, target) for run, texts in zip(members, shown, strict=True)
    ]
    of_several = [
        f"<details><summary>{escape(parent.name)}</summary>{drawn}</details>"
        for parent in sorted({Path(run["directory"]).parent for run in members})
        if (drawn := pictures.html(parent))
    ]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>node_experiments</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{(HERE / 'page.css').read_text()}</style></head><body><h1>Runs</h1>",
        f"<p>{len(runs)} runs of {len(names)} experiments{counted(runs)}. Numbers are on test "
        "data, of the epoch that stands beside them. A click on a heading sorts. Below the table "
        'are <a href="#means">means over seeds</a>.</p>',
        controls(runs),
        '<table id="runs"><thead><tr>',
        *(f'<th tabindex="0">{heading}</th>' for heading in HEADINGS),
        "</tr></thead>",
        *rows,
        "</table>" + ("<h2>Pictures of several runs</h2>" if of_several else ""),
        *of_several,
    ]
    parts.append('<h2 id="means">Means over seeds</h2>')
    for name in names:
        of_name = runs[runs["name"] == name]
        if (of_name["status"] == "completed").any():
            means = grouped(of_name, name)
            tables = [table_html(means)]
            tables += [f"<h3>{escape(more.title)}</h3>{table_html(more)}" for more in means.more]
            parts.append(
                f'<details><summary>{escape(name)}</summary><div class="wide">{"".join(tables)}'
                "</div></details>"
            )
    script = (HERE / "page.js").read_text()
    return "\n".join([*parts, f"<script>{script}</script></body></html>"]) + "\n"


def counted(runs: DataFrame) -> str:
    """Phrase with the number of runs of each status."""
    counts = runs["status"].value_counts()
    return ": " + ", ".join(f"{count} {escape(status)}" for status, count in counts.items())


def controls(runs: DataFrame) -> str:
    """Controls that filter the table."""

    def choice(name: str, values: set[str]) -> str:
        options = "".join(f"<option>{escape(value)}</option>" for value in sorted(values))
        return (
            f'<select data-column="{name}"><option value="">{name}: all</option>{options}</select>'
        )

    return (
        '<p id="controls"><input type="search" placeholder="words of a run or its config" '
        f'size="40"> {choice("experiment", set(runs["name"]))} '
        f'{choice("status", set(runs["status"]))} <span id="count"></span></p>'
    )


def run_html(run: Mapping[str, Any], texts: list[str], pictures: Pictures, target: Path) -> str:
    """Two table rows of a run: its numbers, and below them details to unfold.

    Args:
        texts: The run's row of `runs_table`.
    """
    directory = Path(run["directory"])
    place, status, choices, seed, found, epoch, _, reason = texts
    link = escape(relpath(directory.resolve(), target.parent.resolve()))
    value = run.get(f"{run.get('metric')}/test")
    seconds = run.get("seconds")
    cells = [
        (f'<a href="{link}">{breakable(short(place))}</a>', short(place)),
        (breakable(run["name"]), run["name"]),
        (escape(status), status),
        (escape(seed), run.get("seed", "")),
        (escape(found), "" if value is None else value),
        (escape(epoch), run.get("epoch", "")),
        ("" if seconds is None else f"{seconds:.0f}", "" if seconds is None else seconds),
    ]
    row = "".join(f'<td data-value="{escape(str(key))}">{cell}</td>' for cell, key in cells)
    why = f'<p class="reason">{escape(reason)}</p>' if reason else ""
    return (
        f'<tbody class="{escape(status)}"><tr>{row}</tr><tr><td colspan="{len(cells)}">'
        f'{why}<details><summary>details <span class="choices">{escape(choices)}</span></summary>'
        f"{facts(directory)}{pictures.html(directory)}{config(directory)}</details></td></tr></tbody>"
    )


def breakable(name: str) -> str:
    """A name as HTML in which lines may break after `_` and `/`, but not within a word."""
    return escape(name).replace("_", "_<wbr>").replace("/", "/<wbr>")


def short(place: str) -> str:
    """The last two parts of the path of a run."""
    return "/".join(Path(place).parts[-2:])


def facts(directory: Path) -> str:
    """The command, commit, versions and machine, as far as the run recorded them."""
    info = read_json(directory / "run_info.json")
    if not info:
        return (
            "<p>It left no readable run_info.json: command, versions and machine are unknown.</p>"
        )
    command, git, packages = info.get("command"), info.get("git"), info.get("packages")
    rows: dict[str, Any] = {}
    if isinstance(command, list):
        rows["command"] = shlex.join(map(str, command))
    if isinstance(git, dict):
        rows["commit"] = f"{git.get('commit')}{' and changes' if git.get('changed') else ''}"
    if isinstance(packages, dict):
        rows["versions"] = ", ".join(f"{name} {number}" for name, number in packages.items())
    rows |= {
        name: info[name] for name in ("python", "cpu", "device", "platform", "seed", "started")
        if info.get(name) is not None
    }  # fmt: skip
    lines = (
        f"<tr><th>{name}</th><td><code>{escape(str(value))}</code></td></tr>"
        for name, value in rows.items()
    )
    return f'<table class="facts">{"".join(lines)}</table>'


def config(directory: Path) -> str:
    """The resolved configuration, to unfold."""
    try:
        text = read_file(directory / "config.yaml").decode(errors="replace")
    except OSError:
        return "<p>It left no readable config.yaml.</p>"
    return f"<details><summary>config.yaml</summary><pre>{escape(text)}</pre></details>"
