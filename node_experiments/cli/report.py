"""`node-report`: tables, figures and pages of the runs below a directory, from files alone."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console

from ..chapters import report_figures, tables
from ..chapters.chapter import resolve
from ..config import nearest
from ..errors import UserError, first_line
from ..files import write_atomically
from ..reports.compare import compare
from ..reports.ensembles import ensemble_table
from ..reports.grouped import grouped, runs_table
from ..reports.html import page
from ..reports.render import FORMATS, print_table
from ..reports.table import ReportTable
from ..runs.directory import FORECASTS
from ..runs.frame import REFERENCE, frame_of, load_runs, run_row
from .streams import discard_output, make_printable, select_agg_backend

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["TABLES", "main"]

# Tables of the papers: a name -> import string of a function from all runs to a table.
TABLES = tables()
# Figures over many runs: a name -> import string of a function of runs and a title.
OURS = "node_experiments.cli.report_figures"
FIGURES = {
    **report_figures(),
    **{name: f"{OURS}:{name}" for name in ("curves", "loss_curves", "cost", "training")},
}
SAVE = f"{OURS}:save"


class ReportError(UserError):
    """A request that cannot be met; the message is one line for the user."""


class Parser(argparse.ArgumentParser):
    """Argument parser that raises a one-line error where argparse would print usage and exit."""

    def error(self, message: str) -> NoReturn:
        found = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if found is None:
            raise ReportError(f"{message}; see {self.prog} --help")
        names = [name.strip("'") for name in found[2].split(", ")]
        what = message.partition(":")[0].removeprefix("argument ")
        near = nearest(found[1], names, listing=f"{self.prog} --help")
        raise ReportError(f"{what} {found[1]!r} is unknown{near}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    make_printable()
    select_agg_backend()
    try:
        asked = parser().parse_args(arguments)
        asked.command(asked)
        sys.stdout.flush()
    except BrokenPipeError:
        return discard_output()
    except (UserError, OSError) as error:
        print(f"node-report: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> Parser:
    """Parser of the command line."""
    # Accepted before and after the command; the option after it takes precedence.
    places = Parser(add_help=False)
    places.add_argument(
        "--outputs", type=Path, default=argparse.SUPPRESS, help="where runs are stored (outputs)"
    )
    places.add_argument(
        "--reference",
        action="store_true",
        default=argparse.SUPPRESS,
        help=f"also read the committed runs in <outputs>/{REFERENCE}",
    )
    parser = Parser(
        prog="node-report",
        description="Tables, figures and pages from the directories of runs.",
        epilog=f"Results of papers beside ours, each a COMMAND: {', '.join(TABLES)}",
        parents=[places],
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, help: str, makes_table: bool = True) -> Parser:
        command = commands.add_parser(name, help=help, parents=[places])
        command.set_defaults(command=run)
        if makes_table:
            what = "as text instead of on the terminal"
            command.add_argument("--format", choices=FORMATS, help=what)
        return command

    add("list", list_runs, "every run: status, choices, metric on test data, time")

    papers = "".join(f", or {name}" for name in TABLES)
    command = add("table", show_table, "results over seeds: mean, spread, count")
    command.add_argument("name", help=f"an experiment, a sweep, a directory{papers}")

    command = add("figure", draw, "a figure over many runs, as PNG or PDF", makes_table=False)
    command.add_argument("figure", choices=FIGURES)
    command.add_argument("name", help="an experiment, a sweep, or a directory")
    command.add_argument("--to", type=Path, help="file to write; <figure>_<name>.png when absent")

    command = add("ensemble", show_ensemble, "the seeds of an experiment as one joint forecast")
    command.add_argument("name", help="an experiment, a sweep, or a directory")

    command = add("compare", compare_runs, "two runs: settings and metrics that differ")
    command.add_argument("runs", type=Path, nargs=2, metavar="RUN")

    command = add("html", write_page, "one self-contained page of everything", makes_table=False)
    command.add_argument("--to", type=Path, default=Path("report.html"))
    command.add_argument(
        "--link-pictures", action="store_true", help="link to pictures instead of embedding them"
    )
    for name in TABLES:
        if name in commands.choices:
            continue  # a table of another package that is named like a command
        # Without a help, which would be the same line for each; the epilog lists them.
        command = commands.add_parser(
            name, description=f"Short for: table {name}", parents=[places]
        )
        command.add_argument(
            "--format", choices=FORMATS, help="as text instead of on the terminal"
        )
        command.set_defaults(command=show_table, name=name)
    return parser


def list_runs(asked: argparse.Namespace) -> None:
    """node-report list."""
    table = runs_table(all_runs(asked))
    if asked.format is None and Console().is_terminal:
        # The folders are named after the choices, which would take ten lines of each run.
        table = replace(table, frame=table.frame.drop(columns="choices"))
    publish(table, asked.format)


def show_table(asked: argparse.Namespace) -> None:
    """node-report table."""
    if asked.name in TABLES:
        table = made("table", asked.name, TABLES[asked.name], all_runs(asked))
        if not isinstance(table, ReportTable):
            raise ReportError(
                f"table {asked.name} ({TABLES[asked.name]}) returned a {type(table).__name__}, "
                "not a ReportTable"
            )
        if not any(len(each.frame) or each.notes for each in (table, *table.more)):
            raise ReportError(f"there is no completed run for {asked.name} below {place(asked)}")
        publish(table, asked.format)
        return
    runs = select(asked)
    # Runs of mode=figure3 have no metrics and are not further trainings.
    runs = runs[runs["mode"] != "figure3"]
    if runs.empty:
        raise ReportError(f"{asked.name} has only runs of mode=figure3: see node-report figure3")
    publish(grouped(runs, asked.name), asked.format)


def made(what: str, name: str, function: str, runs: DataFrame, *title: str) -> Any:
    """The table or figure that a function of a chapter makes of runs.

    Raises:
        ReportError: The function failed; by a ValueError it rejects runs that it cannot show.
    """
    try:
        return resolve(function)(runs, *title)
    except UserError:
        raise
    except Exception as error:
        if title and isinstance(error, ValueError):
            raise ReportError(f"{title[0]}: {error}") from error
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        raise ReportError(
            f"{what} {name} ({function}) failed: {type(error).__name__}: {first_line(error)}; "
            "HYDRA_FULL_ERROR=1 shows where"
        ) from error


def show_ensemble(asked: argparse.Namespace) -> None:
    """node-report ensemble."""
    table = ensemble_table(select(asked), Path(asked.name).name)
    if table.frame.empty and not table.notes:
        raise ReportError(
            f"no completed run of {asked.name} has a {FORECASTS}; experiments on irregular series "
            "that forecast or fill in write one"
        )
    publish(table, asked.format)


def draw(asked: argparse.Namespace) -> None:
    """node-report figure."""
    title = Path(asked.name).name
    target = asked.to or Path(f"{asked.figure}_{title}.png")
    runs = select(asked)
    figure = made("figure", asked.figure, FIGURES[asked.figure], runs, title)
    check_target(target)
    try:
        resolve(SAVE)(figure, target)
    except ValueError as error:
        raise ReportError(f"--to {target}: {error}") from error
    print(target)


def check_target(target: Path) -> None:
    """Raise a ReportError if no file can be written at `target`."""
    if target.is_dir():
        raise ReportError(f"--to {target} is a directory; give a file in it")
    if not target.parent.is_dir():
        raise ReportError(f"--to {target}: there is no directory {target.parent}")


def compare_runs(asked: argparse.Namespace) -> None:
    """node-report compare."""
    for directory in asked.runs:
        if not any((directory / name).is_file() for name in ("run_info.json", "result.json")):
            raise ReportError(f"{directory} is not a run folder: it has no run_info.json")
    publish(compare(frame_of(run_row(directory) for directory in asked.runs)), asked.format)


def write_page(asked: argparse.Namespace) -> None:
    """node-report html."""
    check_target(asked.to)
    text = page(all_runs(asked), asked.to, embed=not asked.link_pictures).encode()
    write_atomically(asked.to, lambda file: file.write(text))
    print(asked.to)


def place(asked: argparse.Namespace) -> Path:
    """Directory from which runs are read."""
    return getattr(asked, "outputs", Path("outputs"))


def all_runs(asked: argparse.Namespace) -> DataFrame:
    """Load all runs; raise a ReportError if there are none."""
    outputs = place(asked)
    committed = getattr(asked, "reference", False)
    if committed and not (outputs / REFERENCE).is_dir():
        raise ReportError(
            f"--reference reads the committed runs, and there is no {outputs / REFERENCE}; give "
            "--outputs=<clone of the project>/outputs"
        )
    if not outputs.is_dir():
        raise ReportError(f"there is no directory {outputs}; give --outputs=<directory>")
    runs = load_runs(outputs, committed)
    if runs.empty:
        hint = "give --outputs=<directory>"
        if (outputs / REFERENCE).is_dir():
            hint += ", or --reference for the committed runs"
        raise ReportError(f"there is no run below {outputs}; {hint}")
    return runs


def select(asked: argparse.Namespace) -> DataFrame:
    """The runs of an experiment, of a sweep, or below a directory."""
    name = asked.name
    if Path(name).is_dir() and not (runs := load_runs(name, reference=True)).empty:
        return runs
    runs = all_runs(asked)
    names = sorted(set(runs["name"]) | set(runs["sweep"].dropna()))
    if name not in names:
        known = sorted({*names, *TABLES}) if asked.command is show_table else names
        raise ReportError(
            f"there is no run of {name!r} below {place(asked)}"
            f"{nearest(name, known, listing='node-report list')}"
        )
    return runs[(runs["name"] == name) | (runs["sweep"] == name)]


def publish(table: ReportTable, form: str | None) -> None:
    """Print a table, drawn on the terminal or as text in a format."""
    if form is not None:
        sys.stdout.write(FORMATS[form](table))
        return
    console = Console()
    # A pipe has no width, so that nothing need be folded for it.
    print_table(console if console.is_terminal else Console(width=240), table)


if __name__ == "__main__":
    sys.exit(main())
