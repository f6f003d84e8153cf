"""The states of all random number generators of a process, as tensors and plain values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["kept_random_state", "random_state", "seeded", "set_random_state"]


@contextmanager
def kept_random_state(device: torch.device) -> Iterator[None]:
    """Restore, afterwards, the generators of Python, NumPy, torch and the device."""
    python, numpy = random.getstate(), np.random.get_state(legacy=True)  # noqa: NPY002
    has_own = device.type in ("cuda", "mps")
    kind = device.type if has_own else "cuda"
    try:
        with torch.random.fork_rng([device] if has_own else [], device_type=kind):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of the CPU and the device inside, and restore all afterwards."""
    with kept_random_state(device):
        torch.manual_seed(seed)
        yield


def random_state() -> dict[str, Any]:
    """States of the generators of Python, NumPy, torch, CUDA and MPS."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.array(keys, np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the states that `random_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([cuda.cpu() for cuda in state["cuda"]])
    for mps in state.get("mps", []):
        if torch.backends.mps.is_available():
            torch.mps.set_rng_state(mps.cpu())
