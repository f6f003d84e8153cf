"""Table 2 of Chen et al. 2018 beside ours: forecasts of spirals beyond the observed range."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pandas import DataFrame

from ...reports.records import differences, has, left_out, most_alike, one_per_seed, records
from ...reports.table import Cell, Estimate, ReportTable
from ...reports.verdicts import interval_verdict

__all__ = ["PAPER", "collect", "details", "table2"]

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
LATENT = "latent_ode"
LATENT_ODE = ("latent ODE", LATENT, "rmse")
DETAILS = {
    "rmse": "clean",
    "rmse_noisy": "noisy",
    "rmse_median": "median series",
    "rmse_hold_last": "last point repeated",
    "coverage_90": "inside the 90 % band",
}
MODELS = {"rnn": "RNN", "rnn_dt": "RNN with time gaps", "latent_ode": "latent ODE"}

# Settings that all cells have in common, but for the one that tells them apart.
BUDGET = (
    "dataset.",
    "optimizer.",
    "scheduler.",
    "protocol",
    "trainer.epochs",
    "trainer.clip_norm",
    "trainer.precision",
)
Cells = dict[tuple[str, int], Sequence[Mapping[str, Any]]]


def table2(runs: DataFrame) -> ReportTable:
    """The table of all completed runs on spirals, and what it says of the paper's.

    Runs with other settings than most are left out, and counted.
    """
    cells, others = collect(runs)
    rows = [
        paper_row("paper: RNN", "rnn"),
        *(our_row(*row, cells) for row in RECURRENT),
        paper_row("paper: latent ODE", "latent_ode"),
        our_row(*LATENT_ODE, cells),
    ]
    notes = verdicts(cells) + differences(cells.values(), what="Seeds of one cell")
    notes += left_out(others, "on spirals")
    return ReportTable.of(
        "Table 2",
        ["observations", *(f"{count}/100" for count in COUNTS)],
        rows,
        caption=(
            "RMSE on the 100 points beyond the observed range, against the curve without noise; "
            "mean and standard deviation over seeds (number of seeds). The checkpoint is the best "
            "on the validation series."
        ),
        notes=notes,
        missing="-",
    )


def details(runs: DataFrame) -> ReportTable:
    """Other measures of the same runs, and the latent ODE seed by seed."""
    cells, _ = collect(runs)
    rows = []
    for model, label in MODELS.items():
        for count in COUNTS:
            found = cells.get((model, count), [])
            measures = [cell(numbers(found, metric), count=None) for metric in DETAILS]
            seconds = [run["seconds"] for run in found if "seconds" in run]
            rows.append([label, count, *measures, cell(seconds, ".0f", count=None)])
    return ReportTable.of(
        "Table 2, other measures",
        ["model", "observations", *DETAILS.values(), "seconds per run"],
        rows,
        caption="Other measures of the same runs, the RNNs in steps of the mean gap:",
        more=[by_seed(cells)],
        missing="-",
    )


def by_seed(cells: Cells) -> ReportTable:
    """The latent ODE seed by seed."""
    found = {
        count: {
            int(run.get("seed", 0)): run["rmse/test"]
            for run in cells[LATENT, count]
            if "rmse/test" in run
        }
        for count in COUNTS
        if (LATENT, count) in cells
    }
    seeds = sorted({seed for each in found.values() for seed in each})
    rows = [
        [f"{count} observations", *(number(found.get(count, {}).get(seed)) for seed in seeds)]
        for count in COUNTS
    ]
    headings = ["latent ODE", *(f"seed {seed}" for seed in seeds)]
    return ReportTable.of("Table 2, seed by seed", headings, rows, missing="-")


def number(value: float | None) -> Cell | None:
    """A number with three digits."""
    return None if value is None else Cell.number(value, ".3f")


def collect(runs: DataFrame) -> tuple[Cells, int]:
    """Completed runs by model and number of observations, and how many others were left out.

    All cells hold runs that learned from the same data in as many steps; the runs of one cell
    differ in nothing but their seed, and of two with the same seed the last counts.
    """
    completed = [
        run
        for run in records(runs)
        if run["status"] == "completed"
        and run.get("config.dataset.name") == "spirals"
        and run.get("mode", "train") == "train"
        and has(run, ["config.dataset.observations"], ["config.model.name"])
    ]
    cells: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for run in most_alike(completed, BUDGET, but=["dataset.observations"]):
        cells[run["config.model.name"], run["config.dataset.observations"]].append(run)
    seeds = {key: one_per_seed(most_alike(members)) for key, members in cells.items()}
    return dict(seeds), len(completed) - sum(map(len, seeds.values()))


def verdicts(cells: Cells) -> list[str]:
    """Whether the paper's ordering and its values hold here, where there are seeds to tell."""
    lines = []
    for count in COUNTS:
        ours = estimate(cells, "latent_ode", count, "rmse")
        if ours is None or ours.count < 2:
            continue
        paper = PAPER["latent_ode"][count]
        places = [interval_verdict(ours, Estimate(paper, None, 1), f"the paper's {paper:.4f}")]
        for label, model, metric in RECURRENT:
            others = estimate(cells, model, count, metric)
            if others is not None and others.count > 1:
                places.append(interval_verdict(ours, others, label))
        lines.append(f"{count} observations: the latent ODE is {'; '.join(places)}.")
    if lines:
        lines.append("Below and above: the intervals of mean ± standard deviation do not overlap.")
    return lines


def estimate(cells: Cells, model: str, count: int, metric: str) -> Estimate | None:
    """The estimate of a cell."""
    return Estimate.of(numbers(cells.get((model, count), []), metric))


def numbers(runs: Sequence[Mapping[str, Any]], metric: str) -> list[float]:
    """A test metric at the best epoch of each run that has it."""
    return [run[f"{metric}/test"] for run in runs if f"{metric}/test" in run]


def paper_row(label: str, model: str) -> list[Any]:
    """What the paper prints."""
    return [label, *(Cell.number(PAPER[model][count], ".4f") for count in COUNTS)]


def our_row(label: str, model: str, metric: str, cells: Cells) -> list[Any]:
    """A row of what the runs found."""
    return [label, *(cell(numbers(cells.get((model, count), []), metric)) for count in COUNTS)]


def cell(values: Iterable[float], form: str = ".3f", count: int | None = 1) -> Cell | None:
    """Mean and standard deviation, and how many there were."""
    found = Estimate.of(values)
    return None if found is None else found.cell(form, form, count)
