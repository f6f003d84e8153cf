"""The files of a run that reports read: run_info.json, metrics.jsonl, result.json."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import __version__
from ..training.callbacks import Callback

if TYPE_CHECKING:
    from ..training.loop import Trainer

__all__ = ["MetricsFile", "config_hash", "run_info"]

PACKAGES = ("torch", "torchvision", "hydra-core", "omegaconf", "tensorboard", "numpy", "scipy")
# Settings that change where or how a run is shown, and nothing of what it computes.
NOT_HASHED = ("outputs", "checkpoint", "mode")


class MetricsFile(Callback):
    """Appends one line an epoch to `metrics.jsonl`, by TensorBoard tag."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "metrics.jsonl"

    def epoch_end(self, trainer: Trainer) -> None:
        line = {"epoch": trainer.epoch, "step": trainer.step, **trainer.metrics}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def run_info(seed: int, device: str) -> dict[str, Any]:
    """Where and with what a run was made: versions, code, machine, command, seed."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["node-run", *sys.argv[1:]],
        "seed": seed,
        "node_experiments": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "git": git_state(),
        "platform": platform.platform(terse=True),
        "cpu": cpu_name(),
        "device": device,
        "threads": torch.get_num_threads(),
    }


def config_hash(config: dict[str, Any]) -> str:
    """Twelve hexadecimal digits that are equal for runs that compute the same."""
    relevant = {key: value for key, value in config.items() if key not in NOT_HASHED}
    relevant = relevant | {"trainer": {**config["trainer"], "progress": None}}
    text = json.dumps(relevant, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that the package lies in, and whether it was changed since."""

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
    """Model of the processor, as far as the system tells."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
