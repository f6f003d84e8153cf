"""`node-report`: what the runs below a folder found. Reads run folders only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from ..chapters.image_classification.figure3_report import figure3
from ..chapters.image_classification.solver_transfer import solver_transfer
from ..chapters.image_classification.table1 import table1
from ..chapters.irregular_series.tables import IRREGULAR_TABLES
from ..chapters.latent_ode.table2 import table2
from ..chapters.normalizing_flows.figure4 import figure4
from ..chapters.normalizing_flows.figure5 import figure5
from ..config import nearest
from ..reports.compare import (
    compare_metrics,
    compare_settings,
)
from ..reports.html import (
    page,
    runs_table,
)
from ..reports.tables import (
    FORMATS,
    Table,
    for_terminal,
    grouped,
)
from ..runs.files import write_atomically
from ..runs.run import (
    Run,
    find_runs,
)
from .report_figures import FIGURES

__all__ = ["main"]


# Tables of the paper, laid out by hand: a name -> Markdown from all runs below a folder.
PAPER_TABLES: dict[str, Callable[[Path], str]] = {
    "table1": table1,
    "table2": table2,
    "figure3": figure3,
    "figure4": figure4,
    "figure5": figure5,
    "solver_transfer": solver_transfer,
    **IRREGULAR_TABLES,
}


class ReportError(Exception):
    """What was asked for is not there; the message is one line for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    asked = parser().parse_args(arguments)
    try:
        asked.command(asked)
    except (ReportError, OSError) as error:
        print(f"node-report: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="node-report", description="Tables, figures and pages from the folders of runs."
    )
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="where runs lie")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="every run: status, choices, best metric, time")
    command.add_argument("--format", choices=FORMATS, help="as text instead of on the terminal")
    command.set_defaults(command=list_runs)

    paper = "".join(f", or {name}" for name in PAPER_TABLES)
    command = commands.add_parser("table", help="results over seeds: mean, spread, count")
    command.add_argument("name", help=f"an experiment, a sweep, a folder{paper}")
    command.add_argument("--format", choices=FORMATS, help="as text instead of on the terminal")
    command.set_defaults(command=show_table)

    for name in PAPER_TABLES:
        command = commands.add_parser(
            name, help=f"the paper's beside ours: short for table {name}"
        )
        command.set_defaults(command=show_table, name=name, format=None)

    command = commands.add_parser("figure", help="a figure over many runs, as PNG or PDF")
    command.add_argument("figure", choices=FIGURES)
    command.add_argument("name", help="an experiment, a sweep, or a folder")
    command.add_argument("--to", type=Path, help="file to write; <figure>_<name>.png when absent")
    command.set_defaults(command=draw)

    command = commands.add_parser("compare", help="two runs: settings and metrics that differ")
    command.add_argument("runs", type=Path, nargs=2, metavar="RUN")
    command.set_defaults(command=compare)

    command = commands.add_parser("html", help="one self-contained page of everything")
    command.add_argument("--to", type=Path, default=Path("report.html"))
    command.set_defaults(command=write_page)
    return parser


def list_runs(asked: argparse.Namespace) -> None:
    """node-report list."""
    publish(runs_table(all_runs(asked.outputs)), asked.format)


def show_table(asked: argparse.Namespace) -> None:
    """node-report table."""
    if asked.name in PAPER_TABLES and asked.format in (None, "md"):
        sys.stdout.write(PAPER_TABLES[asked.name](asked.outputs))
        return
    # Figure 3 of a network has no metrics, and is no other training of it.
    runs = [
        run for run in select(asked.outputs, asked.name) if run.config.get("mode") != "figure3"
    ]
    if not runs:
        raise ReportError(f"{asked.name} has runs of mode=figure3 alone: node-report figure3")
    publish(grouped(runs, asked.name), asked.format)


def draw(asked: argparse.Namespace) -> None:
    """node-report figure."""
    title = Path(asked.name).name
    target = asked.to or Path(f"{asked.figure}_{title}.png")
    runs = select(asked.outputs, asked.name)
    try:
        figure = FIGURES[asked.figure](runs, title)
    except ValueError as error:
        raise ReportError(f"{asked.name}: {error}") from error
    figure.savefig(target)
    print(target)


def compare(asked: argparse.Namespace) -> None:
    """node-report compare."""
    found = []
    for folder in asked.runs:
        runs = [run for run in find_runs(folder) if run.folder == folder]
        if not runs:
            raise ReportError(f"{folder} is no run folder: it has no run_info.json")
        found += runs
    publish(compare_settings(*found), None)
    publish(compare_metrics(*found), None)


def write_page(asked: argparse.Namespace) -> None:
    """node-report html."""
    text = page(all_runs(asked.outputs), asked.to).encode()
    write_atomically(asked.to, lambda file: file.write(text))
    asked.to.chmod(0o644)
    print(asked.to)


def all_runs(outputs: Path) -> list[Run]:
    """All runs; none is an error."""
    runs = find_runs(outputs)
    if not runs:
        raise ReportError(f"there is no run below {outputs}; give --outputs=<folder>")
    return runs


def select(outputs: Path, name: str) -> list[Run]:
    """The runs of an experiment, of a sweep, or below a folder."""
    if Path(name).is_dir() and (runs := find_runs(Path(name))):
        return runs
    runs = all_runs(outputs)
    names = sorted({run.name for run in runs} | {run.sweep for run in runs if run.sweep})
    if name not in names:
        raise ReportError(f"there is no run of {name!r} below {outputs}{nearest(name, names)}")
    return [run for run in runs if name in (run.name, run.sweep)]


def publish(table: Table, form: str | None) -> None:
    """Print a table: drawn on the terminal, or as text in a format."""
    if form is not None:
        sys.stdout.write(FORMATS[form](table))
        return
    console = Console()
    # A pipe has no width: nothing is to be folded for it.
    (console if console.is_terminal else Console(width=240)).print(for_terminal(table))


if __name__ == "__main__":
    sys.exit(main())
