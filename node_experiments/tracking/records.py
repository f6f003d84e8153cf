"""The files of a run that reports read: run_info.json, metrics.jsonl, result.json."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..files import write_atomically
from ..training.loop import Callback, Trainer
from ..version import __version__

__all__ = ["MetricsFile", "cpu_instructions", "cpu_name", "run_info"]

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "tensorboard", "numpy", "scipy")


class MetricsFile(Callback):
    """Appends one line per epoch to `metrics.jsonl`, by TensorBoard tag."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.jsonl"

    def fit_start(self, trainer: Trainer) -> None:
        # On a resume, keep the epochs in the checkpoint, and none that came after it.
        if self._path.exists() or trainer.history:
            lines = "".join(json.dumps(row) + "\n" for row in trainer.history).encode()
            write_atomically(self._path, lambda file: file.write(lines))

    def epoch_end(self, trainer: Trainer) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(trainer.history[-1]) + "\n")


def run_info(seed: int, device: str) -> dict[str, Any]:
    """Provenance of a run: versions, code, machine, command, seed."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["node-run", *sys.argv[1:]],
        "seed": seed,
        "node_experiments": __version__,
        "python": platform.python_version(),
        "packages": package_versions(),
        "git": git_state(),
        "platform": platform.platform(terse=True),
        "cpu": cpu_name(),
        "cpu_instructions": cpu_instructions(),
        "device": device,
        "threads": torch.get_num_threads(),
    }


@cache
def package_versions() -> dict[str, str]:
    """Versions of the main packages."""
    return {name: version(name) for name in PACKAGES}


@cache
def git_state() -> dict[str, Any] | None:
    """Commit of the checkout whose code this process imported, and whether it was changed."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.CalledProcessError):
        return None


def cpu_name() -> str:
    """Model of the processor, if the system reports it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cpu_instructions() -> str:
    """The widest vector instructions that torch uses here, such as AVX2 or AVX512.

    A hypervisor may hide the model of the processor; this is then the best hint at it.
    """
    return torch.backends.cpu.get_cpu_capability()
