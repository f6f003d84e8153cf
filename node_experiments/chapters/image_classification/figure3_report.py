"""Figure 3 of Chen et al. 2018 as a table: its numbers, and verdicts on the paper's claims."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pandas import DataFrame

from ...reports.records import records
from ...reports.table import Cell, ReportTable
from ...runs.directory import read_json
from .figure3_verdicts import DATA_ERRORS, FILE, LABELS, Measured, evaluate_or_default, verdicts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure3", "panels"]

NONE = "No run of mode=figure3 is here; node-run mode=figure3 checkpoint=latest makes one."


def figure3(runs: DataFrame) -> ReportTable:
    """One table per run of mode=figure3: numbers, and verdicts below them."""
    tables = []
    for run in records(runs):
        if run.get("config.mode") != "figure3":
            continue
        measured = read_json(Path(run["directory"]) / FILE)
        if run["status"] == "completed" and measured:
            tables.append(section(run, measured))
            continue
        no_file = f"no whole {FILE}" if run["status"] == "completed" else ""
        reason = run.get("reason") or no_file
        note = f"{run['name']}: {run['status']}{f': {reason}' if reason else ''}."
        tables.append(ReportTable.of("Figure 3", ["rtol = atol"], [], notes=[note]))
    if not tables:
        return ReportTable.of("Figure 3", ["rtol = atol"], [], caption=NONE)
    tables[0].more = tables[1:]
    return tables[0]


def section(run: Mapping[str, Any], measured: Measured) -> ReportTable:
    """The table of one run; numbers that its file lacks are reported as not known."""
    caption = evaluate_or_default(
        lambda numbers: describe_measurement(run, numbers),
        measured,
        "What was measured: not known.",
    )
    unknown = ReportTable.of("Figure 3", ["rtol = atol"], [], notes=["Numbers: not known."])
    found: ReportTable = evaluate_or_default(number_table, measured, unknown)
    found.caption, found.notes = caption, [*found.notes, *verdicts(measured)]
    return found


def describe_measurement(run: Mapping[str, Any], measured: Measured) -> str:
    """Describe what was measured, and how."""
    trained, reference = measured["trained"], measured["reference"]
    tolerances = measured["tolerances"]
    clock = f"{measured['clock']} time on {measured['threads']} thread"
    clock += "s" if measured["threads"] != 1 else ""
    budget = f"{run['config.trainer.epochs']:g} epochs"
    if (images := run.get("config.dataset.train_size")) is not None:
        budget += f" of {images:,.0f} images"
    return (
        f"`{trained['name']}`, seed {trained['seed']}, protocol `{trained['protocol']}`, "
        f"trained with {trained['solver']['method']} at {trained['solver']['rtol']:g} for "
        f"{budget}; {measured['images']} test images of {run['config.dataset.name']}, "
        f"{measured['precision']}, "
        f"rtol = atol from {tolerances[0]:.0e} to {tolerances[-1]:.0e}. Errors are relative to "
        f"{reference['method']} at {reference['tolerance']:.0e}, from "
        f"which another method differs by {measured['reference_error']:.0e}; {clock}, median "
        f"of {measured['repetitions']}."
    )


def number_table(measured: Measured) -> ReportTable:
    """The numbers of panels a to c, a row for each tolerance."""
    forward, backward = measured["forward"], measured["backward"]
    headings = ["rtol = atol"]
    for method in forward:
        label = LABELS.get(method, method)
        headings += [f"{label}: {what}" for what in ("evaluations", "error", "ms")]
    headings += [f"backward, {LABELS.get(gradient, gradient)}" for gradient in backward]
    rows = []
    for i, tolerance in enumerate(measured["tolerances"]):
        cells = [Cell.number(tolerance, ".0e")]
        for found in forward.values():
            cells += [
                Cell.number(found["evaluations"][i], "d"),
                Cell.number(found["error"][i], ".1e"),
                Cell.number(1e3 * found["seconds"][i], ".0f"),
            ]
        cells += [Cell.number(found["backward"][i], "d") for found in backward.values()]
        rows.append(cells)
    return ReportTable.of("Figure 3", headings, rows)


def panels(runs: DataFrame, title: str) -> Figure:
    """node-report figure figure3: the four panels, from the measurements of the last run.

    Raises:
        ValueError: No run of mode=figure3 is among the runs, or its file is incomplete.
    """
    from .figure3_draw import block_solves_figure

    for run in reversed(records(runs)):
        path = Path(run["directory"]) / FILE
        measured = read_json(path)
        if run["status"] == "completed" and measured:
            try:
                return block_solves_figure(measured, str(measured["trained"]["name"]))
            except DATA_ERRORS as error:
                raise ValueError(f"{path} lacks numbers; run it again") from error
    raise ValueError(
        "no completed run of mode=figure3 is among them; make one with "
        "node-run mode=figure3 checkpoint=latest"
    )
