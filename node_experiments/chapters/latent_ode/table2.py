"""Table 2 of Chen et al. 2018 beside ours: forecasts of spirals beyond the observed range."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from ...runs.run import (
    Run,
    find_runs,
)

__all__ = ["PAPER", "collect", "details", "table2", "verdicts"]

COUNTS = (30, 50, 100)
PAPER = {
    "rnn": dict(zip(COUNTS, (0.3937, 0.3202, 0.1813), strict=True)),
    "latent_ode": dict(zip(COUNTS, (0.1642, 0.1502, 0.1346), strict=True)),
}

# Label, model, metric; the paper has one row for both recurrent networks.
RECURRENT = (
    ("RNN, forecast from target to target", "rnn", "rmse_target"),
    ("RNN with time gaps, from target to target", "rnn_dt", "rmse_target"),
    ("RNN, in steps of the mean gap", "rnn", "rmse_mean_gap"),
    ("RNN with time gaps, in steps of the mean gap", "rnn_dt", "rmse_mean_gap"),
)
LATENT_ODE = ("latent ODE", "latent_ode", "rmse")
DETAILS = {
    "rmse": "clean",
    "rmse_noisy": "noisy",
    "rmse_median": "median series",
    "rmse_hold_last": "last point repeated",
    "coverage_90": "inside the 90 % band",
}
MODELS = {"rnn": "RNN", "rnn_dt": "RNN with time gaps", "latent_ode": "latent ODE"}

# Settings that all cells have in common, and those that tell cells, or nothing, apart.
BUDGET = (
    "dataset.",
    "optimizer.",
    "scheduler.",
    "protocol",
    "trainer.epochs",
    "trainer.clip_norm",
    "trainer.precision",
)
CELL = ("dataset.observations", "name", "checkpoint", "trainer.threads", "trainer.log_every")

Cells = dict[tuple[str, int], list[Run]]


def table2(folder: Path) -> str:
    """Markdown from all completed runs below a folder: the table, and what it says of the paper's.

    Runs with other settings than most are left out, and counted.
    """
    cells, others = collect(folder)
    lines = [
        "RMSE on the 100 points beyond the observed range, against the curve without noise; mean "
        "and standard deviation over seeds (number of seeds). The checkpoint is the best on the "
        "validation series.",
        "",
        "| observations | " + " | ".join(f"{count}/100" for count in COUNTS) + " |",
        "| --- |" + " ---: |" * len(COUNTS),
        paper_row("paper: RNN", "rnn"),
        *(ours(*row, cells) for row in RECURRENT),
        paper_row("paper: latent ODE", "latent_ode"),
        ours(*LATENT_ODE, cells),
        "",
        *verdicts(cells),
    ]
    if others:
        lines.append(
            f"- Completed runs on spirals with other settings, or repeated, not shown: {others}."
        )
    return "\n".join(lines) + "\n"


def details(folder: Path) -> str:
    """Markdown of the other measures of the same runs."""
    cells, _ = collect(folder)
    lines = [
        "Other measures of the same runs, the RNNs in steps of the mean gap:",
        "",
        "| model | observations | " + " | ".join(DETAILS.values()) + " | seconds a run |",
        "| --- | ---: |" + " ---: |" * (len(DETAILS) + 1),
    ]
    for model, label in MODELS.items():
        for count in COUNTS:
            runs = cells.get((model, count), [])
            values = [spread(numbers(runs, metric), count=False) for metric in DETAILS]
            seconds = [run.seconds for run in runs if run.seconds is not None]
            values.append(spread(seconds, count=False, digits=0))
            lines.append(f"| {label} | {count} | " + " | ".join(values) + " |")
    lines += ["", "The latent ODE seed by seed:", ""]
    for count in COUNTS:
        runs = sorted(cells.get(("latent_ode", count), []), key=lambda run: run.config["seed"])
        values = [f"{value:.3f}" for value in numbers(runs, "rmse")]
        lines.append(f"- {count} observations: {', '.join(values) or '-'}")
    return "\n".join(lines) + "\n"


def collect(folder: Path) -> tuple[Cells, int]:
    """Completed runs by model and number of observations, and how many others were left out.

    All cells hold runs that learned from the same data in as many steps; the runs of one cell
    differ in nothing but their seed, and of two with the same seed the last counts.
    """
    runs = [
        run
        for run in find_runs(folder)
        if run.status == "completed"
        and run.config.get("dataset.name") == "spirals"
        and run.config.get("mode", "train") == "train"
    ]
    cells: dict[tuple[str, int], list[Run]] = defaultdict(list)
    for run in most_alike(runs, BUDGET):
        key = str(run.config.get("model.name")), int(run.config.get("dataset.observations", 0))
        cells[key].append(run)
    seeds = {
        key: list({run.config.get("seed"): run for run in most_alike(members)}.values())
        for key, members in cells.items()
    }
    return seeds, len(runs) - sum(map(len, seeds.values()))


def most_alike(runs: Iterable[Run], names: tuple[str, ...] = ("",)) -> list[Run]:
    """Those of the largest group of runs that have the same settings.

    Args:
        names: Beginnings of the names of the settings that count.
    """
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        settings = (
            f"{name}={value}"
            for name, value in sorted(run.settings.items())
            if name.startswith(names) and name not in CELL
        )
        groups[tuple(settings)].append(run)
    return max(groups.values(), key=len, default=[])


def verdicts(cells: Cells) -> list[str]:
    """Whether the paper's ordering and its values hold here, where there are seeds to tell."""
    lines = []
    for count in COUNTS:
        found = numbers(cells.get(("latent_ode", count), []), "rmse")
        if len(found) < 2:
            continue
        paper = PAPER["latent_ode"][count]
        places = [f"{compared(found, [paper, paper])} the paper's {paper:.4f}"]
        for label, model, metric in RECURRENT:
            others = numbers(cells.get((model, count), []), metric)
            if len(others) > 1:
                places.append(f"{compared(found, others)} {label}")
        lines.append(f"- {count} observations: the latent ODE lies {'; '.join(places)}.")
    if lines:
        lines.append(
            "- Below and above: the intervals of mean ± standard deviation do not overlap."
        )
    return lines


def compared(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Where an interval of mean ± standard deviation lies."""
    (low, high), (lower, higher) = interval(ours), interval(theirs)
    return "below" if high < lower else "above" if low > higher else "within the spread of"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean minus and plus the standard deviation."""
    mean, width = statistics.fmean(values), statistics.stdev(values)
    return mean - width, mean + width


def numbers(runs: Sequence[Run], metric: str) -> list[float]:
    """A test metric at the best epoch of each run that has it."""
    tag = f"{metric}/test"
    return [run.metrics[tag] for run in runs if tag in run.metrics]


def paper_row(label: str, model: str) -> str:
    """What the paper prints."""
    return f"| {label} | " + " | ".join(f"{PAPER[model][count]:.4f}" for count in COUNTS) + " |"


def ours(label: str, model: str, metric: str, cells: Cells) -> str:
    """A row of what the runs found."""
    found = [numbers(cells.get((model, count), []), metric) for count in COUNTS]
    return f"| {label} | " + " | ".join(map(spread, found)) + " |"


def spread(values: Iterable[float], count: bool = True, digits: int = 3) -> str:
    """Mean and standard deviation, and how many there were."""
    values = list(values)
    if not values:
        return "-"
    text = f"{statistics.fmean(values):.{digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):.{digits}f}"
    return f"{text} ({len(values)})" if count else text
