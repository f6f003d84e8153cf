"""Where a benchmark was measured: processor, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from node_experiments.tracking.records import cpu_instructions, cpu_name

PACKAGES = ("torch", "numpy", "scipy", "torchdiffeq", "torchode", "diffrax", "jax")


def machine(repetitions: int) -> dict[str, Any]:
    """What the times depend on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": cpu_name(),
        "instructions": cpu_instructions(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": versions,
        "python": platform.python_version(),
        "repetitions": repetitions,
        "commit": commit(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """The commit that was measured, with a mark where files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
