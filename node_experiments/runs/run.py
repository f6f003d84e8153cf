"""Run folders, as far as they can be read: also of runs that failed or never ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from .directory import (
    read_json,
    status,
)

__all__ = ["Run", "find_runs", "flat"]

# Settings that tell repetitions, places and appearances apart, and not what was computed.
REPETITION = ("seed", "outputs", "resume", "trainer.progress", "trainer.checkpoint_minutes")


@dataclass
class Run:
    """One run.

    Attributes:
        result: What `result.json` holds; empty when the run did not end.
        status: completed, interrupted, failed, running or unfinished.
    """

    folder: Path
    result: dict[str, Any] = field(default_factory=dict)
    status: str = "unfinished"

    @property
    def name(self) -> str:
        """Name of the experiment."""
        return str(self.result.get("name") or self.config.get("name") or "?")

    @property
    def sweep(self) -> str | None:
        """Name of the sweep that the run was a job of."""
        parts = self.folder.parts
        return parts[-3] if len(parts) > 3 and parts[-4] == "sweeps" else None

    @property
    def reason(self) -> str:
        """Why it failed or was interrupted."""
        return str(self.result.get("reason") or "")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved settings by dotted name; empty when they cannot be read."""
        try:
            content = yaml.safe_load((self.folder / "config.yaml").read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return dict(flat(content)) if isinstance(content, dict) else {}

    @property
    def settings(self) -> dict[str, Any]:
        """The settings by which runs differ in what they compute, repetitions apart."""
        return {key: value for key, value in self.config.items() if key not in REPETITION}

    @property
    def metric(self) -> str | None:
        """Name of the task's metric."""
        return self.result.get("metric")

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Numbers of the result by TensorBoard tag: at the best epoch where there is one."""
        found = {**(self.result.get("metrics") or {}), **(self.result.get("best") or {})}
        return {key: value for key, value in found.items() if isinstance(value, int | float)}

    @cached_property
    def epochs(self) -> list[dict[str, float]]:
        """The lines of `metrics.jsonl` that are whole."""
        rows = []
        try:
            lines = (self.folder / "metrics.jsonl").read_text(errors="replace").splitlines()
        except OSError:
            return []
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict):
                rows.append(row)
        return rows

    @property
    def seconds(self) -> float | None:
        """Time that the run took."""
        return (self.result.get("seconds") or {}).get("total")


def find_runs(outputs: Path) -> list[Run]:
    """All runs below a folder, in the order of their paths."""
    found = {path.parent for path in outputs.rglob("run_info.json")}
    found |= {path.parent for path in outputs.rglob("result.json")}
    return [
        Run(folder, read_json(folder / "result.json"), status(folder)) for folder in sorted(found)
    ]


def flat(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings by dotted name."""
    for key, value in node.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
