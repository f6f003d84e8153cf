"""The training budget of a run: only runs with the same budget are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ...config.run import OptimizerConfig, SchedulerConfig, TrainerConfig
from ...reports.records import REPETITION, Record, settings, show
from .chapter import ImagesConfig

__all__ = ["Budget", "budget_of", "budget_sort_key", "describe_budget"]

# Settings that define a budget, and those among them that do not affect what is learned.
BUDGET = ("protocol", "dataset.", "optimizer.", "scheduler.", "trainer.")
IGNORED = {"dataset.root", "dataset.eval_batch_size", "dataset.test_size"} | {
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


def budget_of(run: Record) -> Budget:
    """All data and optimisation settings of a run; older runs get the defaults of newer ones."""
    known = DEFAULTS | settings(run)
    return tuple(
        (name, str(known[name]))
        for name in sorted(known)
        if name.startswith(BUDGET) and name not in IGNORED
    )


def budget_sort_key(budget: Budget, rows: Mapping[Any, Sequence[Record]]) -> tuple[bool, int, int]:
    """Sort key of a budget: smoke tests last, budgets with more rows and runs first."""
    return dict(budget).get("protocol") == "smoke", -len(rows), -sum(map(len, rows.values()))


def describe_budget(done: Sequence[Record]) -> str:
    """Describe the budget that all rows of a table share, and the machines that they ran on."""
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
        f"{show(config['optimizer.weight_decay'])}, {describe_augmentation(own)}; "
        f"seed {', '.join(map(str, seeds))}. The error is that of the "
        "weights after the last epoch on the test images, on which no choice was based; ± is the "
        "sample standard deviation over seeds. *Saved* are the bytes that autograd keeps between "
        "the forward and the backward pass of one batch, evaluations are those of the forward + "
        "backward solve, and seconds those of the fastest epoch of the first seed. Hardware: "
        f"{'; '.join(machines)}."
    )


def describe_augmentation(config: Mapping[str, Any]) -> str:
    """Describe the augmentation of training images; older runs lack newer settings."""
    parts = []
    if config.get("dataset.augment"):
        parts.append(f"random crops after padding by {config.get('dataset.padding', 4)}")
    if config.get("dataset.flip"):
        parts.append("random flips")
    for name, unit in (("rotation", " degrees"), ("scale", ""), ("shear", "")):
        if largest := config.get(f"dataset.{name}"):
            parts.append(f"{name} up to {largest:g}{unit}")
    return ", ".join(parts) or "no augmentation"
