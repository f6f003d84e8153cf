"""The description of a run that loggers take before it trains."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import RunConfig
from ..runs.directory import read_json
from ..tracking.loggers import TrackedRun
from .hyperparameters import hyperparameters, overridden

__all__ = ["in_lines", "tracked_run"]

LONGEST_LINE = 100  # of a command, in letters; more do not fit on a page of TensorBoard


def tracked_run(
    config: RunConfig, folder: Path, choices: dict[str, Any], metric: str, solves: bool
) -> TrackedRun:
    """The description of a run that loggers take."""
    info = read_json(folder / "run_info.json")
    git = info.get("git") or {}
    texts = {
        "command": in_lines(info.get("command", [])),
        "commit": f"{git.get('commit')}{' with changes' if git.get('changed') else ''}",
        "config": (folder / "config.yaml").read_text(),
    }
    settings = hyperparameters(config, choices, solves, overridden(folder))
    return TrackedRun(folder, config.name, metric, settings, texts, solves=solves)


def in_lines(command: Sequence[str]) -> str:
    r"""A command for a shell, of which a long one takes a line for each word.

    >>> in_lines(["node-run", "seed=0"])
    'node-run seed=0'
    """
    line = shlex.join(command)
    return line if len(line) <= LONGEST_LINE else " \\\n    ".join(map(shlex.quote, command))
