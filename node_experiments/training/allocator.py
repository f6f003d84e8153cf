"""Memory that a training step frees and the next one needs again.

The allocator of glibc gives the end of its heap, and every large block, back to the system when
it is freed, and the system hands out the same memory again page by page, each of them zeroed
first. For a step of a few milliseconds that can be a third of its time.
"""

from __future__ import annotations

import ctypes
import platform
from typing import Any

__all__ = ["give_back_memory", "keep_freed_memory"]

# Of <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_BLOCK = 32 * 2**20  # that glibc takes for the threshold
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to 2 GB; blocks above 32 MB still go back.

    Nothing happens where the C library is not glibc.
    """
    if (libc := glibc()) is not None:
        libc.mallopt(M_MMAP_THRESHOLD, LARGEST_BLOCK)
        libc.mallopt(M_TRIM_THRESHOLD, LARGEST_INT)


def give_back_memory() -> None:
    """Hand over to the system what is free now."""
    if (libc := glibc()) is not None:
        libc.malloc_trim(0)


def glibc() -> Any:
    """The C library of this process, or None if it is another one."""
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
