"""Device, threads, seeds, and memory that a training step frees and the next one needs again.

When memory is freed, the allocator of glibc returns the end of its heap and every large block to
the system, which hands out the same memory again page by page, each of them zeroed first. For a
step of a few milliseconds that can be a third of its time.
"""

from __future__ import annotations

import ctypes
import platform
import random
from typing import Any

import numpy as np
import torch

from ..errors import UserError

__all__ = [
    "DeviceError",
    "describe_device",
    "give_back_memory",
    "keep_freed_memory",
    "prepare_process",
    "select_device",
]

# From <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK = 32 * 2**20  # the largest threshold that glibc accepts
LARGEST_INT = 2**31 - 1


class DeviceError(UserError):
    """A device that this machine does not have."""


def select_device(name: str) -> torch.device:
    """The device of that name, such as `cuda:1`; `auto` is the first available of cuda, mps, cpu.

    Of cpu and mps there is one, with the index 0; `cpu:0` is returned as `cpu`.

    Raises:
        DeviceError: There is no such device, or none with this index.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    kind, colon, index = name.partition(":")
    if not available.get(kind):
        there = ", ".join(device for device, ok in available.items() if ok)
        raise DeviceError(
            f"trainer.device={name} is not available here; available: {there}; "
            "set trainer.device=auto to take the best of them"
        )
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if colon and index not in map(str, range(count)):
        there = kind if count == 1 else f"{kind}:0 to {kind}:{count - 1}"
        raise DeviceError(f"trainer.device={name} is not available here; available: {there}")
    return torch.device("cpu" if kind == "cpu" else name)


def prepare_process(seed: int, threads: int | None, deterministic: bool) -> None:
    """Seed every generator; set threads, determinism, subnormals and memory of this process."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries may draw from the global generator
    torch.manual_seed(seed)
    if threads is not None:
        torch.set_num_threads(threads)
    # `use_deterministic_algorithms` does the same, but imports the compiler to set it there too.
    torch.set_deterministic_debug_mode("error" if deterministic else "default")
    # Gradients that vanish over a long recurrence or solve become subnormal numbers, with which a
    # CPU computes up to a hundred times slower.
    torch.set_flush_denormal(True)
    keep_freed_memory()


def describe_device(device: torch.device) -> str:
    """The device in words, for the records of a run."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def keep_freed_memory() -> None:
    """Let this process keep memory that it frees, up to 2 GB, except blocks above 32 MB.

    Does nothing if the C library is not glibc.
    """
    if (libc := glibc()) is not None:
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
        libc.mallopt(M_TRIM_THRESHOLD, LARGEST_INT)


def give_back_memory() -> None:
    """Return free memory to the operating system."""
    if (libc := glibc()) is not None:
        libc.malloc_trim(0)


def glibc() -> Any:
    """The C library of this process, or None if it is another one."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
