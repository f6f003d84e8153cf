"""Tables of arbitrary runs: one row per run, or one row per setting with means over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pandas import DataFrame

from .records import Record, by_settings, differences, not_finite, odd_tags, one_per_seed, records
from .table import Cell, Estimate, ReportTable
from .verdicts import epoch_sentence

__all__ = ["COLUMNS", "grouped", "measured", "runs_table"]

# Tag -> heading of the column, and the factor and format of its numbers.
COLUMNS: dict[str, tuple[str, float, str]] = {
    "time/step_seconds": ("seconds per step", 1.0, ".4g"),
    "nfe/forward": ("evaluations forward", 1.0, ".4g"),
    "nfe/backward": ("backward", 1.0, ".4g"),
    "memory/saved_bytes": ("saved MB", 1e-6, ".4g"),
    "memory/peak_bytes": ("peak MB", 1e-6, ".4g"),
    "gradient/error": ("gradient error", 1.0, ".2g"),
}


def runs_table(runs: DataFrame) -> ReportTable:
    """All runs: status, choices, the task's metric on test data and its epoch, time."""
    rows = []
    for run in records(runs):
        chosen = " ".join(
            f"{key.partition('.')[2]}={value}"
            for key, value in run.items()
            if key.startswith("choices.") and value and key != "choices.experiment"
        )
        metric = run.get("metric")
        tag = f"{metric}/test"
        value = run.get(tag, math.nan if tag in odd_tags(run) else None)
        numbers = {"": value, "metric": metric}
        found = None if value is None else Cell(f"{metric} {value:.4f}", numbers)
        seconds = run.get("seconds")
        rows.append(
            [
                run["directory"],
                run["status"],
                chosen or run.get("overrides"),
                None if "seed" not in run else int(run["seed"]),
                found,
                run.get("epoch_phrase", "").removeprefix("at the ") or None,
                None if seconds is None else Cell(f"{seconds:.0f} s", {"": seconds}),
                run.get("reason"),
            ]
        )
    headings = ["run", "status", "choices", "seed", "on test data", "epoch", "time", "reason"]
    return ReportTable.of("runs", headings, rows)


def grouped(runs: DataFrame, title: str) -> ReportTable:
    """Table with one row per combination of the settings that vary, and means over seeds.

    Training runs come first, evaluations in a further table; predictions have no numbers.
    """
    by_mode: dict[str, list[Record]] = {}
    for run in records(runs):
        by_mode.setdefault(run.get("mode", "train"), []).append(run)
    by_mode.pop("predict", None)
    first, *others = sorted(by_mode, key=lambda mode: mode != "train") or ["train"]
    table = of_one_mode(by_mode.get(first, []), title)
    table.more = [of_one_mode(by_mode[mode], f"{title}, mode={mode}") for mode in others]
    return table


def of_one_mode(runs: Sequence[Record], title: str) -> ReportTable:
    """Table of runs of one mode, such as training or evaluation."""
    completed = [run for run in runs if run["status"] == "completed"]
    names, groups = by_settings(completed)
    tags = sorted({tag for run in completed for tag in [*run, *odd_tags(run)] if is_test(tag)})
    columns = {tag: (tag, 1.0, ".4f") for tag in tags}
    columns |= {tag: column for tag, column in COLUMNS.items() if any(tag in r for r in completed)}
    rows = []
    counted: list[Record] = []
    for key, members in groups.items():
        seeds = one_per_seed(members)
        counted += seeds
        rows.append([*key, len(seeds), *measured(seeds, columns)])
    notes = ["Mean ± sample standard deviation over runs that differ in their seed."]
    notes += filter(None, [epoch_sentence(completed)])
    notes += differences([completed], ignore=names, what="The runs")
    own_files = [run for run in completed if run.get("config.dataset.path")]
    if len({run.get("data_sha256") for run in own_files}) > 1:
        notes.append(
            "The runs read different data files, and so have different test data: compare only "
            "numbers of the same file."
        )
    notes += not_finite(counted, columns)
    if repeated := len(completed) - len(counted):
        notes.append(
            f"{repeated} of {len(runs)} runs repeat a seed with the same settings, or evaluate "
            "the same network again: only the last one is counted"
        )
    if left_out := len(runs) - len(completed):
        notes.append(f"{left_out} of {len(runs)} runs are not completed and not counted.")
    headings = [*names, "runs", *(heading for heading, _, _ in columns.values())]
    return ReportTable.of(title, headings, rows, notes=notes)


def is_test(column: str) -> bool:
    """Whether a column holds a metric on test data, at the reported epoch."""
    return column.endswith("/test") and not column.startswith("last/")


def measured(
    runs: Sequence[Record], columns: Mapping[str, tuple[str, float, str]]
) -> list[Cell | None]:
    """The mean of each column over the runs in which it is finite; None if none has a value.

    The number of runs follows where it is not that of all.
    """
    cells: list[Cell | None] = []
    for tag, (_, scale, form) in columns.items():
        finite = [run for run in runs if tag not in odd_tags(run)]
        estimate = Estimate.of((run[tag] for run in finite if tag in run), scale)
        if estimate is not None:
            few = estimate.count < len(runs)
            cells.append(estimate.cell(form, count=1 if few else None))
        else:
            cells.append(Cell.number(math.nan, form) if len(finite) < len(runs) else None)
    return cells
