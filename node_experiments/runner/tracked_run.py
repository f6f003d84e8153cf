"""Description of a run for its loggers: its command, and the settings that distinguish it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml

from ..chapters import datasets, models
from ..config import RunConfig, SchedulerConfig, SolverConfig, TrainerConfig
from ..config.run import NOT_HASHED_OF_TRAINER, GradientConfig, OptimizerConfig, RegularizerConfig
from ..runs.directory import read_json
from ..runs.jobs import name_of
from ..tracking.loggers import TrackedRun
from .build import settings_read
from .build_solves import build_solver, gradient_settings

__all__ = ["format_command", "tracked_run"]

Setting = bool | int | float | str

# Settings that are listed even if nobody changed them.
ALWAYS = (
    "trainer.epochs", "optimizer.lr", "dataset.batch_size",
    "solver.rtol", "solver.atol", "solver.num_steps",
)  # fmt: skip
OF_ADAPTIVE_STEPS = (
    "rtol", "atol", "first_step", "min_step", "max_step", "max_steps",
    "controller", "safety", "min_factor", "max_factor", "max_order",
)  # fmt: skip
OF_FIXED_STEPS = ("num_steps", "step_size")
OF_BOTH = ("step_t", "jump_t", "batching")
NOT_OF_TRAINER = (*NOT_HASHED_OF_TRAINER, "log_every")
LONGEST_LINE = 100  # characters of a command; more do not fit on a page of TensorBoard


def tracked_run(
    config: RunConfig, folder: Path, choices: dict[str, Any], metric: str, solves: bool
) -> TrackedRun:
    """Describe a run for its loggers."""
    info = read_json(folder / "run_info.json")
    git = info.get("git") or {}
    texts = {
        "command": format_command(info.get("command", [])),
        "commit": f"{git.get('commit')}{' with changes' if git.get('changed') else ''}",
        "config": (folder / "config.yaml").read_text(),
    }
    settings = hyperparameters(config, choices, solves, overridden(folder))
    return TrackedRun(folder, config.name, metric, settings, texts, solves=solves)


def format_command(command: Sequence[str]) -> str:
    r"""A command for a shell; a long one is split into one line per word.

    >>> format_command(["node-run", "seed=0"])
    'node-run seed=0'
    """
    line = shlex.join(command)
    return line if len(line) <= LONGEST_LINE else " \\\n    ".join(map(shlex.quote, command))


def hyperparameters(
    config: RunConfig,
    choices: Mapping[str, Any],
    solves: bool,
    overrides: Collection[str] = (),
) -> dict[str, Setting]:
    """Names of the choices made, and settings by dotted name.

    A setting is included if it applies and differs from the default of its group. Overridden
    settings are included too, so that a sweep that contains the default shows all its values.

    Args:
        choices: The choice in each configuration group.
        solves: Whether the model solves an ODE; solver and gradient apply to no other.
        overrides: Dotted names of the settings that were overridden.
    """
    found: dict[str, Setting] = {
        "dataset": str(choices.get("dataset") or config.dataset.name),
        "model": str(choices.get("model") or config.model.name),
        "optimizer": config.optimizer.name,
        "scheduler": config.scheduler.name,
        "seed": config.seed,
        "protocol": config.protocol,
    }
    if solves:
        found |= {"solver": config.solver.method, "gradient": config.gradient.name}
    named = {*ALWAYS, *overrides}
    for name, value, default in settings_that_apply(config, solves):
        if value != default or (name in named and value is not None):
            found[name] = plain(value)
    return found


def settings_that_apply(config: RunConfig, solves: bool) -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted name, value and default of each setting that the run reads, except names."""
    dataset, model = datasets()[config.dataset.name], models()[config.model.name]
    read = settings_read()
    groups: list[tuple[str, Any, Any, Collection[str] | None]] = [
        ("dataset", config.dataset, dataset.settings(name=config.dataset.name), None),
        ("model", config.model, model.settings(name=config.model.name), model.used_settings),
        (
            "optimizer",
            config.optimizer,
            OptimizerConfig(),
            read["optimizer"][config.optimizer.name],
        ),
        (
            "scheduler",
            config.scheduler,
            SchedulerConfig(),
            read["scheduler"][config.scheduler.name],
        ),
    ]
    if solves:
        fixed = build_solver(config.solver).fixed_steps
        of_steps = (*OF_BOTH, *(OF_FIXED_STEPS if fixed else OF_ADAPTIVE_STEPS))
        of_gradient = gradient_settings(config.gradient.name)
        groups += [
            ("solver", config.solver, SolverConfig(), of_steps),
            ("gradient", config.gradient, GradientConfig(), of_gradient),
            ("regularizer", config.regularizer, RegularizerConfig(), None),
        ]
    trainer = {f.name for f in fields(TrainerConfig)} - {*NOT_OF_TRAINER}
    groups.append(("trainer", config.trainer, TrainerConfig(), trainer))
    for group, settings, defaults, used in groups:
        usual = asdict(defaults)
        for name, value in asdict(settings).items():
            if name not in ("name", "method") and (used is None or name in used):
                yield f"{group}.{name}", value, usual[name]


def plain(value: Any) -> Setting:
    """A value that dashboards can hold: finite numbers and booleans unchanged, others as text."""
    finite = isinstance(value, int | float) and math.isfinite(value)
    return value if finite else str(value)


def overridden(folder: Path) -> list[str]:
    """Dotted names of the settings that were overridden when this run was started."""
    try:
        words = yaml.safe_load((folder / ".hydra" / "overrides.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return []
    return [name_of(str(word)) for word in words or []]
