"""A cache for tensors that take long to make; its files are complete or absent."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ..errors import DataError, first_line
from ..files import write_atomically
from . import cache_folder

__all__ = ["cache_folder", "cached", "digest"]


def cached(path: Path, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors in the file, or those that `make` returns, which are then written to it.

    Several processes may do this at once: each writes a separate temporary file and renames it.

    Raises:
        DataError: The file is damaged, or the folder cannot be written.
    """
    if path.exists():
        try:
            content = torch.load(path, weights_only=True)
            found, expected = digest(content["tensors"]), content["sha256"]
        except (RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
            found = first_line(error)
            expected = "that of its content"
        if found != expected:
            raise DataError(
                f"{path} is damaged ({found}); delete it and it is made again from its source"
            )
        return content["tensors"]
    tensors = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"tensors": tensors, "sha256": digest(tensors)}
        write_atomically(path, lambda file: torch.save(content, file))
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}; set the environment variable XDG_CACHE_HOME "
            "to a folder that can be written"
        ) from error
    return tensors


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the names, shapes, dtypes and bytes of tensors."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].contiguous().numpy()
        total.update(f"{name} {array.shape} {array.dtype}".encode())
        total.update(array.tobytes())
    return total.hexdigest()
