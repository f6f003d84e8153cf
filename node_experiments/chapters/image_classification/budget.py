"""What a run was given to learn from: runs are compared where it is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...config.run import (
    OptimizerConfig,
    SchedulerConfig,
    TrainerConfig,
)
from ...reports.records import REPETITION, settings, show
from .chapter import ImagesConfig

__all__ = ["Budget", "budget_of", "order", "stated"]

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

DEFAULTS = {
    f"{schema.GROUP}.{name}": value
    for schema in (ImagesConfig, OptimizerConfig, SchedulerConfig, TrainerConfig)
    for name, value in asdict(schema()).items()
    if f"{schema.GROUP}.{name}" not in REPETITION
}

Budget = tuple[tuple[str, str], ...]
Record = Mapping[str, Any]


def budget_of(run: Record) -> Budget:
    """All settings of data and optimisation; those that a run is too old to know by default."""
    known = DEFAULTS | settings(run)
    return tuple(
        (name, str(known[name]))
        for name in sorted(known)
        if name.startswith(BUDGET) and name not in APPEARANCE
    )


def order(budget: Budget, rows: Mapping[Any, Sequence[Record]]) -> tuple[bool, int, int]:
    """Smoke tests last; before them, budgets with more rows and runs first."""
    return dict(budget).get("protocol") == "smoke", -len(rows), -sum(map(len, rows.values()))


def stated(done: Sequence[Record]) -> str:
    """What all rows of a table were given, and on what they ran."""
    own = settings(done[0])
    config = DEFAULTS | own
    steps = round(done[0]["last/step"] / done[0]["last/epoch"])
    images = steps * config["trainer.accumulate"] * config["dataset.batch_size"]
    machines = sorted(
        {f"{run.get('hardware.cpu', '?')}, {run.get('hardware.device', '?')}" for run in done}
    )
    seeds = sorted({int(run.get("seed", 0)) for run in done})
    return (
        f"Protocol `{config.get('protocol')}`, the same for every row: {config['trainer.epochs']} "
        f"epochs of {images:,} images in batches of {config['dataset.batch_size']}, "
        f"{config['optimizer.name']} with learning rate {show(config['optimizer.lr'])} and "
        f"schedule {config['scheduler.name']}, weight decay "
        f"{show(config['optimizer.weight_decay'])}, {augmentation(own)}; "
        f"seed {', '.join(map(str, seeds))}. The error is that of the "
        "weights after the last epoch on the test images, which chose nothing; ± is the sample "
        "standard deviation over seeds. "
        "Saved are the bytes that autograd keeps between the passes of one batch; evaluations are "
        "those of the forward + backward solve, seconds those of the fastest epoch of the first "
        f"seed. Run on: {'; '.join(machines)}."
    )


def augmentation(config: Mapping[str, Any]) -> str:
    """How training images were changed; runs from before a setting existed lack it."""
    parts = []
    if config.get("dataset.augment"):
        parts.append(f"random crops after padding by {config.get('dataset.padding', 4)}")
    if config.get("dataset.flip"):
        parts.append("random flips")
    for name, unit in (("rotation", " degrees"), ("scale", ""), ("shear", "")):
        if largest := config.get(f"dataset.{name}"):
            parts.append(f"{name} up to {largest:g}{unit}")
    return ", ".join(parts) or "no augmentation"
