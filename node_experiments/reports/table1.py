"""Table 1 of Chen et al. 2018 beside ours: error, size, memory and time of networks on MNIST.

One table for every training budget found, so that the rows of a table can be compared. A row
whose runs failed or do not exist stays in it and says so.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from .growth import growth_table, read_growth
from .runs import Run, find_runs
from .tables import Cell

__all__ = ["table1"]

HEADINGS = (
    "model",
    "`node-run experiment=`",
    "test error, %",
    "parameters",
    "saved for backward, MB",
    "memory",
    "evaluations a solve, forward + backward",
    "s a step",
    "time",
    "runs",
)

# Settings by which a budget is known, and those among them that only say where or how it runs.
BUDGET = ("protocol", "dataset.", "optimizer.", "scheduler.", "trainer.")
APPEARANCE = {"dataset.root", "dataset.eval_batch_size", "dataset.test_size"} | {
    f"trainer.{name}"
    for name in (
        "device",
        "threads",
        "devices",
        "compile",
        "deterministic",
        "log_every",
        "profile",
    )
}


@dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        settings: What a run's settings must be.
        growth: Name of its measurement among those of `growth`.
        paper: Test error in percent, parameters, memory and time as the paper prints them.
    """

    label: str
    experiment: str
    settings: dict[str, Any] = field(hash=False)
    growth: str | None = None
    paper: tuple[str, str, str, str] | None = None


CONV = {"model.stem": "conv", "model.channels": 64}
SIX = {**CONV, "model.name": "resnet", "model.blocks": 6, "model.shared": False}
ODE = {**CONV, "model.name": "odenet", "solver.method": "dopri5", "solver.rtol": 1e-3}
ROWS = (
    Row(
        "MLP, 300 hidden units",
        "mnist_mlp",
        {"model.name": "mlp", "model.hidden": 300},
        paper=("1.60 (LeCun et al. 1998)", "0.24 M", "-", "-"),
    ),
    Row("stem and head alone", "mnist_stem_only", {**CONV, "model.name": "stem_only"}),
    Row("ResNet, 1 block", "mnist_resnet_1block", {**SIX, "model.blocks": 1}),
    Row("ResNet, 6 blocks", "mnist_resnet", SIX, "resnet", ("0.41", "0.60 M", "O(L)", "O(L)")),
    Row(
        "RK-Net, dopri5, backprop",
        "mnist_rknet",
        {**ODE, "gradient.name": "backprop"},
        "backprop",
        ("0.47", "0.22 M", "O(L̃)", "O(L̃)"),
    ),
    Row(
        "ODE-Net, dopri5, adjoint",
        "mnist_odenet",
        {**ODE, "gradient.name": "adjoint"},
        "adjoint",
        ("0.42", "0.22 M", "O(1)", "O(L̃)"),
    ),
)

Budget = tuple[tuple[str, str], ...]


def table1(folder: Path) -> str:
    """Markdown from all runs below a folder."""
    sections: dict[Budget, dict[Row, list[Run]]] = defaultdict(lambda: defaultdict(list))
    others = 0
    for run in find_runs(folder):
        if run.config.get("dataset.name") != "mnist" or run.config.get("mode") != "train":
            continue
        row = row_of(run)
        if row is None:
            others += 1
        else:
            sections[budget_of(run)][row].append(run)
    lost = dict(lost_jobs(folder))
    growth = read_growth(folder)
    ordered = sorted(sections.items(), key=lambda item: order(*item))
    parts = [section(rows, lost, growth) for _, rows in ordered] or [section({}, lost, growth)]
    if others:
        parts.append(
            f"Runs on MNIST with other models, solvers or settings, not shown: {others}.\n"
        )
    if growth:
        parts.append(growth_table(growth))
    return "\n".join(parts)


def row_of(run: Run) -> Row | None:
    """The row of a run; settings that a run is too old to know count as they are wanted."""
    for row in ROWS:
        if all(run.config.get(name, value) == value for name, value in row.settings.items()):
            return row
    return None


def budget_of(run: Run) -> Budget:
    """All settings of data and optimisation."""
    return tuple(
        (name, str(value))
        for name, value in sorted(run.settings.items())
        if name.startswith(BUDGET) and name not in APPEARANCE
    )


def order(budget: Budget, rows: Mapping[Row, Sequence[Run]]) -> tuple[bool, int, int]:
    """Smoke tests last; before them, budgets with more rows and runs first."""
    return dict(budget).get("protocol") == "smoke", -len(rows), -sum(map(len, rows.values()))


def lost_jobs(folder: Path) -> Iterator[tuple[str, str]]:
    """Experiment and reason of the jobs of sweeps that failed before they had a folder."""
    for path in sorted(folder.rglob("jobs.jsonl")):
        for line in path.read_text(errors="replace").splitlines():
            try:
                job = json.loads(line)
            except ValueError:
                continue
            given = dict(part.partition("=")[::2] for part in job["overrides"].split(","))
            if job["reason"] is not None and "experiment" in given:
                yield given["experiment"], job["reason"]


def section(
    rows: Mapping[Row, Sequence[Run]], lost: Mapping[str, str], growth: Mapping[str, Any]
) -> str:
    """The table of one budget, with what the budget is."""
    lines = [
        "| " + " | ".join(HEADINGS) + " |",
        "| --- | --- |" + " --: |" * (len(HEADINGS) - 3) + " --- |",
    ]
    for row in ROWS:
        lines.append(ours(row, rows.get(row, ()), lost.get(row.experiment), growth))
        if row.paper is not None:
            error, parameters, memory, time = row.paper
            cells = ["paper", "", error, parameters, "", memory, "", "", time, ""]
            lines.append("| " + " | ".join(cells) + " |")
    done = [run for runs in rows.values() for run in measured(runs)]
    return "\n".join([*lines, "", *([stated(done)] if done else []), ""])


def ours(row: Row, runs: Sequence[Run], lost: str | None, growth: Mapping[str, Any]) -> str:
    """The row of one network: what its completed runs found, and what became of the others."""
    done = measured(runs)
    errors = [100 * (1 - final(run)["accuracy/test"]) for run in done]
    forward, backward = (
        [final(run)[tag] for run in done if tag in final(run)]
        for tag in ("nfe/forward", "nfe/backward")
    )
    steps = [
        epoch["time/step_seconds"]
        for run in done
        for epoch in run.epochs
        if "time/step_seconds" in epoch
    ]
    saved = [
        final(run)["memory/saved_bytes"] for run in done if "memory/saved_bytes" in final(run)
    ]
    power = growth.get(row.growth or "")
    cells = [
        row.label,
        f"`{row.experiment}`",
        text(Cell.of(errors, 1, ".2f")),
        f"{done[0].result['parameters']:,}" if done else "-",
        text(Cell.of(saved[:1], 1e-6, ".1f")),
        "-" if power is None else power.memory,
        f"{fmean(forward):.1f} + {fmean(backward):.1f}" if forward and backward else "-",
        f"{min(steps):.3f}" if steps else "-",
        "-" if power is None else power.time,
        became(runs, done, lost),
    ]
    return "| " + " | ".join(cells) + " |"


def measured(runs: Sequence[Run]) -> list[Run]:
    """The completed runs that say how accurate they are; of equal ones the last."""
    found = {
        run.result.get("config_hash", run.folder): run
        for run in runs
        if run.status == "completed" and "accuracy/test" in final(run)
    }
    return list(found.values())


def final(run: Run) -> dict[str, Any]:
    """Metrics of the weights after the last epoch, which no data chose."""
    return run.result.get("metrics") or {}


def text(cell: Cell | None) -> str:
    """A cell, or a dash."""
    return "-" if cell is None else str(cell)


def became(runs: Sequence[Run], done: Sequence[Run], lost: str | None) -> str:
    """How many runs were counted, and why others were not."""
    known = {run.result.get("config_hash") for run in done}
    notes = [f"{len(done)} seed{'s' if len(done) != 1 else ''}"] if done else []
    for run in runs:
        if run in done or run.result.get("config_hash", "?") in known:
            continue
        if run.status == "completed":
            notes.append("one without metrics")
        else:
            at = f" after {len(run.epochs)} of {run.config.get('trainer.epochs')} epochs"
            notes.append(f"one {run.status}{at}" + (f": {run.reason}" if run.reason else ""))
    if lost is not None:
        notes.append(f"one failed: {lost}")
    return "; ".join(notes).replace("|", "/").replace("\n", " ") or "not run"


def stated(done: Sequence[Run]) -> str:
    """What all rows of a table were given, and on what they ran."""
    run = done[0]
    config = run.config
    images = round(final(run)["step"] / final(run)["epoch"]) * config["dataset.batch_size"]
    machines = sorted(
        {f"{r.result['hardware']['cpu']}, {r.result['hardware']['device']}" for r in done}
    )
    seeds = sorted({r.config.get("seed", 0) for r in done})
    return (
        f"Protocol `{config['protocol']}`, the same for every row: {config['trainer.epochs']} "
        f"epochs of {images:,} images in batches of {config['dataset.batch_size']}, "
        f"{config['optimizer.name']} with learning rate {config['optimizer.lr']:g} and schedule "
        f"{config['scheduler.name']}, weight decay {config['optimizer.weight_decay']:g}, random "
        f"crops after padding by {config.get('dataset.padding', 4)}; seeds "
        f"{', '.join(map(str, seeds))}. The error is that of the weights after the last epoch on "
        "the test images, which chose nothing; ± is the sample standard deviation over seeds. "
        "Saved are the bytes that autograd keeps between the passes of one batch; seconds are "
        f"those of the fastest epoch. Run on: {'; '.join(machines)}."
    )
