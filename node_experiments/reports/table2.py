"""Table 2 of Chen et al. 2018 beside ours: forecasts of spirals beyond the observed range."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from .runs import Run, find_runs

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

Cells = dict[tuple[str, int], list[Run]]


def table2(folder: Path) -> str:
    """Markdown from all completed runs below a folder: the table, and what it says of the paper's.

    Runs of other data or another budget than most are left out, and counted.
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
        lines.append(f"- Completed runs on spirals with other settings, not shown: {others}.")
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

    The cells hold runs that learned from the same data in as many steps; of two with the same
    seed the last.
    """
    runs = [
        run
        for run in find_runs(folder)
        if run.status == "completed"
        and run.config.get("dataset.name") == "spirals"
        and run.config.get("mode", "train") == "train"
    ]
    budgets: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        budgets[budget(run)].append(run)
    chosen = max(budgets.values(), key=len, default=[])
    cells: dict[tuple[str, int], dict[int, Run]] = defaultdict(dict)
    for run in chosen:
        key = str(run.config.get("model.name")), int(run.config.get("dataset.observations", 0))
        cells[key][int(run.config.get("seed", 0))] = run
    return {key: list(seeds.values()) for key, seeds in cells.items()}, len(runs) - len(chosen)


def budget(run: Run) -> tuple[str, ...]:
    """What all cells of a table have in common."""
    return tuple(
        f"{name}={value}"
        for name, value in sorted(run.settings.items())
        if name.startswith(("dataset.", "optimizer.", "scheduler."))
        or name in ("protocol", "trainer.epochs", "trainer.clip_norm", "trainer.precision")
        if name != "dataset.observations"
    )


def verdicts(cells: Cells) -> list[str]:
    """Whether the paper's ordering and its values hold here."""
    lines = []
    for count in COUNTS:
        found = numbers(cells.get(("latent_ode", count), []), "rmse")
        if not found:
            continue
        places = [
            f"{where} {label}"
            for label, model, metric in RECURRENT
            if (where := compared(found, numbers(cells.get((model, count), []), metric)))
        ]
        mean, paper = statistics.fmean(found), PAPER["latent_ode"][count]
        says = "at or under" if mean <= paper else "above"
        lines.append(
            f"- {count} observations: the latent ODE's mean of {mean:.3f} is {says} the paper's "
            f"{paper:.4f}" + (f"; it lies {'; '.join(places)}." if places else ".")
        )
    return lines


def compared(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Where an interval of mean ± standard deviation lies; empty with nothing to compare with."""
    if not theirs:
        return ""
    (low, high), (lower, higher) = interval(ours), interval(theirs)
    return "below" if high < lower else "above" if low > higher else "within the spread of"


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean minus and plus the standard deviation."""
    mean = statistics.fmean(values)
    width = statistics.stdev(values) if len(values) > 1 else 0.0
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
