"""What a person reads on the terminal: lines of a run, and one line for what went wrong."""

from __future__ import annotations

import logging
import re
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra.errors import MissingConfigException
from rich.console import Console
from yaml.error import MarkedYAMLError

from ..config import (
    DATASETS,
    MODELS,
    RunConfig,
    nearest,
)

__all__ = ["GROUPS", "complain", "console", "describe", "log_to_console", "report"]

GROUPS = (
    "experiment",
    "dataset",
    "model",
    "solver",
    "gradient",
    "regularizer",
    "optimizer",
    "scheduler",
)

LONGEST = 1500  # characters of a message

# A part of the name of a plugin, or of its configuration -> the extra that installs it.
EXTRAS = {
    "joblib": "sweep",
    "submitit": "slurm",
    "ray": "ray",
    "optuna": "optuna",
    "tpe": "optuna",
}

console = Console()
log = logging.getLogger("node_experiments")


def report(result: dict[str, Any], folder: Path, job: str = "") -> None:
    """Say how a job ended.

    Args:
        job: Its number and what varies, in a sweep.
    """
    name = f"{job} {result['name']}".strip()
    if result["status"] == "completed":
        shown = {t: v for t, v in result["metrics"].items() if t.endswith("/test")}
        numbers = ", ".join(
            f"{tag} {value:.4f}" for tag, value in shown.items() if value is not None
        )
        seconds = result["seconds"]["total"]
        how = "was completed before" if result.get("skipped") else f"completed in {seconds:.0f} s"
        line = f"{name} {how}{': ' if numbers else ''}{numbers}\n{folder}"
        if result.get("mode") == "figure3":
            line += f"\nits verdicts and numbers: node-report --outputs {folder} figure3"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    elif result["status"] == "interrupted":
        resumable = result.get("mode") == "train"
        then = f"go on with resume={folder}" if resumable else "run the same command again"
        line = f"{name} {result['reason']}; {then}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    else:
        prefix = f"{job}: " if job else ""
        complain(f"{prefix}{result['reason']} (log: {folder / 'node-run.log'})")


def complain(message: str) -> int:
    """Print one line to standard error; returns the exit code of bad input."""
    line = " ".join(message.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    print(f"node-run: {line}", file=sys.stderr)
    return 2


def describe(error: Exception) -> str:
    """One line for an error of the configuration, with the nearest names where there are some."""
    if extra := missing_extra(str(error)):
        return f'this needs an extra of the package: pip install "node-experiments[{extra}]"'
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group and error.options is not None:
            return f"{group}={name} is unknown{nearest(name, sorted(error.options))}"
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}, line {mark.line + 1}, is no YAML: {error.problem}"
    if type(error).__module__.startswith("sqlalchemy"):
        reason = getattr(error, "orig", None) or error
        return f"hydra.sweeper.storage is no database that can be used: {reason}"
    message = str(error)
    refused, own, reason = message.partition("ConfigError raised while resolving interpolation: ")
    if own and not refused:
        return reason.splitlines()[0]
    if message.startswith("Config group override must be"):
        no_name = re.compile(r"[\w/]+=(null|true|false|[-+.\d]*)", re.IGNORECASE)
        given = " ".join(a for a in sys.argv[1:] if no_name.fullmatch(a))
        return (
            f"{given or 'this value'} chooses nothing: choose one of configs/<group>/, as in "
            "solver=dopri5; only experiment, sweep and debug may be null"
        )
    if message.startswith("Error merging override") and error.__cause__ is not None:
        # What was wrong with the value stands in the cause.
        message = f"{message.splitlines()[0].split(' ', 3)[-1]}: {error.__cause__}"
        return " ".join(message.splitlines()[:1])
    if message.startswith("Ambiguous value"):
        return f"{message.splitlines()[0]}: add -m to run one job for each value"
    if "@experiment" in message:
        return (
            "the experiment's file needs the first line '# @package _global_' to override "
            f"groups ({message.splitlines()[0]})"
        )
    if missing := re.match(r"Could not override '([^']+)'", message):
        return unknown_key(missing[1].partition("@")[0])
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " ".join(lines[:2]) if lines else type(error).__name__


def missing_extra(message: str) -> str | None:
    """The extra that brings what Hydra could not find, when a preset of ours names it."""
    found = re.search(r"Could not (?:find|load) '(hydra/[\w/]+)'|(hydra_plugins[\w.]+)", message)
    name = (found[1] or found[2]) if found else ""
    return next((extra for part, extra in EXTRAS.items() if part in name), None)


def unknown_key(key: str) -> str:
    """The message for a key that no schema has."""
    group, _, name = key.rpartition(".")
    if not group:
        known = {f.name for f in fields(RunConfig)} | set(GROUPS)
        return f"{key} is not a setting{nearest(name, sorted(known))}"
    schemas: list[Any] = [f.default_factory for f in fields(RunConfig) if f.name == group]
    by_name: dict[str, dict[str, Any]] = {"dataset": {**DATASETS}, "model": {**MODELS}}
    schemas += by_name.get(group, {}).values()
    names = {f.name for schema in schemas if is_dataclass(schema) for f in fields(schema)}
    if name in names:
        return f"{key} is a setting of another {group}; choose that one with {group}=..."
    hint = nearest(name, sorted(names), f"{group}.") if names else ""
    return f"{key} is not a setting of the choices made{hint}"


def log_to_console() -> None:
    """Show the lines of a run, through the console that also draws the progress bar."""
    if not log.handlers:
        handler = ConsoleHandler()
        handler.setLevel(logging.INFO)
        log.addHandler(handler)
        log.setLevel(logging.DEBUG)
        log.propagate = False


class ConsoleHandler(logging.Handler):
    """Prints log records as they are."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        console.print(record.getMessage(), markup=False, highlight=False, soft_wrap=True)
